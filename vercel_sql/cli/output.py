"""Where results and complaints go: rows to standard output, all else to standard error."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import pyarrow as pa

from vercel_sql.escapes import visible_lines
from vercel_sql.render import SEPARATORS, Options, render

_UNKNOWN_WIDTH = 80


class OutputError(Exception):
    """A result could not be written.

    Attributes:
        reader_left: whether that is because whoever read standard output has read enough, and
            nothing was lost that can't be had again.
    """

    def __init__(self, message: str, *, reader_left: bool) -> None:
        super().__init__(message)
        self.reader_left = reader_left


class Printer:
    """Writes results to standard output, one after the other.

    Args:
        fmt: one of the renderers' formats.
    """

    def __init__(self, fmt: str) -> None:
        self._format = fmt
        self._first = True

    def write(self, table: pa.Table, secrets: frozenset[str], *, whole: bool = False) -> None:
        """Writes rows; those with a secret go to standard error where standard output fails.

        Args:
            table: the rows.
            secrets: the columns that are shown this once.
            whole: whether no row is left out on a terminal either.

        Raises:
            OutputError: standard output does not take them.
        """
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        options = Options(max_rows=None) if whole else None
        with rescued(table, secrets):
            if not self._first:
                sys.stdout.write(SEPARATORS[self._format])
            self._first = False
            render(
                table,
                self._format,
                sys.stdout,
                width=width,
                secret_columns=secrets,
                options=options,
            )
            sys.stdout.flush()


@contextmanager
def rescued(table: pa.Table, secrets: frozenset[str]) -> Iterator[None]:
    """Sees to it that no secret is lost where rows can't be written: they go to standard error.

    Raises:
        OutputError: in place of an error of the operating system.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        at_stake = bool(secrets) and table.num_rows > 0
        if at_stake:
            _rescue(table, secrets)
        if isinstance(error, OSError):
            reason = f"the result can't be written: {error.strerror or error}"
            left = isinstance(error, BrokenPipeError) and not at_stake
            raise OutputError(reason, reader_left=left) from None
        raise


def _rescue(table: pa.Table, secrets: frozenset[str]) -> None:
    """Writes rows to standard error, since nobody can ask for their secrets again."""
    sys.stderr.write("vercel-sql: these rows could not be written:\n")
    try:
        width = terminal_width() if sys.stderr.isatty() else None
        render(table, "ndjson", sys.stderr, width=width, secret_columns=secrets)
    except Exception:
        for row in table.to_pylist():
            sys.stderr.write(f"{row}\n")
    sys.stderr.flush()


def terminal_width() -> int:
    """The columns of the terminal now, which may have changed since the last time."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or _UNKNOWN_WIDTH
    except (OSError, ValueError):  # no terminal
        return _UNKNOWN_WIDTH


def watched() -> TextIO | None:
    """Standard error, where a person watches it."""
    return sys.stderr if sys.stderr.isatty() else None


def complain(message: str, prefix: str = "vercel-sql: ") -> None:
    """Says on standard error what went wrong, without control characters."""
    sys.stderr.write(f"{prefix}{visible_lines(message.rstrip())}\n")
    sys.stderr.flush()
