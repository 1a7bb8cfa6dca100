"""Where results and complaints go: rows to standard output, all else to standard error."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from vercel_sql.cli.streams import OutputError
from vercel_sql.errors import Error
from vercel_sql.ledger.journal import CreateResults
from vercel_sql.messages import complain
from vercel_sql.plain_rows import PlainRows
from vercel_sql.render import SEPARATORS, Options, render
from vercel_sql.render.terminal import for_log

if TYPE_CHECKING:
    import pyarrow as pa

_UNKNOWN_WIDTH = 80
SAMPLE = PlainRows(["name", "count", "secret"], ["VARCHAR", "BIGINT", "VARCHAR"], [("é", 1, "s")])
"""What results are made of: text of any characters, a number, and a secret."""


class Printer:
    """Writes results to standard output, one after the other.

    Args:
        fmt: one of the renderers' formats.
    """

    def __init__(self, fmt: str) -> None:
        self._format = fmt
        self._first = True

    def require_ready(self, *, has_secrets: bool) -> None:  # noqa: ARG002 - all are tried alike
        """Finds out whether a result can be shown, before anything makes one.

        Raises:
            OutputError: it can't.
        """
        rehearse(lambda out: self._render(SAMPLE, out, _UNKNOWN_WIDTH, frozenset(["secret"])))

    def write(
        self, table: pa.Table | PlainRows, secrets: frozenset[str], *, whole: bool = False
    ) -> None:
        """Writes rows.

        Args:
            table: the rows.
            secrets: the columns that are shown this once.
            whole: whether no row is left out on a terminal either.

        Raises:
            OSError: standard output does not take them.
        """
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        if not self._first:
            sys.stdout.write(SEPARATORS[self._format])
        self._first = False
        self._render(
            table, for_log(sys.stdout), width, secrets, Options(max_rows=None) if whole else None
        )
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
    """Has a sample written to nowhere: what writing needs is there, or is found out to be missing.

    Raises:
        OutputError: it can't be written.
    """
    try:
        write(io.StringIO())
    except Exception as error:
        raise OutputError(
            f"results can't be shown here ({type(error).__name__}). Nothing was sent",
            reader_left=False,
        ) from None


@contextmanager
def rescued(
    table: pa.Table | PlainRows, secrets: frozenset[str], results: CreateResults
) -> Iterator[None]:
    """Sees to it that no secret is lost where rows can't be written.

    One that is saved stays where it is. Others go to standard error, and where that fails as well,
    to a file in the state directory.

    Args:
        table: the rows.
        secrets: the columns that are shown this once.
        results: knows what is saved.

    Raises:
        OutputError: in place of an error of the operating system.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        at_stake = bool(secrets) and table.num_rows > 0
        told = _rescue(table, results) if at_stake else ""
        if isinstance(error, OSError):
            reason = f"the result can't be written: {error.strerror or error}{told}"
            left = isinstance(error, BrokenPipeError) and not at_stake
            raise OutputError(reason, reader_left=left) from None
        if told:
            complain(f"the result can't be written{told}")
        raise


def _rescue(table: pa.Table, results: CreateResults) -> str:
    """Puts rows where somebody finds them; says where for a message, unless they are seen."""
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
        return f"{told}. {_kept(rows, results)}"
    return told


def _show(table: pa.Table) -> None:
    """Writes rows to standard error, since nobody can ask for their secrets again."""
    text = io.StringIO()
    width = terminal_width() if sys.stderr.isatty() else None
    try:
        render(table, "ndjson", text, width=width)
    except Exception:
        text = io.StringIO("".join(f"{row}\n" for row in table.to_pylist()))
    sys.stderr.write(f"vercel-sql: these rows could not be written:\n{text.getvalue()}")
    sys.stderr.flush()


def _kept(table: pa.Table, results: CreateResults) -> str:
    """Puts rows into a file in the state directory; says where, or why not."""
    from vercel_sql.writes.creates import saving
    from vercel_sql.writes.policy import WritePolicy

    rows = [{n: None if v is None else str(v) for n, v in r.items()} for r in table.to_pylist()]
    try:
        file = saving(WritePolicy()).secrets_file
        assert file is not None  # noqa: S101 - that is what `saving` is for
        made_by = results.unsaved
        for number, row in enumerate(rows):
            intent = made_by[min(number, len(made_by) - 1)] if made_by else None
            about = ("", "", "") if intent is None else (intent.resource, intent.method, intent.id)
            file.append(about[0], about[1], row, create=about[2])
    except Error as error:
        return f"Its secrets could not be kept: {error}"
    results.kept_in(file.path)
    return f"Its secrets are kept in {file.path}"


def terminal_width() -> int:
    """The columns of the terminal now, which may have changed since the last time."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or _UNKNOWN_WIDTH
    except (OSError, ValueError):  # no terminal
        return _UNKNOWN_WIDTH


def watched() -> TextIO | None:
    """Standard error, where a person watches it."""
    return sys.stderr if sys.stderr.isatty() else None
