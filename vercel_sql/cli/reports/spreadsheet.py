"""Keeps values that others wrote from becoming formulas where a CSV file is opened as a sheet.

The apostrophe in front is what OWASP advises. It also goes after separators inside a value: where
sheets part fields by semicolons, `a;=1+1` in a CSV file of commas is two fields, quoted or not.
"""

from __future__ import annotations

import re

import pyarrow as pa
from duckdb.sqltypes import DuckDBPyType

from vercel_sql.render.json_text import plain_text
from vercel_sql.render.result import Result, is_number

# The last four are the full-width forms, which sheets with an East Asian locale take as well.
_FORMULA = r"""(?:[^\S\t\r\n]|")*[=+\-@\uff1d\uff0b\uff0d\uff20]"""
_BEGINS = re.compile(rf"[\t\r\n\0]|{_FORMULA}")
_GOES_ON = re.compile(rf"(?<=[;\t\r\n])(?={_FORMULA})")

# Types whose texts are DuckDB's own making: no value of theirs holds what somebody wrote.
_HARMLESS = frozenset(("boolean", "date", "interval", "uuid", "bit"))


def guarded(table: pa.Table) -> pa.Table:
    """The table with an apostrophe before each text that a spreadsheet could take for a formula.

    Names of columns are guarded as values are. Lists, structs, JSON and all else that may hold text
    become the text that CSV has for them, since what they hold could be a formula there as well.
    Numbers, times and booleans are left as they are.
    """
    with Result(table) as result:
        names = [guarded_text(name) for name in result.names]
        doubtful = [at for at, dtype in enumerate(result.types) if not _is_harmless(dtype)]
    if doubtful:
        for at, column in zip(doubtful, _texts(table.select(doubtful)), strict=True):
            table = table.set_column(at, names[at], column)
    return table.rename_columns(names)


def guarded_text(text: str) -> str:
    """The text with an apostrophe before each place where a formula could begin."""
    return ("'" if is_risky(text) else "") + _GOES_ON.sub("'", text)


def is_risky(text: str) -> bool:
    """Whether a spreadsheet could take the text, as it begins, for a formula."""
    return _BEGINS.match(text) is not None


def _texts(table: pa.Table) -> list[pa.Array]:
    columns: list[list[str | None]] = [[] for _ in table.schema]
    with Result(table) as result:
        for rows in result.texts(plain_text):
            for column, texts in zip(columns, zip(*rows, strict=True), strict=True):
                column += [None if text is None else guarded_text(text) for text in texts]
    return [pa.array(column, pa.string()) for column in columns]


def _is_harmless(dtype: DuckDBPyType) -> bool:
    name = str(dtype.id)
    return is_number(dtype) or name in _HARMLESS or name.startswith("time")
