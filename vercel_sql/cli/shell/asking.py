"""Asks the person in front of the terminal whether a write may be sent."""

from __future__ import annotations

import sys

from vercel_sql.cli.output import terminal_width
from vercel_sql.escapes import visible
from vercel_sql.sql.plan import Plan


def ask(plan: Plan) -> bool:
    """Whether the person says yes; Enter alone and Ctrl-D are no.

    What was typed before the question could be read is no answer to it, and is dropped.

    Raises:
        KeyboardInterrupt: Ctrl-C, which is never a yes either.
    """
    _drop_typed_ahead()
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
    """The question: how many requests and rows, and the first of the requests, a line each."""
    lines = [f"  {visible(request)}" for request in plan.first]
    more = plan.count - len(lines)
    if more:
        lines.append(f"  … {more} more")
    cut = [line if len(line) <= width else f"{line[: width - 1]}…" for line in lines]
    rows = plan.count if plan.rows is None else plan.rows
    count = f"{_counted(plan.count, 'request')}, {_counted(rows, 'row')}"
    told = [plan.caution(), str(plan.pace) if plan.pace.forecasts else ""]
    told = [f"{visible(each)}." for each in told if each]
    return "\n".join([f"{visible(plan.what)}: {count}.", *cut, *told, "Go on? [y/N] "])


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _drop_typed_ahead() -> None:
    try:
        import termios
    except ImportError:  # Windows
        return
    termios.tcflush(sys.stdin, termios.TCIFLUSH)
