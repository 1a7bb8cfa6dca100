"""The tables of a history: made from the manifest, and grown with it.

Only plain types, and no keys, constraints, sequences or indexes, which not every database that
DuckDB can attach has. What is nested is JSON text, so that the API may add to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from vercel_sql.catalog.ddl import quoted
from vercel_sql.errors import OperationalError
from vercel_sql.manifest import Column, vercel

CATALOG = "history"
"""What the attached database is called, here and for whoever reads it."""

VERSION = 1
"""What `runs.schema_version` holds. More columns are no new version; another meaning is."""

IS_CURRENT = "is_current"

_PLAIN = ("VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN")
_RUNS = {
    "run_id": "BIGINT",
    "taken_at": "TIMESTAMP WITH TIME ZONE",
    "account_id": "VARCHAR",
    "account": "VARCHAR",
    "api_url": "VARCHAR",
    "column_names": "VARCHAR",  # what the run knew of each token; a column may be newer than it
    "token_count": "BIGINT",
    "request_count": "BIGINT",
    "tool_version": "VARCHAR",
    "schema_version": "INTEGER",
}
# Without these a table of that name is somebody else's.
_NEEDED = {
    "runs": ("run_id", "taken_at", "account_id", "schema_version"),
    "tokens": ("run_id", "id"),
}


@dataclass(frozen=True)
class StoredColumn:
    """A column of the live table, as it is kept.

    Attributes:
        name: its name, here and there.
        type: the type that it is kept as.
        expression: what gives its value from the live table.
    """

    name: str
    type: str
    expression: str

    @property
    def quoted(self) -> str:
        """The name as an SQL identifier."""
        return quoted(self.name)


def stored_columns() -> list[StoredColumn]:
    """The columns of the manifest that say something of their own about a token."""
    columns = vercel().tokens().columns
    return [_stored(column) for column in columns if column.source in ("field", "rest")]


def _stored(column: Column) -> StoredColumn:
    name = quoted(column.name)
    if column.type in _PLAIN:
        return StoredColumn(column.name, column.type, name)
    return StoredColumn(column.name, "VARCHAR", f"to_json({name})::VARCHAR")


def prepare(con: duckdb.DuckDBPyConnection) -> None:
    """Makes the tables of an attached history, or adds what a newer manifest knows to them.

    Raises:
        OperationalError: what is there is no history, or one of a newer version.
    """
    tables = _tables()
    for table, columns in tables.items():
        declared = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
        con.execute(f"CREATE TABLE IF NOT EXISTS {CATALOG}.{table} ({declared})")
    check(con)
    for table, columns in tables.items():
        there = _names(con, table)
        for name, kind in columns.items():
            if name.casefold() not in there:
                con.execute(f"ALTER TABLE {CATALOG}.{table} ADD COLUMN {quoted(name)} {kind}")


def check(con: duckdb.DuckDBPyConnection) -> None:
    """Finds out whether runs can be appended to what is attached; it may be empty.

    Raises:
        OperationalError: it is no history, or one of a newer version.
    """
    names = {table: _names(con, table) for table in _NEEDED}
    if not any(names.values()):
        return
    for table, columns in _NEEDED.items():
        missing = [column for column in columns if column not in names[table]]
        if missing:
            raise OperationalError(
                f"it has tables of its own called runs or tokens, and no history ({table} has no "
                f"{missing[0]}); take another file"
            )
    ((newest,),) = con.execute(f"SELECT max(schema_version) FROM {CATALOG}.runs").fetchall()
    if newest is not None and newest > VERSION:
        raise OperationalError("a newer vercel-sql has written to it; update this one")


def read_whole(con: duckdb.DuckDBPyConnection) -> None:
    """Reads all that an attached history holds: nothing is added to one that is damaged.

    Raises:
        duckdb.Error: some of it can't be read.
    """
    for table in _NEEDED:
        if _names(con, table):
            con.execute(f"SELECT bit_xor(hash(whole)) FROM {CATALOG}.{table} AS whole").fetchall()


def _tables() -> dict[str, dict[str, str]]:
    kept = {column.name: column.type for column in stored_columns()}
    return {"runs": _RUNS, "tokens": {"run_id": "BIGINT", **kept, IS_CURRENT: "BOOLEAN"}}


def _names(con: duckdb.DuckDBPyConnection, table: str) -> set[str]:
    """The names of a table's columns in lower case; none where there is no such table."""
    found = con.execute(
        "SELECT lower(column_name) FROM duckdb_columns() "
        "WHERE database_name = $1 AND table_name = $2 "
        "AND schema_name IN ('main', 'public')",
        [CATALOG, table],
    )
    return {name for (name,) in found.fetchall()}
