"""A cursor as PEP 249 has it, over the one DuckDB connection that its connection holds.

All cursors of a connection share its session: ``USE``, variables, temporary tables and
transactions. DuckDB keeps one unread result a connection; when another cursor needs the
connection, what is still unread is set aside in memory.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from vercel_sql.errors import InterfaceError, ProgrammingError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from vercel_sql.connection.connection import Connection

Values = Mapping[str, object] | Sequence[object] | None
Description = list[tuple[str, Any, None, None, None, None, None]]


class Cursor:
    """Runs statements and gives their rows.

    Attributes:
        arraysize: how many rows `fetchmany` gives by default.
        secret_columns: the columns of the last result whose values are shown this once.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._closed = False
        self._native: duckdb.DuckDBPyConnection | None = None
        self._parked: list[tuple[Any, ...]] | None = None
        self._description: Description | None = None
        self._rowcount = -1
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
        self._check_open()
        self._connection._run_script(self, operation, parameters)
        return self

    def executemany(self, operation: str, seq_of_parameters: Sequence[Values]) -> Cursor:
        """Runs a script once for each set of parameters.

        Raises:
            ProgrammingError: a statement of it gives rows, which PEP 249 leaves undefined.
        """
        self._check_open()
        changed = 0
        for parameters in seq_of_parameters:
            self.execute(operation, parameters)
            if self.secret_columns:
                raise ProgrammingError(
                    "executemany would drop rows with secrets that are shown once; "
                    "use one INSERT … SELECT, or execute in a loop"
                )
            changed += max(self._rowcount, 0)
        self._rowcount = changed
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row, or None at the end.

        Raises:
            ProgrammingError: there is no result.
        """
        with self._connection._using():
            if self._parked is not None:
                return self._parked.pop(0) if self._parked else None
            row: tuple[Any, ...] | None = self._result().fetchone()
            return row

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """The next rows, at most ``size`` (`arraysize` where it is None); empty at the end.

        Raises:
            ProgrammingError: there is no result.
        """
        count = self.arraysize if size is None else size
        with self._connection._using():
            if self._parked is not None:
                taken, self._parked = self._parked[:count], self._parked[count:]
                return taken
            return self._result().fetchmany(count)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left.

        Raises:
            ProgrammingError: there is no result.
        """
        with self._connection._using():
            if self._parked is not None:
                taken, self._parked = self._parked, []
                return taken
            return self._result().fetchall()

    def df(self) -> pd.DataFrame:
        """The rows that are left as a pandas DataFrame."""
        with self._connection._using():
            frame: pd.DataFrame = self._unparked().df()
            return frame

    def pl(self) -> pl.DataFrame:
        """The rows that are left as a polars DataFrame."""
        # Imported here: polars is the caller's choice, and no dependency of this package.
        import polars

        return polars.DataFrame(self.arrow())

    def arrow(self) -> pa.Table:
        """The rows that are left as a pyarrow Table."""
        with self._connection._using(), _no_copy_warning():
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
        self._description = None
        self._rowcount = -1
        self.secret_columns = frozenset()

    def _take(
        self, native: duckdb.DuckDBPyConnection, changed: int | None, secrets: frozenset[str]
    ) -> None:
        """Takes over a result that stands in the DuckDB connection."""
        described = [(str(name), str(kind)) for name, kind, *_ in native.description or []]
        self._rowcount = -1 if changed is None else changed
        self.secret_columns = secrets
        if described == [("Success", "BOOLEAN")]:
            # What DuckDB gives for a statement without rows.
            return
        self._native = native
        self._description = list(native.description or []) or None
        if changed is None and described == [("Count", "BIGINT")]:
            self._count(native)

    def _count(self, native: duckdb.DuckDBPyConnection) -> None:
        """Learns how many rows DuckDB changed, and leaves that result to be fetched."""
        rows = native.fetchall()
        if len(rows) == 1:
            self._rowcount = rows[0][0]
            native.execute(f'SELECT {self._rowcount}::BIGINT AS "Count"')
        else:
            self._native, self._description = None, None

    def _park(self) -> None:
        """Sets the unread rows aside, so that the DuckDB connection is free."""
        if self._native is not None and self._parked is None and self._description is not None:
            self._parked = self._native.fetchall()
        self._native = None

    def _check_open(self) -> None:
        if self._closed:
            raise InterfaceError("the cursor is closed")

    def _result(self) -> duckdb.DuckDBPyConnection:
        self._check_open()
        if self._native is None or self._description is None:
            raise ProgrammingError("there is no result to fetch: execute a statement with rows")
        return self._native

    def _unparked(self) -> duckdb.DuckDBPyConnection:
        if self._parked is not None:
            raise ProgrammingError(
                "another cursor of this connection has run a statement since: fetch the rows one "
                "by one, or ask for a DataFrame or Arrow table right after execute"
            )
        return self._result()


@contextmanager
def _no_copy_warning() -> Iterator[None]:
    """DuckDB 2.0 warns that Arrow output of a statement's result is copied; here it has to be."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Arrow output on a DB-API result", UserWarning)
        yield
