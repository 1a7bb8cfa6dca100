"""Where the shell's results go: to the terminal, or to the file of ``.output`` or ``.once``.

A secret is shown only once: if the chosen mode cuts it or leaves it out, it follows in full.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from vercel_sql.cli.output import SAMPLE, rehearse
from vercel_sql.cli.streams import OutputError
from vercel_sql.cli.terminal import terminal_width
from vercel_sql.escapes import visible
from vercel_sql.files import READABLE, open_private, permissions
from vercel_sql.messages import say
from vercel_sql.paths import named_path
from vercel_sql.render import Options, render_mode

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class Settings:
    """The settings of a session, which dot commands change.

    Attributes:
        mode: one of the renderers' modes.
        headers, max_rows, widths: see `Options`.
        timer: whether to show how long each statement took.
        confirm: whether to ask before a write is sent.
    """

    mode: str = "duckbox"
    headers: bool = True
    max_rows: int | None = 40
    widths: tuple[int, ...] = ()
    timer: bool = False
    confirm: bool = True


class Destination:
    """Writes results according to the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._file: TextIO | None = None
        self._is_for_one = False

    def redirect(self, path: str, *, once: bool = False) -> None:
        """Send the next result, or all that follow, to a file, which is emptied first."""
        if path == os.devnull:  # nobody's
            handle = os.open(path, os.O_WRONLY)
        else:
            flags = os.O_WRONLY | os.O_CREAT
            handle = open_private(named_path(path), flags, forbidden=READABLE)
            os.ftruncate(handle, 0)
        file = open(handle, "w", encoding="utf-8", newline="\n")  # noqa: SIM115 - stays open
        self.reset()
        self._file, self._is_for_one = file, once

    def reset(self) -> None:
        """Send what follows to the terminal."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def require_ready(self, *, has_secrets: bool) -> None:
        """Raise `OutputError` if a result can't be written, before anything makes one."""
        if self._file is not None and not os.fstat(self._file.fileno()).st_nlink:
            raise OutputError(
                "the output file was deleted: choose another with .output. Nothing was sent",
                reader_left=False,
            )
        if self._file is not None and has_secrets:
            _require_own(self._file)
        rehearse(lambda out: self._render(SAMPLE, out, terminal_width(), frozenset(["secret"])))

    def write(self, table: pa.Table, secrets: frozenset[str], *, whole: bool = False) -> None:
        """Write a result; `whole` shows all rows, whatever ``.maxrows`` says."""
        if self._file is None:
            self._to_terminal(table, secrets, whole)
            return
        try:
            self._to_file(self._file, table, secrets)
        finally:
            if self._is_for_one:
                self.reset()

    def write_lines(self, *lines: str) -> None:
        """Write lines that are not a result, such as the names of tables."""
        say(*lines, out=self._file or sys.stdout)
        if self._is_for_one:
            self.reset()

    def _to_terminal(self, table: pa.Table, secrets: frozenset[str], whole: bool) -> None:
        if not secrets:
            self._render(table, sys.stdout, terminal_width(), secrets, whole=whole)
            sys.stdout.flush()
            return
        shown = io.StringIO()
        self._render(table, shown, terminal_width(), secrets)
        sys.stdout.write(shown.getvalue())
        _write_missing(table, secrets, shown.getvalue())

    def _to_file(self, file: TextIO, table: pa.Table, secrets: frozenset[str]) -> None:
        if not secrets:
            self._render(table, file, None, secrets)
            file.flush()
            return
        _require_own(file)
        written = io.StringIO()
        self._render(table, written, None, secrets)
        file.write(written.getvalue())
        file.flush()
        os.fsync(file.fileno())
        _write_missing(table, secrets, written.getvalue())

    def _render(
        self,
        table: pa.Table,
        out: TextIO,
        width: int | None,
        secrets: frozenset[str],
        *,
        whole: bool = False,
    ) -> None:
        settings = self._settings
        max_rows = None if whole else settings.max_rows
        options = Options(max_rows=max_rows, headers=settings.headers, widths=settings.widths)
        render_mode(table, settings.mode, out, width=width, secret_columns=secrets, options=options)


def _require_own(file: TextIO) -> None:
    """Refuse to write secrets to a file that others may read."""
    mode = permissions(os.fstat(file.fileno()))
    if mode & 0o077:
        raise OutputError(
            f"others can read the output file (mode {mode:04o}), and the rows contain secrets: "
            "run chmod 600 on it",
            reader_left=False,
        )


def _write_missing(table: pa.Table, secrets: frozenset[str], shown: str) -> None:
    """Write the secrets that were not shown in full to the terminal."""
    wanted = {name.casefold() for name in secrets}
    names = [name for name in table.column_names if name.casefold() in wanted]
    rows = list(zip(*(_texts(table.column(name)) for name in names), strict=True))
    if all(text is None or text in shown for row in rows for text in row):
        return
    for number, row in enumerate(rows, start=1):
        if len(rows) > 1:
            say(f"row {number}", out=sys.stdout)
        for name, text in zip(names, row, strict=True):
            say(f"{name}: {'NULL' if text is None else text}", out=sys.stdout)


def _texts(column: pa.ChunkedArray) -> Iterator[str | None]:
    return (None if value is None else visible(str(value)) for value in column.to_pylist())
