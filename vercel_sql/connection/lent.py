"""A result of ours in DuckDB, so that it is fetched like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from duckdb import DuckDBPyConnection

from vercel_sql.catalog.ddl import quoted

if TYPE_CHECKING:
    import pyarrow as pa

_NAME = "__vercel_sql_result"


class Lent:
    """A session beside the user's, in which nothing but our results stands.

    Args:
        native: the user's DuckDB connection.
    """

    def __init__(self, native: DuckDBPyConnection) -> None:
        self._native = native.cursor()
        self._is_there = False

    def give(self, table: pa.Table) -> DuckDBPyConnection:
        """Makes a table the result that the session holds, and gives the session."""
        names = table.column_names
        # DuckDB 1.5 can't scan a table of Arrow with two columns of one name.
        places = [f"c{place}" for place in range(len(names))]
        shown = ", ".join(f"{p} AS {quoted(name)}" for p, name in zip(places, names, strict=True))
        self._native.register(_NAME, table.rename_columns(places))
        self._is_there = True
        return self._native.execute(f"SELECT {shown} FROM {_NAME}")

    def take_back(self) -> None:
        """Takes the table out again."""
        if self._is_there:
            abort(self._native)
            self._native.unregister(_NAME)
            self._is_there = False

    def close(self) -> None:
        """Closes the session."""
        self._native.close()


def abort(con: DuckDBPyConnection) -> None:
    """Drops what is unread; DuckDB 2.0 does nothing else before, and 1.5 does it by itself."""
    if hasattr(con, "abort"):
        con.abort()
