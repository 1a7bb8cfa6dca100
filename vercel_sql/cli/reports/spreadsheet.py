"""Keeps text in a CSV file from becoming a formula when a spreadsheet opens it.

The apostrophe in front is OWASP's advice. It also goes after separators inside a value: a
spreadsheet that splits at semicolons sees two fields in `a;=1+1`, even if it is quoted.
"""

from __future__ import annotations

import re

import pyarrow as pa
from duckdb.sqltypes import DuckDBPyType

from vercel_sql.render.json_text import plain_text
from vercel_sql.render.result import Result, is_number

# The last four are full-width forms, which East Asian locales accept as well.
_FORMULA = r"""(?:[^\S\t\r\n]|")*[=+\-@\uff1d\uff0b\uff0d\uff20]"""
_BEGINS = re.compile(rf"[\t\r\n\0]|{_FORMULA}")
_CONTINUES = re.compile(rf"(?<=[;\t\r\n])(?={_FORMULA})")

# DuckDB alone writes the texts of these types.
_HARMLESS = frozenset(("boolean", "date", "interval", "uuid", "bit"))


def guarded(table: pa.Table) -> pa.Table:
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


def _is_harmless(dtype: DuckDBPyType) -> bool:
    name = str(dtype.id)
    return is_number(dtype) or name in _HARMLESS or name.startswith("time")
