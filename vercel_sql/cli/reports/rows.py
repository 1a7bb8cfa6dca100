"""The rows of a result as exact texts, and the kind of each column, for pages and workbooks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto

import pyarrow as pa
from duckdb.sqltypes import DuckDBPyType

from vercel_sql.render.json_text import NESTED, plain_text
from vercel_sql.render.result import Result, is_number

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
