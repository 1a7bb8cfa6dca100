"""Query and manage Vercel with SQL: live tables and functions inside DuckDB.

The module follows PEP 249: `connect`, ``apilevel``, ``threadsafety``, ``paramstyle``, the type
objects and constructors, and the exceptions.

Everything is imported when it is first used, so that ``vercel-sql --help`` and the simulated API
start at once, and the command can obey Ctrl-C from its first import on.
"""

from __future__ import annotations

from vercel_sql._version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from vercel_sql.connection import Attachment, Connection, Cursor, attach, connect, detach
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
        DataWarning,
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
        WaitTooLongError,
        Warning,  # noqa: A004 - the name is PEP 249's
    )

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


# Where the names come from; what needs DuckDB is looked into last.
_HOMES = ("errors", "dbapi", "connection")


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
