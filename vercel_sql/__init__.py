"""Query and manage Vercel with SQL: live tables and functions inside DuckDB.

The module follows PEP 249: `connect`, ``apilevel``, ``threadsafety``, ``paramstyle``, the type
objects and constructors, and the exceptions.

What needs DuckDB is imported when it is first used, so that ``vercel-sql --help`` and the simulated
API start at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vercel_sql._version import __version__
from vercel_sql.dbapi import (
    BINARY,
    DATETIME,
    NUMBER,
    ROWID,
    STRING,
    Binary,
    Date,
    DateFromTicks,
    Time,
    TimeFromTicks,
    Timestamp,
    TimestampFromTicks,
    apilevel,
    paramstyle,
    threadsafety,
)
from vercel_sql.errors import (
    AnswerError,
    AnswerMismatchError,
    APIError,
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    MissingTokenError,
    NotApprovedError,
    NotSupportedError,
    OperationalError,
    ParameterError,
    PartialWriteError,
    ProgrammingError,
    RateLimitedError,
    ReadOnlyError,
    RotationError,
    RowCountError,
    SQLSyntaxError,
    TooManyWritesError,
    TransportError,
    UnknownOutcomeError,
    Warning,  # noqa: A004 - the name is PEP 249's
)

if TYPE_CHECKING:
    from vercel_sql.connection import Attachment, Connection, Cursor, attach, connect, detach

_WHEN_USED = ("Attachment", "Connection", "Cursor", "attach", "connect", "detach")

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
    "Warning",
    "__version__",
    "apilevel",
    "attach",
    "connect",
    "detach",
    "paramstyle",
    "threadsafety",
]


def __getattr__(name: str) -> Any:
    if name in _WHEN_USED:
        return getattr(import_module("vercel_sql.connection"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(shell: Any) -> None:
    """Makes ``%vercel`` and ``%%vercel`` known to IPython, for ``%load_ext vercel_sql``."""
    import_module("vercel_sql.notebook").load_ipython_extension(shell)
