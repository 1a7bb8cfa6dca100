"""What PEP 249 asks of the module, beside `connect` and the exceptions.

Autocommit: every statement takes effect at once. DuckDB's own transactions (``BEGIN`` …) work for
local tables; a write to the API can't be rolled back and is refused inside one.
"""

from __future__ import annotations

import datetime as _datetime
import time as _time
from typing import Any

apilevel = "2.0"
# Threads may share the module. Give each thread a connection of its own.
threadsafety = 1
# ``?`` and, in DuckDB's way, ``$1``; ``$name``, ``:name`` and ``{{ name }}`` work as well.
paramstyle = "qmark"

Date = _datetime.date
Time = _datetime.time
Timestamp = _datetime.datetime
Binary = bytes


def DateFromTicks(ticks: float) -> _datetime.date:  # noqa: N802 - PEP 249's name
    """A date of seconds since the epoch, in local time."""
    return Date(*_time.localtime(ticks)[:3])


def TimeFromTicks(ticks: float) -> _datetime.time:  # noqa: N802 - PEP 249's name
    """A time of day of seconds since the epoch, in local time."""
    return Time(*_time.localtime(ticks)[3:6])


def TimestampFromTicks(ticks: float) -> _datetime.datetime:  # noqa: N802 - PEP 249's name
    """A timestamp of seconds since the epoch, in local time."""
    return Timestamp(*_time.localtime(ticks)[:6])


class TypeObject:
    """Equal to every DuckDB type of its kind, as PEP 249 asks of type objects.

    Args:
        name: the kind.
        types: the names that DuckDB's types of the kind begin with.
    """

    def __init__(self, name: str, *types: str) -> None:
        self._name = name
        self._types = types

    def __repr__(self) -> str:
        return self._name

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TypeObject):
            return self._name == other._name
        text = str(other).upper()
        return any(text == name or text.startswith(f"{name}(") for name in self._types)

    def __hash__(self) -> int:
        return hash(self._name)


STRING: Any = TypeObject("STRING", "VARCHAR", "JSON", "UUID", "ENUM", "BIT")
BINARY: Any = TypeObject("BINARY", "BLOB")
NUMBER: Any = TypeObject(
    "NUMBER",
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"),
    *("FLOAT", "DOUBLE", "DECIMAL", "BOOLEAN", "BIGNUM"),
)
DATETIME: Any = TypeObject(
    "DATETIME",
    *("DATE", "TIME", "TIME_NS", "TIME WITH TIME ZONE", "INTERVAL"),
    *("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"),
)
ROWID: Any = TypeObject("ROWID")
