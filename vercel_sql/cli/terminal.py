"""What the person at the terminal sees and answers: what is waited for, and questions."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from vercel_sql.escapes import visible
from vercel_sql.interrupts import leave
from vercel_sql.messages import SAID_AFTER

if TYPE_CHECKING:
    from vercel_sql.sql.running import Plan

DEFAULT_WIDTH = 80


def watched() -> TextIO | None:
    """Standard error, if it is a terminal."""
    return sys.stderr if sys.stderr.isatty() else None


def terminal_width() -> int:
    """The terminal's columns now: it may have been resized."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or DEFAULT_WIDTH
    except (OSError, ValueError):  # not a terminal
        return DEFAULT_WIDTH


@contextmanager
def waiting(what: str) -> Iterator[Callable[[], None]]:
    """Say what is waited for, after two seconds; yields a function that stops that earlier."""
    out = watched()
    if out is None:
        yield lambda: None
        return
    timer = threading.Timer(SAID_AFTER, out.write, [f"Waiting for {visible(what)} …\n"])
    timer.daemon = True
    timer.start()
    try:
        yield timer.cancel
    finally:
        timer.cancel()


@contextmanager
def in_time(what: str, code: int, failure: str, seconds: float) -> Iterator[None]:
    """End the command with `code` if DuckDB, which nothing else can stop, takes too long."""
    reason = f"{failure}: no response within {seconds:.0f} s"
    timer = threading.Timer(seconds, leave, [code, reason])
    timer.daemon = True
    timer.start()
    try:
        with waiting(what):
            yield
    finally:
        timer.cancel()


def counted(number: int, noun: str) -> str:
    """A number of things: `1 row`, `5 rows`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def ask(plan: Plan) -> bool:
    """Ask whether a write may be sent. Only an explicit yes counts: not Enter, not Ctrl-D.

    Ctrl-C raises KeyboardInterrupt. What was typed before the question appeared is dropped.
    """
    try:
        import termios
    except ImportError:  # Windows
        pass
    else:
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
    sys.stdout.write(question(plan, terminal_width()))
    sys.stdout.flush()
    answer = ""
    try:
        answer = sys.stdin.readline()
    finally:
        if not answer.endswith("\n"):
            sys.stdout.write("\n")
    return answer.strip().casefold() in ("y", "yes")


def question(plan: Plan, width: int) -> str:
    """The number of requests and rows, and the first requests, one per line."""
    lines = [f"  {visible(request)}" for request in plan.first]
    more = plan.count - len(lines)
    if more:
        lines.append(f"  … {more} more")
    cut = [line if len(line) <= width else f"{line[: width - 1]}…" for line in lines]
    rows = plan.count if plan.rows is None else plan.rows
    count = f"{counted(plan.count, 'request')}, {counted(rows, 'row')}"
    notes = [plan.caution(), str(plan.pace) if plan.pace.forecasts else ""]
    notes = [f"{visible(each)}." for each in notes if each]
    return "\n".join([f"{visible(plan.what)}: {count}.", *cut, *notes, "Go on? [y/N] "])
