"""Values of Python's, numpy's, pandas', polars' and Arrow's as DuckDB takes them for parameters.

The libraries are the caller's choice, so what is theirs is known by its names.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections import deque
from collections.abc import Mapping, Set, ValuesView
from typing import Any

_TABLES = frozenset(
    [
        *("DataFrame", "LazyFrame", "Table", "RecordBatch", "RecordBatchReader", "Dataset"),
        *("DuckDBPyRelation", "Rows"),
    ]
)
_VALUES = (
    *(bool, int, float, str, bytes, bytearray, memoryview, type(None), uuid.UUID),
    *(datetime.date, datetime.time, datetime.timedelta, decimal.Decimal),
)
_FINER = ("[ns]", "[ps]", "[fs]", "[as]")


class NoValueError(TypeError):
    """Something has no value in SQL."""


def is_table(value: object) -> bool:
    """Whether it is a DataFrame or another table, of whatever library."""
    return any(kind.__name__ in _TABLES for kind in type(value).__mro__)


def bindable(value: Any) -> Any:
    """A value as DuckDB takes it: a list for a set or a column, None for what is missing.

    Raises:
        NoValueError: it is none, such as a table.
    """
    module = type(value).__module__.partition(".")[0]
    if is_table(value):
        raise NoValueError(type(value).__name__)
    if module == "numpy" and hasattr(value, "dtype"):
        return _of_numpy(value)
    if module == "pandas" and type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, _VALUES) or module == "duckdb":
        return value
    if isinstance(value, Mapping):
        return {key: bindable(each) for key, each in value.items()}
    if isinstance(value, list | tuple | Set | range | deque | ValuesView):
        return [bindable(each) for each in value]
    return _of_library(value)


def _of_numpy(value: Any) -> Any:
    if str(value.dtype).endswith(_FINER):
        # It would become a number of nanoseconds.
        value = value.astype(f"{value.dtype.kind}8[us]")
    return bindable(value.tolist()) if value.dtype.kind in "OV" else value.tolist()


def _of_library(value: Any) -> Any:
    for name in ("to_list", "to_pylist", "as_py"):
        if hasattr(value, name):
            return bindable(getattr(value, name)())
    raise NoValueError(type(value).__name__)
