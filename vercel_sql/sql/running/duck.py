"""Small questions to the user's DuckDB connection, each read to its end.

DuckDB 2.0 refuses other work while a result is unread, so nothing here leaves one behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa

from vercel_sql.errors import NotSupportedError


def rows_of(
    con: duckdb.DuckDBPyConnection, query: str, values: object = None
) -> list[tuple[Any, ...]]:
    """All rows of a query."""
    return con.execute(query, values).fetchall()


def table_of(
    con: duckdb.DuckDBPyConnection, query: str, values: Mapping[str, object] | None = None
) -> pa.Table:
    """The result of a query in Arrow; its columns keep their names, even equal ones."""
    with _plain_arrow(con):
        # Without a variable: the repr of a relation, in somebody's traceback, runs it again.
        return con.sql(query, params=dict(values or {}) or None).to_arrow_table()


@contextmanager
def _plain_arrow(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Makes DuckDB give Arrow's plain types: a HUGEINT as a number and not as 16 opaque bytes."""
    ((lossless,),) = rows_of(con, "SELECT current_setting('arrow_lossless_conversion')")
    if not lossless:
        yield
        return
    rows_of(con, "SET arrow_lossless_conversion = false")
    try:
        yield
    finally:
        rows_of(con, "SET arrow_lossless_conversion = true")


@contextmanager
def lent(con: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> Iterator[None]:
    """Lets queries on the connection see a table under a name, for a while."""
    con.register(name, table)
    try:
        yield
    finally:
        con.unregister(name)


def in_transaction(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether a transaction is open: outside of one each statement has an id of its own."""
    try:
        first, second = (rows_of(con, "SELECT txid_current()") for _ in range(2))
    except duckdb.TransactionException:
        return True  # one that failed, and waits for its ROLLBACK
    return first == second


def refuse_transaction(con: duckdb.DuckDBPyConnection, what: str) -> None:
    """Stops a write to the API inside ``BEGIN … COMMIT``, which promises what it can't keep.

    Raises:
        NotSupportedError: the connection is in a transaction.
    """
    if in_transaction(con):
        raise NotSupportedError(
            f"{what} can't run inside BEGIN … COMMIT: a write to the API can't be rolled back. "
            "COMMIT or ROLLBACK first"
        )
