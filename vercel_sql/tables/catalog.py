"""The catalog in DuckDB: schemas, views with comments, and macros over the live tables.

The live tables stand in the schema ``live`` under their full names. The public views give their
columns the short names and leave the hidden ones out; the views for people look at all columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

import duckdb

from vercel_sql.manifest import Column, Resource, Service, View
from vercel_sql.tables.source import Sources

LIVE = "live"
EXACTLY = ' COLLATE "binary"'
"""Compares a column as it is, whatever the session's default_collation.

Under that, DuckDB would keep a filter to itself, and take for equal what differs.
"""
_KEPT = "concat(',', current_setting('disabled_optimizers'), ',') LIKE '%,filter_pushdown,%'"
"""SQL for whether DuckDB keeps all filters to itself."""


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def create_catalog(con: duckdb.DuckDBPyConnection, catalog: str) -> None:
    """Attaches an empty database of that name to hold the views."""
    # A connection that is read-only makes it so otherwise.
    con.execute(f"ATTACH ':memory:' AS {quoted(catalog)} (READ_WRITE)")
    create_live_schema(con, catalog)


def create_live_schema(con: duckdb.DuckDBPyConnection, catalog: str) -> None:
    """Makes the schema of the live tables in an empty database."""
    con.execute(f"CREATE SCHEMA {quoted(catalog)}.{quoted(LIVE)}")


def create_service(
    con: duckdb.DuckDBPyConnection, catalog: str, service: Service, sources: Sources
) -> None:
    """Makes the live tables of one service; `create_views` makes what people see of them.

    Args:
        con: the connection that the tables belong to. It has to stay open: DuckDB 1.5 fails on
            functions of the ICU extension over a table whose own connection is closed.
        catalog: the name of the catalog.
        service: the manifest's service.
        sources: what the live tables are made from.
    """
    # Imported here: see the package.
    from vercel_sql.tables.dataset import LiveTable

    with _kept_search_path(con):
        # create_view takes a plain name only, so the schema is chosen by USE.
        con.execute(f"USE {quoted(catalog)}.{quoted(LIVE)}")
        for resource in service.resources.values():
            con.from_arrow(LiveTable(resource, sources)).create_view(resource.full_name)


def create_views(
    con: duckdb.DuckDBPyConnection, catalog: str, service: Service, session: str | None = None
) -> None:
    """Makes the views of one service, or makes them anew.

    Args:
        con: any connection of the database.
        catalog: the name of the catalog.
        service: the manifest's service.
        session: SQL for the key of the source that a query asks, where there are several.
    """
    con.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(catalog)}.{quoted(service.name)}")
    for resource in service.resources.values():
        _create_public(con, catalog, resource, session)
    for schema, views in service.views.items():
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(catalog)}.{quoted(schema)}")
        for view in views.values():
            _create_view(con, catalog, service, view, session)


@contextmanager
def _kept_search_path(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Leaves the user's ``USE`` as it was, where that still leads somewhere."""
    query = "SELECT current_setting('search_path'), current_database(), current_schema()"
    ((path, database, schema),) = con.execute(query).fetchall()
    try:
        yield
    finally:
        # A path names schemas without their database only where none was set before, and from
        # anywhere else they would be looked for in that database.
        con.execute("RESET search_path")
        if path:
            try:
                con.execute(f"SET search_path = {literal(path)}")
            except duckdb.CatalogException:  # one of its schemas is gone
                with suppress(duckdb.CatalogException):
                    con.execute(f"USE {quoted(database)}.{quoted(schema)}")


def _create_public(
    con: duckdb.DuckDBPyConnection, catalog: str, resource: Resource, session: str | None
) -> None:
    name = ".".join(quoted(part) for part in (catalog, resource.service, resource.name))
    query = _select(catalog, resource, resource.public_columns, session)
    con.execute(f"CREATE OR REPLACE VIEW {name} AS {query}")
    descriptions = {c.name: c.description for c in resource.public_columns}
    _comment(con, name, resource.description, descriptions)


def _create_view(
    con: duckdb.DuckDBPyConnection, catalog: str, service: Service, view: View, session: str | None
) -> None:
    name = ".".join(quoted(part) for part in (catalog, view.schema, view.name))
    query = view.query
    for resource in service.resources.values():
        table = f"({_select(catalog, resource, resource.columns, session)})"
        query = query.replace(f"{{table:{resource.name}}}", table)
        if resource.caution is not None:
            query = query.replace(f"{{caution:{resource.name}}}", resource.caution.condition)
    con.execute(f"CREATE OR REPLACE VIEW {name} AS {query}")
    _comment(con, name, view.description, view.comments)


def _select(
    catalog: str, resource: Resource, columns: Iterable[Column], session: str | None
) -> str:
    parts = []
    key = quoted(f"{resource.full_name}.session")
    for column in columns:
        full = quoted(f"{resource.full_name}.{column.name}")
        if column.name in resource.asked_by:
            # A scan that is asked for the session knows that no filter comes, and refuses.
            full = f"(CASE WHEN {_KEPT} THEN {key} ELSE {full} END){EXACTLY}"
        parts.append(f"{full} AS {quoted(column.name)}")
    table = f"{quoted(catalog)}.{quoted(LIVE)}.{quoted(resource.full_name)}"
    asks = f" WHERE {key}{EXACTLY} = {session}" if session else ""
    return f"SELECT {', '.join(parts)} FROM {table}{asks}"


def _comment(
    con: duckdb.DuckDBPyConnection, name: str, description: str, columns: dict[str, str]
) -> None:
    con.execute(f"COMMENT ON VIEW {name} IS {literal(description)}")
    for column, text in columns.items():
        con.execute(f"COMMENT ON COLUMN {name}.{quoted(column)} IS {literal(text)}")
