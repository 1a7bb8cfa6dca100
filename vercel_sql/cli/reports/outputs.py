"""Where the rows of reports go: to standard output, or each to a file of its own."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TextIO

import duckdb
import pyarrow as pa

from vercel_sql.cli.output import Printer
from vercel_sql.cli.reports import SUFFIXES
from vercel_sql.cli.reports.facts import RunFacts
from vercel_sql.cli.reports.report import Report
from vercel_sql.cli.streams import OutputError
from vercel_sql.files import replace, require_replaceable, sync_file
from vercel_sql.messages import say
from vercel_sql.render import SEPARATORS, render


@dataclass(frozen=True)
class ReportResult:
    """All rows of a report, and how they were read."""

    report: Report
    table: pa.Table
    facts: RunFacts


class ReportWriter:
    """Writes each report to a file of its name in a directory, or to standard output.

    Args:
        fmt: one of `SUFFIXES`; those in `BINARY` need a directory.
        directory: the directory, or None for standard output.
        raw: keep values that a spreadsheet would compute.
        titled: on standard output, begin each report with its title in the readable formats.
    """

    def __init__(self, fmt: str, directory: Path | None, *, raw: bool, titled: bool) -> None:
        self._format = fmt
        self._directory = directory
        self._raw = raw
        self._titled = titled and fmt in ("table", "markdown")
        self._first = True

    def write(self, result: ReportResult) -> str:
        """Write a report, or raise `OutputError`; say where: empty, or ``written to …``.

        A file is complete, or as it was before.
        """
        if self._directory is None:
            self._print(result)
            return ""
        target = self._directory / f"{result.report.name}.{SUFFIXES[self._format]}"
        try:
            with replaced(target) as part:
                self._write(result, part)
        except (OSError, duckdb.IOException) as error:
            reason = getattr(error, "strerror", None) or "the disk refuses it"
            raise OutputError(f"{target} can't be written: {reason}", reader_left=False) from None
        return f"written to {target}"

    def _print(self, result: ReportResult) -> None:
        try:
            if self._format == "html":
                _write_page(result, sys.stdout)
            else:
                sys.stdout.write("" if self._first else SEPARATORS[self._format])
                self._first = False
                if self._titled:
                    mark = "## " if self._format == "markdown" else ""
                    say(f"{mark}{result.report.title}", "", out=sys.stdout)
                Printer(self._format).write(self._safe(result.table), frozenset())
            sys.stdout.flush()
        except OSError as error:
            left = isinstance(error, BrokenPipeError)
            reason = f"the result can't be written: {error.strerror or error}"
            raise OutputError(reason, reader_left=left) from None

    def _write(self, result: ReportResult, path: Path) -> None:
        if self._format == "parquet":
            with duckdb.connect() as con:  # which knows its own types best
                con.from_arrow(result.table).write_parquet(str(path), compression="zstd")
        elif self._format == "xlsx":
            _write_workbook(result, path, raw=self._raw)
        else:
            # Excel on Windows needs this mark to read a CSV file as UTF-8.
            has_mark = self._format == "csv" and not self._raw
            encoding = "utf-8-sig" if has_mark else "utf-8"
            with path.open("w", encoding=encoding, newline="") as text:
                if self._format == "html":
                    _write_page(result, text)
                else:
                    render(self._safe(result.table), self._format, text, width=None)

    def _safe(self, table: pa.Table) -> pa.Table:
        """The rows as they may be written: spreadsheets compute formulas in CSV files."""
        if self._format != "csv" or self._raw:
            return table
        from vercel_sql.cli.reports import spreadsheet

        return spreadsheet.guarded(table)


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yield a path to write to, and move it over the file at the end.

    If the context ends with an error, the file stays as it was. The path is in a private directory
    beside the file, so its writer may create files of any mode. A killed process leaves that
    directory behind.
    """
    require_replaceable(path)
    beside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        part = beside / path.name
        yield part
        part.chmod(0o600)  # rows contain the ids of tokens
        sync_file(part)  # otherwise a power cut could leave an empty file
        replace(part, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


# The writers are imported when they are used, because they take long to load.


def _write_page(result: ReportResult, out: TextIO) -> None:
    from vercel_sql.cli.reports import html

    html.write_page(result.report, result.table, result.facts, out)


def _write_workbook(result: ReportResult, path: Path, *, raw: bool) -> None:
    from xlsxwriter.exceptions import FileCreateError

    from vercel_sql.cli.reports import xlsx

    # In memory: if a file can't be written, the library tries again when it is collected.
    book = BytesIO()
    try:
        xlsx.write_workbook(result.report, result.table, result.facts, book, raw=raw)
    except FileCreateError as error:  # its temporary files
        raise OSError(*error.args[0].args) from None
    path.write_bytes(book.getbuffer())
