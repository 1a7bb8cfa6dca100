"""The rows of a result for pages, workbooks and spreadsheets: exact texts, and no formulas."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto

import pyarrow as pa
from duckdb.sqltypes import DuckDBPyType

from vercel_sql.render.result import Result, is_number
from vercel_sql.render.text_formats import NESTED, plain_text

_TIMES = frozenset(
    ("timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone")
)


class Kind(Enum):
    """What the values of a column are to a reader."""

    NUMBER = auto()
    TIME = auto()
    DATE = auto()
    FLAG = auto()
    NESTED = auto()
    TEXT = auto()


@dataclass(frozen=True)
class Column:
    """A column of a result: its name, which may occur twice, and its kind."""

    name: str
    kind: Kind


Row = Sequence[str | None]
"""The texts of a row's values as DuckDB casts them in UTC; nested ones as JSON, NULL as None."""


class Rows:
    """The columns, and on iteration all rows, of a result."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self.number: int = table.num_rows
        with Result(table) as result:
            types = zip(result.names, result.types, strict=True)
            self.columns = [Column(name, _kind(dtype)) for name, dtype in types]

    def __iter__(self) -> Iterator[Row]:
        with Result(self._table) as result:
            texts = [plain_text(*column) for column in result.columns()]
            for lines in result.lines(f"CAST(to_json([{', '.join(texts)}]) AS VARCHAR)"):
                yield from map(json.loads, lines)


def _kind(dtype: DuckDBPyType) -> Kind:
    name = str(dtype.id)
    if is_number(dtype):
        return Kind.NUMBER
    if name in _TIMES:
        return Kind.TIME
    if str(dtype) == "JSON" or name in NESTED:
        return Kind.NESTED
    return {"date": Kind.DATE, "boolean": Kind.FLAG}.get(name, Kind.TEXT)


# Text in a CSV file must not become a formula. The apostrophe in front is OWASP's advice. It also
# goes after separators inside a value: a spreadsheet that splits at semicolons sees two fields in
# `a;=1+1`, even if it is quoted. The last four are full-width forms, which East Asian locales
# accept as well.
_FORMULA = r"""(?:[^\S\t\r\n]|")*[=+\-@\uff1d\uff0b\uff0d\uff20]"""
_BEGINS = re.compile(rf"[\t\r\n\0]|{_FORMULA}")
_CONTINUES = re.compile(rf"(?<=[;\t\r\n])(?={_FORMULA})")


def without_formulas(table: pa.Table) -> pa.Table:
    """The table with an apostrophe wherever a spreadsheet could see a formula.

    So are the names of columns. Types that may contain text, such as lists and JSON, become their
    CSV text; numbers, times and booleans stay.
    """
    with Result(table) as result:
        names = [_guarded_text(name) for name in result.names]
        risky = [at for at, dtype in enumerate(result.types) if not _is_harmless(dtype)]
    if risky:
        for at, column in zip(risky, _texts(table.select(risky)), strict=True):
            table = table.set_column(at, names[at], column)
    return table.rename_columns(names)


def _is_harmless(dtype: DuckDBPyType) -> bool:
    """Whether DuckDB alone writes the texts of a type."""
    name = str(dtype.id)
    is_plain = name in ("boolean", "date", "interval", "uuid", "bit") or name.startswith("time")
    return is_plain or is_number(dtype)


def _guarded_text(text: str) -> str:
    return ("'" if is_risky(text) else "") + _CONTINUES.sub("'", text)


def is_risky(text: str) -> bool:
    """Whether a spreadsheet could take the start of the text for a formula."""
    return _BEGINS.match(text) is not None


def _texts(table: pa.Table) -> list[pa.Array]:
    columns: list[list[str | None]] = [[] for _ in table.schema]
    with Result(table) as result:
        for rows in result.texts(plain_text):
            for column, texts in zip(columns, zip(*rows, strict=True), strict=True):
                column += [None if text is None else _guarded_text(text) for text in texts]
    return [pa.array(column, pa.string()) for column in columns]
