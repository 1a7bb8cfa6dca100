"""PEP 249 cursors over the one DuckDB connection that its connection holds.

All cursors of a connection share its session: ``USE``, variables, temporary tables and
transactions. DuckDB keeps one unread result a connection; when another cursor needs the
connection, what is still unread is set aside in memory.
"""

from __future__ import annotations

import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from vercel_sql.catalog.ddl import quoted
from vercel_sql.errors import DataError, Error, InterfaceError, PartialWriteError, ProgrammingError
from vercel_sql.plain_rows import PlainRows, is_plain
from vercel_sql.redaction.known import NotPicklable, SecretText
from vercel_sql.sql import Native, Parameters, Statement

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from vercel_sql.connection.connection import Connection
    from vercel_sql.sql.plan import Outcome

T = TypeVar("T")
Values = Mapping[str, object] | Sequence[object] | Parameters | None
# Statements whose rows are what was asked for, and never DuckDB's word for what it did.
_QUERIES = frozenset(["FROM", "SELECT", "TABLE", "VALUES", "WITH"])
# Rows that are taken from DuckDB at a time, as it computes them.
_BATCH_ROWS = 2048
_VIEW = "__vercel_sql_result"
Description = list[tuple[str, Any, None, None, None, None, None]]
Rows = list[tuple[Any, ...]]


class Result(NotPicklable):
    """The result of a cursor's last statement; it knows nothing of the cursor."""

    def __init__(self) -> None:
        self._native: DuckDBPyConnection | None = None
        self._rows: deque[tuple[Any, ...]] = deque()
        self._is_parked = False
        self._failure: Exception | None = None
        self._kept: Outcome | None = None
        self.is_begun = False  # rows were taken out of DuckDB, which has no longer all
        self.arrow: pa.Table | None = None
        self.description: Description | None = None
        self.rowcount = -1
        self.counts = False  # the number of changed rows is all that it gives
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
        """Takes over DuckDB's result of a statement."""
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
        """Moves the unread rows to memory, so that the DuckDB connection is free."""
        if self._native is not None and self.description is not None:
            self._fetch_batch(self._native, None)
            self._is_parked = True
        self._native = None

    def fail(self, error: Exception) -> None:
        """Keeps the error of `park`, for whoever fetches the rows."""
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
    """A second DuckDB session, for our own results: they are fetched like DuckDB's."""

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


class Cursor(NotPicklable):
    """Runs statements and gives their rows.

    Attributes:
        arraysize: how many rows `fetchmany` gives by default.
    """

    def __init__(self, connection: Connection, result: Result | None = None) -> None:
        self._connection = connection
        self._closed = False
        self._held = result or Result()
        self.arraysize = 1

    def __repr__(self) -> str:
        columns = len(self._held.description or [])
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
        return self._held.description

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed; -1 where that is not known."""
        return self._held.rowcount

    @property
    def secret_columns(self) -> frozenset[str]:
        """The columns of the last result whose values are shown this once."""
        return self._held.secret_columns

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
        parameters, hidden = wrapped(parameters), SecretText(operation)
        del operation
        return self._execute(hidden, parameters)

    def _execute(self, operation: SecretText, parameters: Parameters) -> Cursor:
        self._check_open()
        self._connection._run_script(self._held, operation, parameters)
        return self

    def executemany(self, operation: str, seq_of_parameters: Iterable[Values]) -> Cursor:
        """Runs a script once for each set of parameters; the rows of all but the last are dropped.

        Raises:
            ProgrammingError: it would make a secret that is shown once, and that is saved nowhere.
            TooManyWritesError: all runs together would send more writes than ``max_writes``.
            PartialWriteError: a run failed after others were carried out; it has their rows.
            Error: as for `execute`.
        """
        hidden, each = SecretText(operation), map(wrapped, seq_of_parameters)
        sets = counted(seq_of_parameters)
        del operation, seq_of_parameters
        return self._executemany(hidden, each, sets)

    def _executemany(
        self, operation: SecretText, each: Iterable[Parameters], sets: int | None
    ) -> Cursor:
        self._check_open()
        changed = 0
        with self._connection._batch(operation, sets) as batch:
            for parameters in each:
                self._connection._run_script(self._held, operation, parameters, batch)
                batch.runs += 1
                changed += max(self._held.rowcount, 0)
        self._held.rowcount = changed
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row, or None at the end.

        Raises:
            ProgrammingError: there is no result.
        """
        rows = self._fetch(1)
        return rows[0] if rows else None

    def fetchmany(self, size: int | None = None) -> Rows:
        """The next rows, at most ``size`` (`arraysize` where it is None); empty at the end.

        Raises:
            ProgrammingError: there is no result.
        """
        return self._fetch(self.arraysize if size is None else size)

    def fetchall(self) -> Rows:
        """All rows that are left.

        Raises:
            ProgrammingError: there is no result.
        """
        return self._fetch(None)

    def _fetch(self, count: int | None) -> Rows:
        self._check_open()
        with self._connection._using(self._held, count):
            return self._held.fetch(count)

    def _whole(self, give: Callable[[DuckDBPyConnection], T]) -> T:
        self._check_open()
        with self._connection._using(self._held), _no_copy_warning():
            given = give(self._held.whole())
            self._held.finish()
            return given

    @property
    def has_table(self) -> bool:
        """Whether the last statement gave rows, or the number of rows that it changed."""
        return self._held.description is not None or self._held.counts

    def df(self) -> pd.DataFrame:
        """The rows that are left as a pandas DataFrame.

        Raises:
            InterfaceError: pandas is missing; the rows can be fetched in another way.
        """
        if self._held.counts:
            require_library("pandas")
            count: pd.DataFrame = self.arrow().to_pandas()
            return count

        def give(native: DuckDBPyConnection) -> pd.DataFrame:
            require_library("pandas")
            return native.df()

        return self._whole(give)

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
        """The rows that are left as a pyarrow Table; of a write without rows, their number."""
        if self._held.counts:
            import pyarrow as pa

            return pa.table({"Count": pa.array([self._held.rowcount], pa.int64())})
        return self._whole(lambda native: native.to_arrow_table())

    def plain_rows(self) -> PlainRows | None:
        """The rows that are left, if their types are plain: showing them needs no Arrow.

        None, and nothing is taken, for all other rows.
        """
        if self._held.counts:
            return PlainRows(["Count"], ["BIGINT"], [(self._held.rowcount,)])
        description = self._held.description or []
        types = [str(kind) for _, kind, *_ in description]
        is_whole = self._held.reads_natively and not self._held.is_begun
        if "pyarrow" in sys.modules or not is_whole or not all(map(is_plain, types)):
            return None
        return PlainRows([str(name) for name, *_ in description], types, self.fetchall())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The rows that are left, for whatever takes Arrow: polars, pandas, pyarrow, DuckDB, ….

        They are kept until the next `execute`, since DuckDB asks more than once.

        Args:
            requested_schema: the types that are wanted, as the Arrow C stream has it.
        """
        if self._held.arrow is None:
            self._held.arrow = self.arrow()
        return self._held.arrow.__arrow_c_stream__(requested_schema)

    def to_arrow_reader(self, batch_size: int = 1_000_000) -> pa.RecordBatchReader:
        """The rows that are left as batches of Arrow, each of so many rows at most."""
        return self.arrow().to_reader(batch_size)

    # The other names that DuckDB's versions have for these.
    to_arrow_table = fetch_arrow_table = arrow
    fetch_record_batch = to_arrow_reader
    fetchdf = fetch_df = df

    def setinputsizes(self, sizes: Sequence[Any]) -> None:
        """Does nothing, as PEP 249 allows."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Does nothing, as PEP 249 allows."""

    def close(self) -> None:
        """Closes the cursor; its result is gone."""
        self._closed = True
        self._held.clear()

    def _check_open(self) -> None:
        if self._closed:
            raise InterfaceError("the cursor is closed")


def wrapped(parameters: Values) -> Parameters:
    """The values of a caller, under a repr that shows none."""
    return parameters if isinstance(parameters, Parameters) else Parameters(parameters)


def counted(sets: Iterable[Values]) -> int | None:
    """How many sets of parameters there are, where that is known before the last."""
    return len(sets) if isinstance(sets, Sized) else None


def require_library(name: str) -> None:
    """Raises `InterfaceError` if an optional library is missing."""
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
