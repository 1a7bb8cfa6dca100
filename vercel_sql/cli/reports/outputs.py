"""Where the rows of reports go: to standard output, or each to a file of its own."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Protocol, TextIO

import duckdb
import pyarrow as pa

from vercel_sql.cli.output import Printer
from vercel_sql.cli.reports.files import replaced
from vercel_sql.cli.reports.report import Report, RunFacts
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
"""The formats, and how the files in each of them end."""

BINARY = ("parquet", "xlsx")
WITH_FACTS = ("html", "xlsx")
"""The formats that say how the rows came to be, and for whom."""


@dataclass(frozen=True)
class Outcome:
    """The rows of a report, all of them, and how they came to be."""

    report: Report
    table: pa.Table
    facts: RunFacts


class Output(Protocol):
    """Where reports go."""

    def write(self, outcome: Outcome) -> str:
        """Writes a report, and says where for a message: empty, or ``written to …``."""


class StandardOutput:
    """Writes reports one after the other to standard output."""

    def __init__(self, fmt: str, *, raw: bool, titled: bool) -> None:
        self._format = fmt
        self._raw = raw
        self._titled = titled
        self._first = True

    def write(self, outcome: Outcome) -> str:
        """Writes a report; what fails half-way has not been read as whole, and is an error."""
        try:
            self._write(outcome)
            sys.stdout.flush()
        except OSError as error:
            left = isinstance(error, BrokenPipeError)
            reason = f"the result can't be written: {error.strerror or error}"
            raise OutputError(reason, reader_left=left) from None
        return ""

    def _write(self, outcome: Outcome) -> None:
        if self._format == "html":
            _write_page(outcome, sys.stdout)
            return
        if not self._first:
            sys.stdout.write(SEPARATORS[self._format])
        self._first = False
        if self._titled and self._format in ("table", "markdown"):
            mark = "## " if self._format == "markdown" else ""
            say(f"{mark}{outcome.report.title}", "", out=sys.stdout)
        Printer(self._format).write(_safe(outcome.table, self._format, self._raw), frozenset())


class Directory:
    """Writes each report to a file in a directory; its name is the report's."""

    def __init__(self, path: Path, fmt: str, *, raw: bool) -> None:
        self._path = path
        self._format = fmt
        self._raw = raw

    def write(self, outcome: Outcome) -> str:
        """Writes a report; the file is whole, or as it was before."""
        target = self._path / f"{outcome.report.name}.{SUFFIXES[self._format]}"
        try:
            with replaced(target) as part:
                self._write(outcome, part)
        except (OSError, duckdb.IOException) as error:
            reason = getattr(error, "strerror", None) or "the disk does not take it"
            raise OutputError(f"{target} can't be written: {reason}", reader_left=False) from None
        return f"written to {target}"

    def _write(self, outcome: Outcome, path: Path) -> None:
        if self._format == "parquet":
            _write_parquet(outcome.table, path)
        elif self._format == "xlsx":
            _write_workbook(outcome, path, raw=self._raw)
        else:
            # Excel on Windows takes a CSV file for UTF-8 only where it begins with this mark.
            is_for_sheets = self._format == "csv" and not self._raw
            encoding = "utf-8-sig" if is_for_sheets else "utf-8"
            with path.open("w", encoding=encoding, newline="") as text:
                if self._format == "html":
                    _write_page(outcome, text)
                else:
                    rows = _safe(outcome.table, self._format, self._raw)
                    render(rows, self._format, text, width=None)


# The writers are imported where they are used: what was not asked for costs no time.


def _write_page(outcome: Outcome, out: TextIO) -> None:
    from vercel_sql.cli.reports import html

    html.write_page(outcome.report, outcome.table, outcome.facts, out)


def _write_workbook(outcome: Outcome, path: Path, *, raw: bool) -> None:
    from xlsxwriter.exceptions import FileCreateError

    from vercel_sql.cli.reports import xlsx

    # In memory: where a file can't be written, the library tries again when it is collected.
    made = BytesIO()
    try:
        xlsx.write_workbook(outcome.report, outcome.table, outcome.facts, made, raw=raw)
    except FileCreateError as error:  # its temporary files
        raise OSError(*error.args[0].args) from None
    path.write_bytes(made.getbuffer())


def _write_parquet(table: pa.Table, path: Path) -> None:
    """Has DuckDB write the file, which knows its own types best."""
    with duckdb.connect() as con:
        con.from_arrow(table).write_parquet(str(path), compression="zstd")


def _safe(table: pa.Table, fmt: str, raw: bool) -> pa.Table:
    """The rows as they may be written: CSV is opened in spreadsheets, which compute it."""
    if fmt != "csv" or raw:
        return table
    from vercel_sql.cli.reports import spreadsheet

    return spreadsheet.guarded(table)
