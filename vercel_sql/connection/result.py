"""The result that a cursor holds: its rows are in DuckDB, or in memory."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

from duckdb import DuckDBPyConnection

from vercel_sql.catalog.ddl import quoted
from vercel_sql.errors import (
    DataError,
    Error,
    InterfaceError,
    PartialWriteError,
    ProgrammingError,
)
from vercel_sql.redaction.known import NotPicklable
from vercel_sql.sql import Native, Statement
from vercel_sql.sql.plan import Outcome

if TYPE_CHECKING:
    import pyarrow as pa

# Statements whose rows are what was asked for, and never DuckDB's word for what it did.
_QUERIES = frozenset(["FROM", "SELECT", "TABLE", "VALUES", "WITH"])
# Rows that are taken from DuckDB at a time, as it computes them.
_BATCH_ROWS = 2048
_VIEW = "__vercel_sql_result"
Description = list[tuple[str, Any, None, None, None, None, None]]
Rows = list[tuple[Any, ...]]
T = TypeVar("T")


class Result(NotPicklable):
    """The result of a cursor's last statement; it knows nothing of the cursor.

    Attributes:
        description: name and type of each column; None where there are none.
        rowcount: how many rows the statement changed; -1 where that is not known.
        counts: whether the number of rows that it changed is all that it gives.
        is_begun: whether rows were taken out of DuckDB, so that the whole isn't there any more.
        arrow: the rows, where they were given in Arrow; that may be asked for again.
        secret_columns: the columns whose values are shown this once.
    """

    def __init__(self) -> None:
        self._native: DuckDBPyConnection | None = None
        self._rows: deque[tuple[Any, ...]] = deque()
        self._is_parked = False
        self._failure: Exception | None = None
        self._kept: Outcome | None = None
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
        """Takes over what DuckDB gave for a statement."""
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
            self.description = list(native.description or [])
            self._rows, self.is_begun = deque(rows), True

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
        return PartialWriteError(text, cause=error, table=self._kept.table)

    @property
    def reads_natively(self) -> bool:
        """Whether rows are still in DuckDB."""
        return self._native is not None

    def has_ready(self, count: int | None) -> bool:
        """Whether so many rows can be given without DuckDB."""
        return count is not None and len(self._rows) >= count

    def fetch(self, count: int | None) -> Rows:
        """The next rows, at most so many; all that are left where it is None."""
        self._require()
        while self._native is not None and not self.has_ready(count):
            self._fetch_batch(self._native, count)
        if count is None:
            count = len(self._rows)
        return [self._rows.popleft() for _ in range(min(count, len(self._rows)))]

    def _fetch_batch(self, native: DuckDBPyConnection, count: int | None) -> None:
        self.is_begun = True
        most = max(_BATCH_ROWS, count or 0)
        batch = native.fetchall() if count is None else native.fetchmany(most)
        self._rows.extend(batch)
        if count is None or len(batch) < most:
            self._native = None

    def park(self) -> None:
        """Sets the unread rows aside, so that the DuckDB connection is free."""
        if self._native is not None and self.description is not None:
            self._fetch_batch(self._native, None)
            self._is_parked = True
        self._native = None

    def fail(self, error: Exception) -> None:
        """Keeps what went wrong while rows were set aside, for whoever fetches them."""
        self._native, self._failure = None, error

    def _require(self) -> None:
        if self._failure is not None:
            failure = self._failure
            self.clear()
            raise failure
        if self.description is None:
            raise ProgrammingError("there is no result to fetch: execute a statement with rows")

    def whole(self) -> DuckDBPyConnection:
        """The DuckDB connection, for all of the rows at once."""
        self._require()
        if self._is_parked:
            raise ProgrammingError(
                "another cursor of this connection has run a statement since: fetch the rows one "
                "by one, or ask for a DataFrame or Arrow table right after execute"
            )
        if self._native is None or self.is_begun:
            raise ProgrammingError(
                "rows of this result were fetched already: ask for a DataFrame or Arrow table "
                "right after execute"
            )
        return self._native

    def finish(self) -> None:
        """All of the rows were given at once."""
        self._native, self.is_begun = None, True


class ResultView:
    """A session beside the user's, in which our own results stand, to be fetched like any other."""

    def __init__(self, native: DuckDBPyConnection) -> None:
        self._native = native.cursor()
        self._is_registered = False

    def register(self, table: pa.Table) -> DuckDBPyConnection:
        """Makes a table the result that the session holds, and gives the session."""
        names = table.column_names
        # DuckDB 1.5 can't scan a table of Arrow with two columns of one name.
        places = [f"c{place}" for place in range(len(names))]
        shown = ", ".join(f"{p} AS {quoted(name)}" for p, name in zip(places, names, strict=True))
        self._native.register(_VIEW, table.rename_columns(places))
        self._is_registered = True
        return self._native.execute(f"SELECT {shown} FROM {_VIEW}")

    def unregister(self) -> None:
        """Takes the table out again."""
        if self._is_registered:
            abort(self._native)
            self._native.unregister(_VIEW)
            self._is_registered = False

    def close(self) -> None:
        """Closes the session."""
        self._native.close()


def abort(con: DuckDBPyConnection) -> None:
    """Drops what is unread; DuckDB 2.0 does nothing else before, and 1.5 does it by itself."""
    if hasattr(con, "abort"):
        con.abort()
