"""A report as a workbook: typed cells that sort and filter, and a sheet that explains them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from math import isfinite
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa
import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from vercel_sql.cli.reports.report import MADE_BY, Report, RunFacts, moment_text
from vercel_sql.cli.reports.rows import Kind, Rows, is_risky
from vercel_sql.errors import DataError
from vercel_sql.render.result import display_width
from vercel_sql.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_ROWS = 1_048_576 - 1  # without the header
_MAX_COLUMNS = 16_384
_MAX_CHARACTERS = 32_767  # of UTF-16, in one cell
_CUT = "… (cut here: an Excel cell holds no more)"
_EXACT_DIGITS = 15  # that every Excel number keeps
_DOUBLE_DIGITS = 17  # a DOUBLE has no more, and Excel's number is one
_WIDTHS = {Kind.TIME: 19, Kind.DATE: 11, Kind.FLAG: 7}
_MEASURED_ROWS = 500
_NARROWEST, _WIDEST = 6, 50
_FILTER_BUTTON = 3  # characters of a heading that it covers
_NOT_XML = {0xFFFE: "\ufffd", 0xFFFF: "\ufffd"}  # even escaped


def write_workbook(
    report: Report, table: pa.Table, facts: RunFacts, out: BinaryIO, *, raw: bool
) -> None:
    """Write a workbook: the rows on its first sheet, and a description on its second.

    Cells are typed: no text becomes a formula or link, and none is changed. A text that editing
    its cell would turn into a formula is also marked as text, unless `raw`. Times are dates in
    UTC. Lists, structs, and what Excel has no value for (more than 15 digits, times before 1900,
    infinity) are text.
    """
    rows = Rows(table)
    if rows.number > _MAX_ROWS or len(rows.columns) > _MAX_COLUMNS:
        raise DataError(
            f"Excel has no room for {rows.number:,} rows of {len(rows.columns):,} columns; it "
            f"takes {_MAX_ROWS:,} rows of {_MAX_COLUMNS:,}. Write parquet or csv"
        )
    # Rows go one by one to a temporary file that only its owner may read.
    with xlsxwriter.Workbook(out, {"constant_memory": True}) as book:
        book.set_properties({"title": report.title, "created": facts.at.replace(tzinfo=None)})
        sheet = book.add_worksheet("Report")
        _RowsSheet(book, sheet, raw=raw).write(rows)
        _write_about(book, report, rows.number, facts)


class _RowsSheet:
    """The first sheet: a fixed header, and one cell per value."""

    def __init__(self, book: xlsxwriter.Workbook, sheet: Worksheet, *, raw: bool) -> None:
        self._sheet = sheet
        self._header = book.add_format({"bold": True, "bottom": 1, "bg_color": "#F1F3F5"})
        self._time = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss", "align": "left"})
        self._date = book.add_format({"num_format": "yyyy-mm-dd", "align": "left"})
        self._right = book.add_format({"align": "right"})
        # Like an apostrophe that is typed in front: Excel shows the text as it is.
        self._marked = None if raw else book.add_format({"quote_prefix": True, "num_format": "@"})

    def write(self, rows: Rows) -> None:
        self._sheet.freeze_panes(1, 0)
        self._sheet.autofilter(0, 0, rows.number, len(rows.columns) - 1)
        widths = [display_width(column.name) + _FILTER_BUTTON for column in rows.columns]
        for at, column in enumerate(rows.columns):
            _write_text(self._sheet, 0, at, column.name, self._header)
        for line, row in enumerate(rows, start=1):
            for at, (column, text) in enumerate(zip(rows.columns, row, strict=True)):
                if text is not None:
                    self._cell(line, at, column.kind, text)
                if line <= _MEASURED_ROWS:
                    width = _WIDTHS.get(column.kind) or display_width((text or "")[:_WIDEST])
                    widths[at] = max(widths[at], width)
        for at, width in enumerate(widths):
            self._sheet.set_column(at, at, max(_NARROWEST, min(width + 1, _WIDEST)))

    def _cell(self, line: int, at: int, kind: Kind, text: str) -> None:
        if kind is Kind.FLAG:
            self._sheet.write_boolean(line, at, text == "true")
        elif kind is Kind.NUMBER:
            number = _number(text)
            if number is None:
                _write_text(self._sheet, line, at, text, self._right)
            else:
                self._sheet.write_number(line, at, number)
        elif kind in (Kind.TIME, Kind.DATE) and (moment := _moment(text)) is not None:
            style = self._date if kind is Kind.DATE else self._time
            self._sheet.write_datetime(line, at, moment, style)
        else:
            _write_text(self._sheet, line, at, text, self._marked if is_risky(text) else None)


def _write_text(sheet: Worksheet, line: int, at: int, text: str, style: Format | None) -> None:
    """Write a text as nothing but text, whatever it looks like."""
    text = _within_limit(text).translate(_NOT_XML)
    if text.startswith("<r>") and text.endswith("</r>"):
        # write_string would write this as unescaped XML: a token's name could add a formula. In
        # runs, of which three are needed, it is escaped.
        runs = (text[:1], text[1:2], text[2:])
        sheet.write_rich_string(line, at, *runs, *([style] if style else []))
    else:
        sheet.write_string(line, at, text, style)


def _within_limit(text: str) -> str:
    """The text, or as much as a cell holds, and a note."""
    units = text.encode("utf-16-le")
    if len(units) <= 2 * _MAX_CHARACTERS:
        return text
    return units[: 2 * (_MAX_CHARACTERS - len(_CUT))].decode("utf-16-le", "ignore") + _CUT


def _number(text: str) -> int | float | None:
    """The number, if Excel keeps its last digit."""
    digits = text.partition("e")[0].lstrip("+-0.").replace(".", "")
    whole = text.lstrip("-").isdecimal()
    if len(digits) > (_EXACT_DIGITS if whole else _DOUBLE_DIGITS):
        return None
    value = int(text) if whole else float(text)
    return value if isfinite(value) else None


def _moment(text: str) -> date | datetime | None:
    """The date or time in UTC without a zone, if Excel has it."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment if moment.year > 1900 else None  # Excel's 1900 has a day too many


def _write_about(book: xlsxwriter.Workbook, report: Report, number: int, facts: RunFacts) -> None:
    sheet = book.add_worksheet("About")
    label = book.add_format({"bold": True, "valign": "top"})
    wrapped = book.add_format({"text_wrap": True, "valign": "top", "align": "left"})
    sheet.hide_gridlines(2)
    sheet.set_column(0, 0, 18)
    sheet.set_column(1, 1, 90)
    _write_text(sheet, 0, 0, report.title, book.add_format({"bold": True, "font_size": 16}))
    lines = [line for line in _about(report, number, facts) if line[1]]
    for at, (name, text) in enumerate(lines, start=2):
        _write_text(sheet, at, 0, name, label)
        _write_text(sheet, at, 1, text, wrapped)


def _about(report: Report, number: int, facts: RunFacts) -> Iterator[tuple[str, str]]:
    yield "What it answers", facts.filled_in(report.answers)
    yield "On a hit", facts.filled_in(report.on_hit)
    yield "When", moment_text(facts.at)
    yield "Account", visible(facts.account)
    yield "API", visible(facts.api)
    for name, value, meaning in facts.parameter_lines(report):
        yield f"{name} = {value}", meaning or "parameter"
    yield "Rows", f"{number:,}"
    for warning in facts.warnings:
        yield "Read with care", visible(warning)
    yield "Cost", facts.cost
    yield "Made by", MADE_BY
