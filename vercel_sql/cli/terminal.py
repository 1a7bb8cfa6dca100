"""The standard streams, and what a person at the terminal sees and answers."""

from __future__ import annotations

import errno
import io
import os
import re
import select
import sys
import textwrap
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from vercel_sql import text as messages
from vercel_sql.runtime.signals import leave
from vercel_sql.text import SAID_AFTER, message, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vercel_sql.sql.plan import Plan

DEFAULT_WIDTH = 80


def watched() -> TextIO | None:
    return sys.stderr if sys.stderr.isatty() else None


def terminal_width(stream: TextIO | None = None) -> int:
    """The terminal's columns now: it may have been resized."""
    try:
        return os.get_terminal_size((stream or sys.stdout).fileno()).columns or DEFAULT_WIDTH
    except (OSError, ValueError):  # not a terminal
        return DEFAULT_WIDTH


# What is copied from a message, and so never broken: quoted texts, commands, options, SQL.
_COPIED = re.compile(
    r"""
    %?vercel-sql(?:[ ](?:[a-z]+\b|--?[a-z][\w-]*(?:[ ](?:[A-Z]+\b|"[^"]*"|\w*_\w+))?))*
    | --[a-z][\w-]*[ ][A-Z]+\b
    | DELETE[ ]FROM[ ]\S+(?:[ ]WHERE[ ]\S+[ ]=[ ]\S+)?
    | EXEC[ ]\S+(?:[ ]@\S+[ ]=[ ]\S+)*
    | (?:SHOW|DESCRIBE|INSTALL|SET|USE)(?:[ ][A-Z]+)*[ ][a-z][\w.]*
    | (?<!\w)'[^'\n]*' | "[^"\n]*"
    """,
    re.VERBOSE,
)
_GLUE = "\0"  # a message has no such character, and textwrap breaks no line at it


def wrapped(text: str) -> str:
    """A message, wrapped at the width of standard error if that is a terminal.

    Words such as ids and URLs, and what is copied, are never broken. Where DuckDB points at a
    place in SQL, only the first line is wrapped.
    """
    if not sys.stderr.isatty():
        return text
    width = terminal_width(sys.stderr)
    first, *more = text.split("\n")
    if not any(set(line.strip()) == {"^"} for line in more):
        more = [_wrapped_line(line, width) for line in more]
    return "\n".join([_wrapped_line(first, width), *more])


def _wrapped_line(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    indent = line[: len(line) - len(line.lstrip())]
    glued = _COPIED.sub(lambda found: found[0].replace(" ", _GLUE), line.strip())
    lines = textwrap.wrap(
        glued,
        max(width, 20),
        initial_indent=indent,
        subsequent_indent=indent or "    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines).replace(_GLUE, " ")


def complain(text: str, prefix: str = "vercel-sql: ") -> None:
    """Report on standard error what went wrong."""
    messages.complain(wrapped(message(prefix + text)), "")


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


STANDARD_OUTPUT = "standard output"


class OutputError(Exception):
    """A result could not be written.

    Attributes:
        reader_left: the reader of standard output has stopped, and nothing irretrievable was lost.
    """

    def __init__(self, message: str, *, reader_left: bool) -> None:
        super().__init__(message)
        self.reader_left = reader_left


def prepare_streams() -> None:
    """Make the streams take any text: files as UTF-8, terminals as far as they can.

    A stream that was closed before the command began fails at each write, like a full one. No
    other file, such as a journal, may get its number, because libraries write to that.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one; writing to it fails.
            os.open(os.devnull, os.O_RDONLY)
    if sys.stderr is None:
        sys.stderr = _opened(2, "standard error", line_buffering=True)
    if sys.stdout is not None and sys.stdout.isatty():
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
    else:
        sys.stdout = _opened(1, STANDARD_OUTPUT)


def flushed(stream: TextIO, number: int) -> OSError | None:
    """Flush a stream, and return its error.

    Python itself would report the error once more when it closes the stream.
    """
    try:
        stream.flush()
    except OSError as error:
        discard(number)
        return error
    return None


def discard(number: int) -> None:
    """Discard what is written to a stream from now on, and what is left in it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)


def is_closed(stream: TextIO | None) -> bool:
    """Whether a stream was closed before the command began; writes nothing."""
    if stream is None:
        return True
    try:
        os.write(stream.fileno(), b"")
    except (OSError, ValueError) as error:  # a Python stream has no number
        return getattr(error, "errno", None) == errno.EBADF
    return False


def _opened(number: int, name: str, *, line_buffering: bool = False) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.BufferedWriter(_Stream(number, name)),
        encoding="utf-8",
        errors="backslashreplace",
        newline="\n",  # values of several lines stay as they are on Windows, too
        line_buffering=line_buffering,
    )


class _Stream(io.FileIO):
    """A standard stream whose errors have its name as their `filename`."""

    def __init__(self, number: int, name: str) -> None:
        super().__init__(number, "wb", closefd=False)
        self._called = name

    def write(self, content: object) -> int:
        """Write, and wait for a pipe that is set to be non-blocking."""
        try:
            while (count := super().write(content)) is None:  # type: ignore[arg-type]
                select.select([], [self], [])
        except OSError as error:
            reason = "it is closed" if error.errno == errno.EBADF else error.strerror
            raise OSError(error.errno, reason, self._called) from None
        return count
