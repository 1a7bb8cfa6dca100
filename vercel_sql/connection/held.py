"""The result that a cursor holds: its rows are in DuckDB, or set aside in memory."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb
from duckdb import DuckDBPyConnection

from vercel_sql.api.redaction.unpickled import HoldsSecrets
from vercel_sql.errors import DataError, Error, InterfaceError, ProgrammingError
from vercel_sql.sql import Native, Statement
from vercel_sql.sql.plan import Outcome
from vercel_sql.tables.keeping import kept_rows

if TYPE_CHECKING:
    import pyarrow as pa

# Statements whose rows are what was asked for, and never DuckDB's word for what it did.
_QUERIES = frozenset(["FROM", "SELECT", "TABLE", "VALUES", "WITH"])
Description = list[tuple[str, Any, None, None, None, None, None]]


T = TypeVar("T")


class Result(HoldsSecrets):
    """The result of a cursor's last statement; it knows nothing of the cursor.

    Attributes:
        description: name and type of each column; None where there are none.
        rowcount: how many rows the statement changed; -1 where that is not known.
        counts: whether the number of rows that it changed is all that it gives.
        parked: the unread rows, once another statement needed the DuckDB connection.
        is_begun: whether some of its rows were given one by one.
        arrow: the rows, where they were given in Arrow; that may be asked for again.
        secret_columns: the columns whose values are shown this once.
    """

    def __init__(self) -> None:
        self._native: DuckDBPyConnection | None = None
        self._failure: Exception | None = None
        self._kept: Outcome | None = None
        self.parked: deque[tuple[Any, ...]] | None = None
        self.is_begun = False
        self.arrow: pa.Table | None = None
        self.description: Description | None = None
        self.rowcount = -1
        self.counts = False
        self.secret_columns: frozenset[str] = frozenset()

    def clear(self) -> None:
        """Forgets everything."""
        self.__init__()  # type: ignore[misc]

    def take_rows(self, native: DuckDBPyConnection) -> None:
        """Takes over the rows that stand in a DuckDB connection."""
        self.rowcount = -1
        self._native = native
        self.description = list(native.description or []) or None

    def take_outcome(self, native: DuckDBPyConnection, outcome: Outcome) -> None:
        """Takes over the result of a statement of ours, whose rows stand in the connection."""
        if outcome.only_counts:
            self.rowcount, self.counts = outcome.changed or 0, True
            return
        self.take_rows(native)
        self.rowcount = -1 if outcome.changed is None else outcome.changed
        self.secret_columns = outcome.secrets
        self._kept = outcome if outcome.secrets else None

    def take(self, native: DuckDBPyConnection, statement: Statement) -> None:
        """Takes over what DuckDB gave for a statement.

        Raises:
            duckdb.Error: the rows that it changed can't be counted.
        """
        if isinstance(statement, Native) and statement.first_keyword in _QUERIES:
            self.take_rows(native)
            return
        described = [(str(name), str(kind)) for name, kind, *_ in native.description or []]
        if described == [("Success", "BOOLEAN")]:
            # What DuckDB gives for a statement without rows.
            return
        if described != [("Count", "BIGINT")]:
            self.take_rows(native)
            return
        rows = native.fetchall()
        if len(rows) == 1:
            (self.rowcount,), self.counts = rows[0], True
        elif rows:
            self.description, self.parked = list(native.description or []), deque(rows)

    def unread(self, error: Exception) -> Exception:
        """The error for rows that could not be read; it has those that nobody can ask for again."""
        if not isinstance(error, Error | MemoryError):
            kind = type(error).__name__
            error = DataError(
                f"the rows can't be given as Python's values: {kind}: {error}. Cast the column, "
                "for example to VARCHAR"
            )
        if self._kept is None or isinstance(error, InterfaceError | ProgrammingError):
            return error
        reason = str(error) or type(error).__name__
        text = f"the rows could not be given: {reason}. They are kept in this error"
        return kept_rows(text, error, self._kept.table)

    @property
    def reads_natively(self) -> bool:
        """Whether its rows are still in DuckDB, and not set aside."""
        return self._native is not None and self.parked is None and self._failure is None

    def park(self) -> None:
        """Sets the unread rows aside, so that the DuckDB connection is free."""
        if self._native is not None and self.parked is None and self.description is not None:
            self.parked = deque(self._native.fetchall())
        self._native = None

    def fail(self, error: Exception) -> None:
        """Keeps what went wrong while rows were set aside, for whoever fetches them."""
        self._native, self._failure = None, error

    def set_aside(self) -> deque[tuple[Any, ...]] | None:
        """The rows that were set aside, if they were.

        Raises:
            Error: they could not be read.
        """
        if self._failure is not None:
            failure = self._failure
            self.clear()
            raise failure
        return self.parked

    def source(self) -> DuckDBPyConnection:
        """The DuckDB connection that its rows stand in.

        Raises:
            ProgrammingError: there are none.
        """
        if self._native is None or self.description is None:
            raise ProgrammingError("there is no result to fetch: execute a statement with rows")
        return self._native

    def unparked(self) -> DuckDBPyConnection:
        """The same, where all rows have to come from there.

        Raises:
            ProgrammingError: there are none, or they were set aside, or some were given.
        """
        if self.set_aside() is not None:
            raise ProgrammingError(
                "another cursor of this connection has run a statement since: fetch the rows one "
                "by one, or ask for a DataFrame or Arrow table right after execute"
            )
        if self.is_begun and duckdb.__version__.startswith("1."):
            # It would leave out the rest of those that it has at hand.
            raise ProgrammingError(
                "some rows were fetched one by one, and DuckDB 1.5 gives the others in that way "
                "only: ask for a DataFrame or Arrow table right after execute"
            )
        return self.source()

    def whole(self, rows: T | None) -> T:
        """What DuckDB gave of all rows that are left.

        Raises:
            ProgrammingError: nothing, since all were given.
        """
        if rows is None:
            raise ProgrammingError("the rows were fetched already: execute the statement again")
        return rows
