"""Query and manage Vercel with SQL: live tables and functions inside DuckDB.

The module follows PEP 249. It is in autocommit: every statement takes effect at once. DuckDB's own
transactions (``BEGIN`` …) work for local tables; a write to the API is refused inside one.

Everything else is imported on first use, so that ``vercel-sql --help`` and the simulated API start
at once, and the command can obey Ctrl-C from its first import on.
"""

# ruff: noqa: F405 - type checkers see the errors, and everybody else imports them by name

from __future__ import annotations

import datetime as _datetime
import time as _time

from vercel_sql._version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vercel_sql.connection import Attachment, Connection, Cursor, attach, connect, detach
    from vercel_sql.errors import *  # noqa: F403

__all__ = [
    "BINARY",
    "DATETIME",
    "NUMBER",
    "ROWID",
    "STRING",
    "APIError",
    "AnswerError",
    "AnswerMismatchError",
    "Attachment",
    "Binary",
    "Connection",
    "Cursor",
    "DataError",
    "DataWarning",
    "DatabaseError",
    "Date",
    "DateFromTicks",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "MissingTokenError",
    "NotApprovedError",
    "NotSupportedError",
    "OperationalError",
    "ParameterError",
    "PartialWriteError",
    "ProgrammingError",
    "RateLimitedError",
    "ReadOnlyError",
    "RotationError",
    "RowCountError",
    "SQLSyntaxError",
    "Time",
    "TimeFromTicks",
    "Timestamp",
    "TimestampFromTicks",
    "TooManyWritesError",
    "TransportError",
    "UnknownOutcomeError",
    "WaitTooLongError",
    "Warning",
    "__version__",
    "apilevel",
    "attach",
    "connect",
    "detach",
    "paramstyle",
    "threadsafety",
]


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


# Where the names come from; what needs DuckDB is looked into last.
_HOMES = ("errors", "connection")


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _HOMES:
        return import_module(f"vercel_sql.{name}")
    for home in _HOMES if name in __all__ else ():
        module = import_module(f"vercel_sql.{home}")
        if hasattr(module, name):
            return globals().setdefault(name, getattr(module, name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: Any) -> None:
    """Makes ``%vercel`` and ``%%vercel`` known to IPython, for ``%load_ext vercel_sql``."""
    from vercel_sql.notebook import load_ipython_extension as load

    load(shell)
