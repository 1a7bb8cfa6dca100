"""The standard streams: they take any text, and report errors in words."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import TextIO

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
