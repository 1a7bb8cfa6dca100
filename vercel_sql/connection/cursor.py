"""A cursor as PEP 249 has it, over the one DuckDB connection that its connection holds.

All cursors of a connection share its session: ``USE``, variables, temporary tables and
transactions. DuckDB keeps one unread result a connection; when another cursor needs the
connection, what is still unread is set aside in memory.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from vercel_sql.api.redaction.unpickled import HoldsSecrets
from vercel_sql.api.redaction.unshown import Unshown
from vercel_sql.errors import InterfaceError, ProgrammingError
from vercel_sql.sql import Parameters
from vercel_sql.sql.running import Outcome
from vercel_sql.tables.writing import kept_rows

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from vercel_sql.connection.connection import Connection

Values = Mapping[str, object] | Sequence[object] | Parameters | None
Description = list[tuple[str, Any, None, None, None, None, None]]


class Cursor(HoldsSecrets):
    """Runs statements and gives their rows.

    Attributes:
        arraysize: how many rows `fetchmany` gives by default.
        secret_columns: the columns of the last result whose values are shown this once.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._closed = False
        self._native: duckdb.DuckDBPyConnection | None = None
        self._parked: deque[tuple[Any, ...]] | None = None
        self._failure: Exception | None = None
        self._description: Description | None = None
        self._rowcount = -1
        self._kept: Outcome | None = None
        self.arraysize = 1
        self.secret_columns: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        columns = len(self._description or [])
        return f"<Cursor: {'closed' if self._closed else f'{columns} columns'}>"

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self

    def __next__(self) -> tuple[Any, ...]:
        row = self.fetchone()
        if row is None:
            raise StopIteration
        return row

    @property
    def connection(self) -> Connection:
        """The connection that the cursor belongs to."""
        return self._connection

    @property
    def description(self) -> Description | None:
        """Name and type of each column of the last result; None where there is none."""
        return self._description

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed; -1 where that is not known."""
        return self._rowcount

    def execute(self, operation: str, parameters: Values = None) -> Cursor:
        """Runs a script of one or more statements; the last one's result can be fetched.

        Args:
            operation: the statements, of DuckDB's SQL and of this dialect.
            parameters: a sequence for ``?``, or a mapping for ``$name``, ``:name`` and
                ``{{ name }}``.

        Raises:
            Error: any of PEP 249's errors; see `vercel_sql.errors` for the tree below them.
        """
        # From here on under a repr that shows nothing, whatever writes down our variables.
        parameters, hidden = wrapped(parameters), Unshown(operation)
        del operation
        return self._execute(hidden, parameters)

    def _execute(self, operation: Unshown, parameters: Parameters) -> Cursor:
        self._check_open()
        self._connection._run_script(self, operation, parameters)
        return self

    def executemany(self, operation: str, seq_of_parameters: Iterable[Values]) -> Cursor:
        """Runs a script once for each set of parameters; the rows of all but the last are dropped.

        Raises:
            ProgrammingError: it would make a secret that is shown once, and that is saved nowhere.
            TooManyWritesError: all runs together would send more writes than ``max_writes``.
            PartialWriteError: a run failed after others were carried out; it has their rows.
            Error: as for `execute`.
        """
        hidden, each = Unshown(operation), map(wrapped, seq_of_parameters)
        sets = counted(seq_of_parameters)
        del operation, seq_of_parameters
        return self._executemany(hidden, each, sets)

    def _executemany(
        self, operation: Unshown, each: Iterable[Parameters], sets: int | None
    ) -> Cursor:
        self._check_open()
        changed = 0
        with self._connection._batch(operation, sets) as batch:
            for parameters in each:
                self._connection._run_script(self, operation, parameters, batch)
                batch.run_is_over()
                changed += max(self._rowcount, 0)
        self._rowcount = changed
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row, or None at the end.

        Raises:
            ProgrammingError: there is no result.
        """
        with self._connection._using(self):
            parked = self._set_aside()
            if parked is not None:
                return parked.popleft() if parked else None
            row: tuple[Any, ...] | None = self._result().fetchone()
        if row is None:
            self._connection._was_read(self)
        return row

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """The next rows, at most ``size`` (`arraysize` where it is None); empty at the end.

        Raises:
            ProgrammingError: there is no result.
        """
        count = self.arraysize if size is None else size
        with self._connection._using(self):
            parked = self._set_aside()
            if parked is not None:
                return [parked.popleft() for _ in range(min(count, len(parked)))]
            rows = self._result().fetchmany(count)
        if len(rows) < count:
            self._connection._was_read(self)
        return rows

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left.

        Raises:
            ProgrammingError: there is no result.
        """
        with self._connection._using(self, to_end=True):
            parked = self._set_aside()
            if parked is not None:
                self._parked = deque()
                return list(parked)
            return self._result().fetchall()

    def df(self) -> pd.DataFrame:
        """The rows that are left as a pandas DataFrame.

        Raises:
            InterfaceError: pandas is missing; the rows can be fetched in another way.
        """
        require_library("pandas")
        with self._connection._using(self, to_end=True):
            frame: pd.DataFrame = self._unparked().df()
            return frame

    def pl(self) -> pl.DataFrame:
        """The rows that are left as a polars DataFrame.

        Raises:
            InterfaceError: polars is missing; the rows can be fetched in another way.
        """
        require_library("polars")
        # Imported here: polars is the caller's choice, and no dependency of this package.
        import polars

        return polars.DataFrame(self.arrow())

    def arrow(self) -> pa.Table:
        """The rows that are left as a pyarrow Table."""
        with self._connection._using(self, to_end=True), _no_copy_warning():
            return self._unparked().to_arrow_table()

    def setinputsizes(self, sizes: Sequence[Any]) -> None:
        """Does nothing, as PEP 249 allows."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Does nothing, as PEP 249 allows."""

    def close(self) -> None:
        """Closes the cursor; its result is gone."""
        if not self._closed:
            self._connection._forget(self)
        self._closed = True
        self._clear()

    def _clear(self) -> None:
        self._native = None
        self._parked = None
        self._failure = None
        self._description = None
        self._rowcount = -1
        self._kept = None
        self.secret_columns = frozenset()

    def _take_rows(self, native: duckdb.DuckDBPyConnection) -> None:
        """Takes over the rows that stand in the DuckDB connection."""
        self._rowcount = -1
        self._native = native
        self._description = list(native.description or []) or None

    def _take_outcome(self, native: duckdb.DuckDBPyConnection, outcome: Outcome) -> None:
        """Takes over the result of a statement of ours, whose rows stand in the connection."""
        self._take_rows(native)
        self._rowcount = -1 if outcome.changed is None else outcome.changed
        self.secret_columns = outcome.secrets
        self._kept = outcome if outcome.secrets else None

    def _unread(self, error: Exception) -> Exception:
        """The error for rows that could not be read; it has those that nobody can ask for again."""
        if self._kept is None or isinstance(error, InterfaceError | ProgrammingError):
            return error
        reason = str(error) or type(error).__name__
        text = f"the rows could not be given: {reason}. They are kept in this error"
        return kept_rows(text, error, self._kept.table)

    def _take_any(self, native: duckdb.DuckDBPyConnection) -> None:
        """Takes over the result of a statement of DuckDB's that is no query."""
        described = [(str(name), str(kind)) for name, kind, *_ in native.description or []]
        if described == [("Success", "BOOLEAN")]:
            # What DuckDB gives for a statement without rows.
            return
        self._take_rows(native)
        if described == [("Count", "BIGINT")]:
            self._count(native)

    def _count(self, native: duckdb.DuckDBPyConnection) -> None:
        """Learns how many rows DuckDB changed, and leaves that result to be fetched."""
        rows = native.fetchall()
        if len(rows) == 1:
            self._rowcount = rows[0][0]
            native.execute(f'SELECT {self._rowcount}::BIGINT AS "Count"')
        elif rows:
            self._parked = deque(rows)
        else:
            # What DuckDB gives for CREATE TABLE.
            self._native, self._description = None, None

    @property
    def _reads_natively(self) -> bool:
        """Whether its rows are still in DuckDB, and not set aside."""
        return self._native is not None and self._parked is None and self._failure is None

    def _park(self) -> None:
        """Sets the unread rows aside, so that the DuckDB connection is free."""
        if self._native is not None and self._parked is None and self._description is not None:
            self._parked = deque(self._native.fetchall())
        self._native = None

    def _fail(self, error: Exception) -> None:
        """Keeps what went wrong while rows were set aside, for whoever fetches them."""
        self._native, self._failure = None, error

    def _set_aside(self) -> deque[tuple[Any, ...]] | None:
        """The rows that were set aside, if they were.

        Raises:
            Error: they could not be read.
        """
        if self._failure is not None:
            failure = self._failure
            self._clear()
            raise failure
        return self._parked

    def _check_open(self) -> None:
        if self._closed:
            raise InterfaceError("the cursor is closed")

    def _result(self) -> duckdb.DuckDBPyConnection:
        self._check_open()
        if self._native is None or self._description is None:
            raise ProgrammingError("there is no result to fetch: execute a statement with rows")
        return self._native

    def _unparked(self) -> duckdb.DuckDBPyConnection:
        if self._set_aside() is not None:
            raise ProgrammingError(
                "another cursor of this connection has run a statement since: fetch the rows one "
                "by one, or ask for a DataFrame or Arrow table right after execute"
            )
        return self._result()


def wrapped(parameters: Values) -> Parameters:
    """The values of a caller, under a repr that shows none."""
    return parameters if isinstance(parameters, Parameters) else Parameters(parameters)


def counted(sets: Iterable[Values]) -> int | None:
    """How many sets of parameters there are, where that is known before the last."""
    return len(sets) if isinstance(sets, Sized) else None


def require_library(name: str) -> None:
    """Finds out whether a library is there that is the caller's choice.

    Raises:
        InterfaceError: it is not.
    """
    try:
        import_module(name)
    except ImportError:
        reason = f"{name} is missing: install it, or take the rows another way"
        raise InterfaceError(reason) from None


@contextmanager
def _no_copy_warning() -> Iterator[None]:
    """DuckDB 2.0 warns that Arrow output of a statement's result is copied; here it has to be."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Arrow output on a DB-API result", UserWarning)
        yield
