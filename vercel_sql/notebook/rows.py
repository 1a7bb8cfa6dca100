"""What a statement gave, as a notebook holds it: shown without secrets, and whole on request."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from vercel_sql.catalog.ddl import literal, quoted
from vercel_sql.connection.cursor import require_library
from vercel_sql.notebook.html import to_html
from vercel_sql.notebook.masking import Mask, masked
from vercel_sql.render import render

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

SHOWN = 50
"""How many rows a notebook shows; with secrets that are shown once, all."""

_WIDTH = 200  # characters, of the table as plain text


class Rows:
    """The rows of a statement.

    What is shown, in HTML or as text, has its secrets masked unless they were asked for; `df`,
    `pl`, `arrow` and `fetchall` give all values as they are.

    Args:
        table: the rows.
        secret_columns: the columns with secrets.
        mask: replaces the secrets that are known in a text; None where secrets are to be shown.
        notes: what is said below the rows.

    Attributes:
        notes: the same.
    """

    def __init__(
        self,
        table: pa.Table,
        secret_columns: frozenset[str],
        mask: Mask | None,
        notes: Sequence[str] = (),
    ) -> None:
        self._table = table
        self._secret_columns = secret_columns
        self._mask = mask
        self.notes = notes

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __repr__(self) -> str:
        out = io.StringIO()
        secret = frozenset[str]() if self._mask else self._secret_columns
        shown = self._shown()
        render(shown, "table", out, width=_WIDTH, secret_columns=secret)
        # The table says itself how many rows it has.
        below = self._below(shown) if shown.num_rows < len(self) else self.notes
        return "\n".join([out.getvalue().rstrip("\n"), *below])

    def _repr_html_(self) -> str:
        shown = self._shown()
        return to_html(shown, self._below(shown))

    def __reduce__(self) -> Any:
        raise TypeError("rows may hold secrets and are not pickled: take their df() or arrow()")

    @property
    def columns(self) -> list[str]:
        """The columns' names."""
        return list(self._table.column_names)

    def df(self) -> pd.DataFrame:
        """The rows as a pandas DataFrame.

        Raises:
            InterfaceError: pandas is missing.
        """
        require_library("pandas")
        with _zone_of(self._table) as con:
            frame: pd.DataFrame = relation(con, self._table).df()
            return frame

    def pl(self) -> pl.DataFrame:
        """The rows as a polars DataFrame.

        Raises:
            InterfaceError: polars is missing.
        """
        require_library("polars")
        # Imported here: polars is the caller's choice, and no dependency of this package.
        import polars

        return polars.DataFrame(self._table)

    def arrow(self) -> pa.Table:
        """The rows as a pyarrow Table."""
        return self._table

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The rows as tuples."""
        with _zone_of(self._table) as con:
            return relation(con, self._table).fetchall()

    def _shown(self) -> pa.Table:
        whole = self._secret_columns and self._mask is None
        table = self._table if whole else self._table.slice(0, SHOWN)
        return masked(table, self._secret_columns, self._mask) if self._mask else table

    def _below(self, shown: pa.Table) -> list[str]:
        count = len(self)
        if shown.num_rows < count:
            return [f"{count:,} rows, the first {shown.num_rows} shown", *self.notes]
        return [f"{count:,} row{'' if count == 1 else 's'}", *self.notes]


def relation(con: duckdb.DuckDBPyConnection, table: pa.Table) -> duckdb.DuckDBPyRelation:
    """A relation over rows that are here already, so that looking at it requests nothing."""
    # DuckDB 1.5 can't scan a table of Arrow with two columns of one name.
    places = [f"c{place}" for place in range(table.num_columns)]
    names = zip(places, table.column_names, strict=True)
    columns = ", ".join(f"{place} AS {quoted(name)}" for place, name in names)
    return con.from_arrow(table.rename_columns(places)).project(columns)


def _zone_of(table: pa.Table) -> duckdb.DuckDBPyConnection:
    """A DuckDB of its own in the time zone of the rows, which Arrow's types tell."""
    con = duckdb.connect()
    for kind in table.schema.types:
        if pa.types.is_timestamp(kind) and kind.tz:
            con.execute(f"SET TimeZone = {literal(kind.tz)}")
            break
    return con
