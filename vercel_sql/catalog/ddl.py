"""The catalog in DuckDB: schemas, and views with comments over the live tables.

The live tables stand in the schema ``live`` under their full names. The public views give their
columns the short names and leave the hidden ones out; the readable views look at all columns.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vercel_sql.catalog.sources import Sources
    from vercel_sql.manifest import Column, Resource, Service, View

LIVE = "live"
EXACTLY = ' COLLATE "binary"'
"""Compares a column as it is, whatever the session's default_collation.

Under that, DuckDB would keep a filter to itself, and take for equal what differs.
"""
_KEPT = "concat(',', current_setting('disabled_optimizers'), ',') LIKE '%,filter_pushdown,%'"
"""SQL for whether DuckDB keeps all filters to itself."""


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def create_catalog(con: duckdb.DuckDBPyConnection, catalog: str, *statements: str) -> None:
    """Attaches an empty database of that name to hold the views, and runs statements in it."""
    # A connection that is read-only makes it so otherwise.
    attach = f"ATTACH ':memory:' AS {quoted(catalog)} (READ_WRITE)"
    run_script(con, [attach, live_schema(catalog), *statements])


def live_schema(catalog: str) -> str:
    """SQL that makes the schema of the live tables in an empty database."""
    return f"CREATE SCHEMA {quoted(catalog)}.{quoted(LIVE)}"


def create_tables(
    con: duckdb.DuckDBPyConnection, catalog: str, services: Sequence[Service], sources: Sources
) -> None:
    """Makes the live tables of services; `view_statements` make what people see of them.

    The connection has to stay open: DuckDB 1.5 fails on functions of the ICU extension over a
    table whose own connection is closed.
    """
    if not services:
        return
    # Imported here: see the package.
    from vercel_sql.catalog.dataset import LiveTable

    with _kept_search_path(con):
        # create_view takes a plain name only, so the schema is chosen by USE.
        con.execute(f"USE {quoted(catalog)}.{quoted(LIVE)}")
        for service in services:
            for resource in service.resources.values():
                con.from_arrow(LiveTable(resource, sources)).create_view(resource.full_name)


def view_statements(catalog: str, service: Service, session: str | None = None) -> Iterator[str]:
    """The statements that make the views of one service, or make them anew.

    ``session`` is SQL for the key of the source that a query asks, where there are several.
    """
    yield f"CREATE SCHEMA IF NOT EXISTS {quoted(catalog)}.{quoted(service.name)}"
    for resource in service.resources.values():
        query = _select(catalog, resource, resource.public_columns, session)
        yield f"CREATE OR REPLACE VIEW {_public_name(catalog, resource)} AS {query}"
    for schema, views in service.views.items():
        yield f"CREATE SCHEMA IF NOT EXISTS {quoted(catalog)}.{quoted(schema)}"
        for view in views.values():
            query = _view_query(catalog, service, view, session)
            yield f"CREATE OR REPLACE VIEW {_view_name(catalog, view)} AS {query}"


def comment_statements(catalog: str, service: Service) -> Iterator[str]:
    """The statements that describe the views of one service, and their columns."""
    for resource in service.resources.values():
        columns = {c.name: c.description for c in resource.public_columns}
        yield from _comments(_public_name(catalog, resource), resource.description, columns)
    for views in service.views.values():
        for view in views.values():
            yield from _comments(_view_name(catalog, view), view.description, view.comments)


def run_script(con: duckdb.DuckDBPyConnection, statements: Iterable[str]) -> None:
    """Runs statements as one script, which DuckDB does faster than each alone."""
    script = ";\n".join(statements)
    if script:
        con.execute(script)


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


def _public_name(catalog: str, resource: Resource) -> str:
    return ".".join(quoted(part) for part in (catalog, resource.service, resource.name))


def _view_name(catalog: str, view: View) -> str:
    return ".".join(quoted(part) for part in (catalog, view.schema, view.name))


def _view_query(catalog: str, service: Service, view: View, session: str | None) -> str:
    query = view.query
    for resource in service.resources.values():
        table = f"({_select(catalog, resource, resource.columns, session)})"
        query = query.replace(f"{{table:{resource.name}}}", table)
        if resource.caution is not None:
            query = query.replace(f"{{caution:{resource.name}}}", resource.caution.condition)
    return query


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


def _comments(name: str, description: str, columns: dict[str, str]) -> Iterator[str]:
    yield f"COMMENT ON VIEW {name} IS {literal(description)}"
    for column, text in columns.items():
        yield f"COMMENT ON COLUMN {name}.{quoted(column)} IS {literal(text)}"
