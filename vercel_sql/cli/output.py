"""Writes results to standard output; rows with secrets that can't be written are saved."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from vercel_sql.cli.terminal import DEFAULT_WIDTH, OutputError, terminal_width
from vercel_sql.errors import Error
from vercel_sql.plain_rows import PlainRows
from vercel_sql.render import SEPARATORS, Options, render
from vercel_sql.render.terminal import for_log
from vercel_sql.text import complain

if TYPE_CHECKING:
    import pyarrow as pa

    from vercel_sql.ledger.journal import CreateResults

LOSSLESS = "SET arrow_lossless_conversion = true"
"""The renderers write every type exactly, and for that need it exactly."""
SAMPLE = PlainRows(["name", "count", "secret"], ["VARCHAR", "BIGINT", "VARCHAR"], [("é", 1, "s")])
"""A result like any other: a text, a number, and a secret."""


class Printer:
    """Writes results to standard output, one after the other, in one of the formats."""

    def __init__(self, fmt: str) -> None:
        self._format = fmt
        self._first = True

    def require_ready(self, *, has_secrets: bool) -> None:  # noqa: ARG002 - all are tried alike
        """Raise `OutputError` if a result can't be shown, before anything makes one."""
        rehearse(lambda out: self._render(SAMPLE, out, DEFAULT_WIDTH, frozenset(["secret"])))

    def write(
        self, table: pa.Table | PlainRows, secrets: frozenset[str], *, whole: bool = False
    ) -> None:
        """Write rows; `whole` leaves out none on a terminal either."""
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        if not self._first:
            sys.stdout.write(SEPARATORS[self._format])
        self._first = False
        options = Options(max_rows=None) if whole else None
        self._render(table, for_log(sys.stdout), width, secrets, options)
        sys.stdout.flush()

    def _render(
        self,
        table: pa.Table | PlainRows,
        out: TextIO,
        width: int | None,
        secrets: frozenset[str],
        options: Options | None = None,
    ) -> None:
        render(table, self._format, out, width=width, secret_columns=secrets, options=options)


def rehearse(write: Callable[[TextIO], object]) -> None:
    """Write a sample to nowhere, to find out whether everything that writing needs is there."""
    try:
        write(io.StringIO())
    except Exception as error:
        raise OutputError(
            f"results can't be shown here ({type(error).__name__}). Nothing was sent",
            reader_left=False,
        ) from None


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
