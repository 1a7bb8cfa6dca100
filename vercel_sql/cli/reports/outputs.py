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
from typing import Protocol, TextIO

import duckdb
import pyarrow as pa

from vercel_sql.api.os_files import replace, sync_file
from vercel_sql.api.private_files import require_replaceable
from vercel_sql.cli.output import Printer
from vercel_sql.cli.reports.facts import RunFacts
from vercel_sql.cli.reports.report import Report
from vercel_sql.cli.streams import OutputError
from vercel_sql.messages import say
from vercel_sql.render import SEPARATORS, render

SUFFIXES = {
    "table": "txt",
    "csv": "csv",
    "json": "json",
    "ndjson": "ndjson",
    "markdown": "md",
    "parquet": "parquet",
    "xlsx": "xlsx",
    "html": "html",
}
"""The formats, and the suffixes of their files."""

BINARY = ("parquet", "xlsx")
WITH_FACTS = ("html", "xlsx")
"""The formats that say how the rows were read, and from whose account."""


@dataclass(frozen=True)
class ReportResult:
    """All rows of a report, and how they were read."""

    report: Report
    table: pa.Table
    facts: RunFacts


class Output(Protocol):
    """Where reports go."""

    def write(self, result: ReportResult) -> str:
        """Write a report, or raise `OutputError`; say where: empty, or ``written to …``."""


class StandardOutput:
    """Writes reports one after the other to standard output.

    Args:
        fmt: one of `SUFFIXES`, but not of `BINARY`.
        raw: keep values that a spreadsheet would compute.
        titled: begin each report with its title in the readable formats.
    """

    def __init__(self, fmt: str, *, raw: bool, titled: bool) -> None:
        self._format = fmt
        self._raw = raw
        self._titled = titled
        self._first = True

    def write(self, result: ReportResult) -> str:
        """Write a report; a failure half-way is an error."""
        try:
            self._write(result)
            sys.stdout.flush()
        except OSError as error:
            left = isinstance(error, BrokenPipeError)
            reason = f"the result can't be written: {error.strerror or error}"
            raise OutputError(reason, reader_left=left) from None
        return ""

    def _write(self, result: ReportResult) -> None:
        if self._format == "html":
            _write_page(result, sys.stdout)
            return
        if not self._first:
            sys.stdout.write(SEPARATORS[self._format])
        self._first = False
        if self._titled and self._format in ("table", "markdown"):
            mark = "## " if self._format == "markdown" else ""
            say(f"{mark}{result.report.title}", "", out=sys.stdout)
        Printer(self._format).write(_safe(result.table, self._format, self._raw), frozenset())


class Directory:
    """Writes each report to a file of its name in a directory; see `StandardOutput`."""

    def __init__(self, path: Path, fmt: str, *, raw: bool) -> None:
        self._path = path
        self._format = fmt
        self._raw = raw

    def write(self, result: ReportResult) -> str:
        """Write a report; the file is complete, or as it was before."""
        target = self._path / f"{result.report.name}.{SUFFIXES[self._format]}"
        try:
            with replaced(target) as part:
                self._write(result, part)
        except (OSError, duckdb.IOException) as error:
            reason = getattr(error, "strerror", None) or "the disk refuses it"
            raise OutputError(f"{target} can't be written: {reason}", reader_left=False) from None
        return f"written to {target}"

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
                    rows = _safe(result.table, self._format, self._raw)
                    render(rows, self._format, text, width=None)


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


def _safe(table: pa.Table, fmt: str, raw: bool) -> pa.Table:
    """The rows as they may be written: spreadsheets compute formulas in CSV files."""
    if fmt != "csv" or raw:
        return table
    from vercel_sql.cli.reports import spreadsheet

    return spreadsheet.guarded(table)
