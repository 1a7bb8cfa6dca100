"""PEP 249 cursors over the one DuckDB connection that its connection holds.

All cursors of a connection share its session: ``USE``, variables, temporary tables and
transactions. DuckDB keeps one unread result a connection; when another cursor needs the
connection, what is still unread is set aside in memory.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from duckdb import DuckDBPyConnection

from vercel_sql.connection.result import Description, Result, Rows
from vercel_sql.errors import InterfaceError
from vercel_sql.plain_rows import PlainRows, is_plain
from vercel_sql.redaction.known import NotPicklable, SecretText
from vercel_sql.sql import Parameters

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from vercel_sql.connection.connection import Connection

T = TypeVar("T")
Values = Mapping[str, object] | Sequence[object] | Parameters | None


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
                batch.run_is_over()
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
        """The rows that are left, where DuckDB has computed them and their types are plain.

        It is for who shows them: nothing is lost, and nothing of Arrow is needed. None stands for
        all other rows, of which none was taken.
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
        if not self._closed:
            self._connection._forget(self._held)
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
    """Finds out whether a library is there that is the caller's choice."""
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
