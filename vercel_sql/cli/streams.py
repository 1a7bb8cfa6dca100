"""The standard streams, made to take any text, and to fail in words where they are closed."""

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
        reader_left: whether that is because whoever read standard output has read enough, and
            nothing was lost that can't be had again.
    """

    def __init__(self, message: str, *, reader_left: bool) -> None:
        super().__init__(message)
        self.reader_left = reader_left


def prepare_streams() -> None:
    """Makes the streams take any text: files are UTF-8, and a terminal may show less than that.

    A stream that was closed before the command began fails at each write, like a full one: no
    other file, such as a journal, may take its number, since libraries write to that.
    """
    for number in range(3):
        _occupy(number)
    if sys.stderr is None:
        sys.stderr = _opened(2, "standard error", line_buffering=True)
    if sys.stdout is not None and sys.stdout.isatty():
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
    else:
        sys.stdout = _opened(1, STANDARD_OUTPUT)


def flushed(stream: TextIO, number: int) -> OSError | None:
    """Writes what is left in a stream, and gives what hindered it.

    Python would complain once more about a stream that fails when it closes it.
    """
    try:
        stream.flush()
    except OSError as error:
        discard(number)
        return error
    return None


def discard(number: int) -> None:
    """Sends what is written to a stream from now on, and what is left in it, to nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)


def is_closed(stream: TextIO | None) -> bool:
    """Whether a stream was closed before the command began; nothing is written to find out."""
    if stream is None:
        return True
    try:
        os.write(stream.fileno(), b"")
    except (OSError, ValueError) as error:  # a stream of Python's own has no number
        return getattr(error, "errno", None) == errno.EBADF
    return False


def _occupy(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        # The lowest number that is free is this one. What is written to it fails.
        os.open(os.devnull, os.O_RDONLY)


def _opened(number: int, name: str, *, line_buffering: bool = False) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.BufferedWriter(_Stream(number, name)),
        encoding="utf-8",
        errors="backslashreplace",
        newline="\n",  # a value of several lines stays as it is on Windows, too
        line_buffering=line_buffering,
    )


class _Stream(io.FileIO):
    """A standard stream whose errors say which it is, in their `filename`."""

    def __init__(self, number: int, name: str) -> None:
        super().__init__(number, "wb", closefd=False)
        self._called = name

    def write(self, content: object) -> int:
        """Writes, and waits where the other end of a pipe was made not to wait."""
        try:
            while (count := super().write(content)) is None:  # type: ignore[arg-type]
                select.select([], [self], [])
        except OSError as error:
            reason = "it is closed" if error.errno == errno.EBADF else error.strerror
            raise OSError(error.errno, reason, self._called) from None
        return count
