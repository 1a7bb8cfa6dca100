"""A result as lines of text, made by DuckDB: nobody casts DuckDB's values more exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from duckdb.sqltypes import DuckDBPyType

from vercel_sql.own_duckdb import own_duckdb
from vercel_sql.plain_rows import PlainRows

if TYPE_CHECKING:
    import pyarrow as pa

    Batch: TypeAlias = pa.Table | PlainRows
    Rows: TypeAlias = pa.RecordBatchReader | Batch

_CHUNK = 2048  # rows of text in memory at a time: DuckDB's own vector size


class Result:
    """A result under way, read once, batch by batch.

    Its batches go through a private DuckDB, which runs in UTC on one thread, so that the text of a
    value depends on no setting and on no time zone, and rows keep their order.

    Attributes:
        names: the columns' names as they are, which may occur twice.
        types: the columns' DuckDB types.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        named = rows.column_names if isinstance(rows, PlainRows) else rows.schema.names
        self.names: list[str] = list(named)
        # Columns go by position: names may be equal, or empty, or need quotes.
        self._columns = [f"c{position}" for position in range(len(self.names))]
        self._con = own_duckdb()
        self._con.execute("SET TimeZone = 'UTC'")
        self.types = self._types()

    def _types(self) -> list[DuckDBPyType]:
        if not self.names:
            return []
        if isinstance(self._rows, PlainRows):
            self._load(PlainRows(self.names, self._rows.types, ()))
        else:
            self._load(self._rows.schema.empty_table())
        return list(self._con.sql("FROM batch").types)

    def _load(self, batch: Batch) -> None:
        if isinstance(batch, PlainRows):
            source = batch.source(self._con.register)
            self._con.execute(f"CREATE OR REPLACE TEMP TABLE batch AS {source}")
        else:
            self._con.register("batch", batch.rename_columns(self._columns))

    def _batches(self) -> Iterator[Batch]:
        if isinstance(self._rows, PlainRows) or hasattr(self._rows, "num_rows"):
            yield self._rows
            return
        import pyarrow as pa

        for batch in self._rows:
            yield pa.Table.from_batches([batch])

    def columns(self) -> list[tuple[str, DuckDBPyType]]:
        """The SQL name by which `lines` knows each column, and its type."""
        return list(zip(self._columns, self.types, strict=True))

    def lines(self, expression: str) -> Iterator[list[str]]:
        """The value of an SQL expression over the columns, for each row.

        Args:
            expression: gives VARCHAR and never NULL.

        Yields:
            some lines at a time.
        """
        for table in self._batches():
            self._load(table)
            for chunk in self._chunks(f"SELECT {expression} FROM batch"):
                yield [line for (line,) in chunk]

    def texts(
        self,
        as_text: Callable[[str, DuckDBPyType], str] = lambda value, _: f"CAST({value} AS VARCHAR)",
        *,
        ends: int | None = None,
    ) -> Iterator[tuple[int, Sequence[tuple[str | None, ...]]]]:
        """Each row as texts, None for NULL.

        Args:
            as_text: gives the SQL expression that makes a text of a column's value, by the
                column's name and type.
            ends: if given, only so many rows from the start and from the end of each batch.

        Yields:
            a number of rows that were read, and those of them that were asked for.
        """
        casts = ", ".join(as_text(*column) for column in self.columns())
        for table in self._batches():
            self._load(table)
            total = table.num_rows
            if ends is None or total <= 2 * ends:
                for chunk in self._chunks(f"SELECT {casts} FROM batch"):
                    yield len(chunk), chunk
                continue
            query = f"SELECT {casts} FROM batch LIMIT {ends}"
            first = self._con.sql(query).fetchall()
            last = self._con.sql(f"{query} OFFSET {total - ends}").fetchall()
            yield total, first + last

    def _chunks(self, query: str) -> Iterator[list[tuple[Any, ...]]]:
        found = self._con.execute(query)
        while chunk := found.fetchmany(_CHUNK):
            yield chunk

    def keywords(self) -> frozenset[str]:
        """The words of DuckDB's SQL, which are no names unless they are quoted."""
        found = self._con.sql("SELECT keyword_name FROM duckdb_keywords()").fetchall()
        return frozenset(name for (name,) in found)

    def drain(self) -> int:
        """Read what is left without looking at it, and give the number of rows."""
        return sum(table.num_rows for table in self._batches())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._con.close()
