"""Writes results to standard output or a file; if it can't, saves rows with secrets."""

from __future__ import annotations

import io
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TextIO

from vercel_sql.cli.terminal import OutputError, complain, terminal_width
from vercel_sql.errors import Error
from vercel_sql.files import READABLE, named_path, open_private, permissions
from vercel_sql.plain_rows import PlainRows
from vercel_sql.render import MODE_OF, SEPARATORS, Options, render, render_mode
from vercel_sql.render.result import for_log
from vercel_sql.text import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from vercel_sql.ledger.journal import CreateResults

LOSSLESS = "SET arrow_lossless_conversion = true"
"""The renderers write every type exactly, and for that need it exactly."""
# A result like any other: a text, a number, and a secret.
_SAMPLE = PlainRows(["name", "count", "secret"], ["VARCHAR", "BIGINT", "VARCHAR"], [("é", 1, "s")])


@dataclass
class Settings:
    """How results look, and what the shell's dot commands change besides.

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


class Output:
    """Writes results, one after the other, to standard output or to the file of ``.output``."""

    def __init__(self, settings: Settings, *, separator: str = "", on_terminal: bool) -> None:
        self._settings = settings
        self._separator = separator
        self._on_terminal = on_terminal
        self._is_first = True
        self._file: TextIO | None = None
        self._is_for_one = False

    @classmethod
    def in_format(cls, fmt: str) -> Self:
        """Output in one of the command line's formats."""
        settings = Settings(mode=MODE_OF[fmt])
        return cls(settings, separator=SEPARATORS[fmt], on_terminal=sys.stdout.isatty())

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
        try:
            self._render(_SAMPLE, io.StringIO(), frozenset(["secret"]))
        except Exception as error:
            raise OutputError(
                f"results can't be shown here ({type(error).__name__}). Nothing was sent",
                reader_left=False,
            ) from None

    def write(
        self, table: pa.Table | PlainRows, secrets: frozenset[str], *, whole: bool = False
    ) -> None:
        """Write rows, whose secret columns are shown only once; `whole` leaves out none."""
        out, is_first = self._file or for_log(sys.stdout), self._is_first
        self._is_first = False
        try:
            if self._file is not None and secrets:
                _require_own(self._file)
            out.write("" if is_first else self._separator)
            self._render(table, out, secrets, whole=whole)
            out.flush()
            if self._file is not None and secrets:
                os.fsync(self._file.fileno())
        finally:
            if self._is_for_one:
                self.reset()

    def write_lines(self, *lines: str) -> None:
        say(*lines, out=self._file or sys.stdout)
        if self._is_for_one:
            self.reset()

    def _render(
        self,
        table: pa.Table | PlainRows,
        out: TextIO,
        secrets: frozenset[str],
        *,
        whole: bool = False,
    ) -> None:
        settings = self._settings
        width = terminal_width() if self._on_terminal and self._file is None else None
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


@contextmanager
def rescued(
    table: pa.Table | PlainRows, secrets: frozenset[str], results: CreateResults | None
) -> Iterator[None]:
    """Lose no secret if rows can't be written.

    Saved secrets stay where they are. Others go to standard error, or if that fails as well, to a
    file in the state directory. An OSError becomes an `OutputError`.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        at_stake = bool(secrets) and table.num_rows > 0
        told = _rescue(table, results) if at_stake and results is not None else ""
        if isinstance(error, OSError):
            reason = f"the result can't be written: {error.strerror or error}{told}"
            left = isinstance(error, BrokenPipeError) and not at_stake
            raise OutputError(reason, reader_left=left) from None
        if told:
            complain(f"the result can't be written{told}")
        raise


def _rescue(table: pa.Table, results: CreateResults) -> str:
    """Save rows, and say where for a message, unless they are shown."""
    saved = [answer for answer in results.answers if answer.saved_in is not None]
    places = ", ".join(sorted({str(answer.saved_in) for answer in saved}))
    told = f". Its secrets are saved in {places}" if places else ""
    if saved and len(saved) == len(results.answers):
        return told
    keys = {answer.key for answer in saved} - {None}
    unsaved = [keys.isdisjoint(map(str, row.values())) for row in table.to_pylist()]
    import pyarrow as pa

    rows = table.filter(pa.array(unsaved, pa.bool_()))
    try:
        _show(rows)
    except OSError:
        return f"{told}. {_save(rows, results)}"
    return told


def _show(table: pa.Table) -> None:
    """Write rows to standard error: nobody can ask for their secrets again."""
    text = io.StringIO()
    width = terminal_width() if sys.stderr.isatty() else None
    try:
        render(table, "ndjson", text, width=width)
    except Exception:
        text = io.StringIO("".join(f"{row}\n" for row in table.to_pylist()))
    sys.stderr.write(f"vercel-sql: these rows could not be written:\n{text.getvalue()}")
    sys.stderr.flush()


def _save(table: pa.Table, results: CreateResults) -> str:
    """Save rows to a file in the state directory; say where, or why not."""
    from vercel_sql.writes.creates import saving
    from vercel_sql.writes.policy import WritePolicy

    rows = [{n: None if v is None else str(v) for n, v in r.items()} for r in table.to_pylist()]
    try:
        file = saving(WritePolicy()).secrets_file
        assert file is not None  # noqa: S101 - `saving` has made one
        made_by = results.unsaved
        for number, row in enumerate(rows):
            intent = made_by[min(number, len(made_by) - 1)] if made_by else None
            about = ("", "", "") if intent is None else (intent.resource, intent.method, intent.id)
            file.append(about[0], about[1], row, create=about[2])
    except Error as error:
        return f"Its secrets could not be saved: {error}"
    results.kept_in(file.path)
    return f"Its secrets are saved in {file.path}"
