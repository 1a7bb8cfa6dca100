"""A result of ours in DuckDB, so that it is fetched like any other."""

from __future__ import annotations

import pyarrow as pa
from duckdb import DuckDBPyConnection

from vercel_sql.tables.catalog import quoted

_NAME = "__vercel_sql_result"


class Lent:
    """The table that a DuckDB connection was lent, if any.

    Args:
        native: the DuckDB connection.
    """

    def __init__(self, native: DuckDBPyConnection) -> None:
        self._native = native
        self._is_there = False

    def give(self, table: pa.Table) -> None:
        """Makes a table the result that the connection holds."""
        names = table.column_names
        # DuckDB 1.5 can't scan a table of Arrow with two columns of one name.
        places = [f"c{place}" for place in range(len(names))]
        shown = ", ".join(f"{p} AS {quoted(name)}" for p, name in zip(places, names, strict=True))
        self._native.register(_NAME, table.rename_columns(places))
        self._is_there = True
        self._native.execute(f"SELECT {shown} FROM {_NAME}")

    def take_back(self) -> None:
        """Takes the table out again."""
        if self._is_there:
            self._native.unregister(_NAME)
            self._is_there = False
