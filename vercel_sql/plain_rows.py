"""Rows of plain types, as texts: showing them needs no Arrow."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

_PLAIN = re.compile(
    r"BOOLEAN|U?(?:TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)|VARCHAR|JSON"
)
_FEW = 1_000
"""Rows that are written into a statement; with more, Arrow takes less time to load than that."""


@dataclass(frozen=True)
class PlainRows:
    """Some rows whose values all have one text, from which DuckDB makes the very same value.

    Attributes:
        column_names: the columns' names.
        types: their types in SQL, each of which `is_plain`.
        rows: the values, as DuckDB gave them to Python.
    """

    column_names: Sequence[str]
    types: Sequence[str]
    rows: Sequence[tuple[Any, ...]] = field(repr=False)

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        return len(self.rows)

    def source(self, register: Callable[[str, Any], object]) -> str:
        """SQL that gives the rows, their columns called ``c0``, ``c1`` and so on.

        Args:
            register: makes an Arrow table known to DuckDB under a name.
        """
        columns = [f"c{position}" for position in range(len(self.types))]
        casts = (f"CAST({c} AS {t}) AS {c}" for c, t in zip(columns, self.types, strict=True))
        return f"SELECT {', '.join(casts)} FROM {self._texts(columns, register)}"

    def _texts(self, columns: list[str], register: Callable[[str, Any], object]) -> str:
        texts = [tuple(map(_text, row)) for row in self.rows]
        if not texts:
            return f"(SELECT {', '.join(f'NULL AS {c}' for c in columns)} WHERE false)"
        if len(texts) <= _FEW:
            values = ", ".join(f"({', '.join(map(_literal, row))})" for row in texts)
            return f"(VALUES {values}) AS texts({', '.join(columns)})"
        import pyarrow as pa

        arrays = [pa.array(column, pa.string()) for column in zip(*texts, strict=True)]
        register("texts", pa.Table.from_arrays(arrays, names=columns))
        return "texts"


def is_plain(dtype: str) -> bool:
    """Whether values of a type have one text, from which DuckDB makes the very same value."""
    return _PLAIN.fullmatch(dtype) is not None


def _text(value: object) -> str | None:
    match value:
        case None | str():
            return value
        case Decimal():
            return format(value, "f")
        case _:
            return str(value)


def _literal(text: str | None) -> str:
    if text is None:
        return "NULL"
    parts: Iterator[str] = ("'" + part.replace("'", "''") + "'" for part in text.split("\0"))
    return " || chr(0) || ".join(parts)
