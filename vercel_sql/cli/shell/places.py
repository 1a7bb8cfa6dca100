"""What there is in the databases: DuckDB's catalog, and what the manifest adds to it.

Tables of a service are made when they are first used, so the manifest stands in for them until
then. Nothing here makes a table or sends a request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import duckdb

from vercel_sql.manifest import Manifest, Resource, vercel
from vercel_sql.sql.queries import rows_of
from vercel_sql.sql.resolver import path_entries as path_entries
from vercel_sql.tables.calls import result_columns
from vercel_sql.tables.catalog import LIVE


@dataclass(frozen=True)
class Named:
    """Something with a name, and what is to be said about it."""

    name: str
    about: str = ""


@dataclass(frozen=True)
class Place:
    """A table, view or table function: where it is, and its columns.

    Attributes:
        path: database, schema and name.
        about: what it is.
        columns: its columns; of a function those that it gives, where that is known.
    """

    path: tuple[str, str, str]
    about: str
    columns: tuple[Named, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """The path in lower case."""
        return folded(self.path)


@dataclass
class Catalog:
    """What there is in the databases.

    Attributes:
        schemas: database and schema of each schema.
        tables: the tables and views.
        functions: the table functions that stand in a schema of somebody's.
        search: databases and schemas in which names without them are looked for.
    """

    schemas: list[tuple[str, str]]
    tables: dict[tuple[str, ...], Place]
    functions: dict[tuple[str, ...], Place]
    search: list[tuple[str, str]]

    @property
    def databases(self) -> list[str]:
        """The databases, each once."""
        return list(dict.fromkeys(database for database, _ in self.schemas))

    def find(self, parts: tuple[str, ...]) -> Place | None:
        """The table or function that a name means, qualified or not."""
        for path in self._candidates(folded(parts)):
            found = self.tables.get(path) or self.functions.get(path)
            if found is not None:
                return found
        return None

    def _candidates(self, parts: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        if len(parts) == 3:
            yield parts
        elif len(parts) == 2:
            yield from ((database.casefold(), *parts) for database, _ in self.search)
            yield (parts[0], "main", parts[1])
        elif len(parts) == 1:
            yield from ((*folded(place), *parts) for place in self.search)


def folded(parts: Iterable[str]) -> tuple[str, ...]:
    """Names in lower case."""
    return tuple(part.casefold() for part in parts)


def read_catalog(con: duckdb.DuckDBPyConnection) -> Catalog:
    """What a connection sees: its temporary tables and its search path too.

    Raises:
        duckdb.Error: the connection is closed or busy.
    """
    schemas = rows_of(
        con,
        "SELECT database_name, schema_name FROM duckdb_schemas() "
        "WHERE database_name NOT IN ('system', 'temp') ORDER BY ALL",
    )
    columns = rows_of(
        con,
        "SELECT database_name, schema_name, table_name, column_name, data_type, comment "
        "FROM duckdb_columns() WHERE NOT internal ORDER BY table_oid, column_index",
    )
    # A name alone is what is known of a view whose columns DuckDB has not looked at.
    names = rows_of(
        con,
        "SELECT database_name, schema_name, table_name, 'table' FROM duckdb_tables() "
        "WHERE NOT internal UNION ALL SELECT database_name, schema_name, view_name, "
        "coalesce(comment, 'view') FROM duckdb_views() WHERE NOT internal",
    )
    macros = rows_of(
        con,
        "SELECT DISTINCT database_name, schema_name, function_name FROM duckdb_functions() "
        "WHERE function_type = 'table_macro' AND NOT internal",
    )
    ((setting, database, schema),) = rows_of(
        con,
        "SELECT coalesce(current_setting('search_path'), ''), current_database(), current_schema()",
    )
    by_table: dict[tuple[str, str, str], list[Named]] = {}
    for *path, column, kind, comment in columns:
        about = f"{_short(kind)}: {comment}" if comment else _short(kind)
        by_table.setdefault((path[0], path[1], path[2]), []).append(Named(column, about))
    places = [
        Place((d, s, t), about, tuple(by_table.get((d, s, t), ()))) for d, s, t, about in names
    ]
    functions = [Place((d, s, f), "function") for d, s, f in macros]
    return _with_manifest(
        Catalog(
            [place for place in schemas if place[1] != LIVE],
            {place.key: place for place in places if place.path[1] != LIVE},
            {place.key: place for place in functions},
            [
                ("temp", "main"),
                *path_entries(setting or ""),
                (database, schema),
                (database, "main"),
            ],
        ),
        vercel(),
    )


def _with_manifest(catalog: Catalog, manifest: Manifest) -> Catalog:
    """Adds what the manifest has: tables that were not made yet, and what each column is."""
    provider = manifest.provider
    if provider.name not in catalog.databases:
        return catalog
    used = {place.path[:2] for place in (*catalog.tables.values(), *catalog.functions.values())}
    empty = (provider.name, "main")
    catalog.schemas = [place for place in catalog.schemas if place != empty or place in used]
    known = {folded(schema) for schema in catalog.schemas}
    for place in [(provider.name, name) for name in (*provider.services, *provider.views)]:
        if folded(place) not in known:
            catalog.schemas.append(place)
    catalog.schemas.sort(key=folded)
    for resource in manifest.resources():
        _add_resource(catalog, provider.name, resource)
    for schema, services in provider.views.items():
        for service in services:
            for view in manifest.service(service).views[schema].values():
                path = (provider.name, schema, view.name)
                made = catalog.tables.get(folded(path))
                kinds = {c.name: c.about.partition(":")[0] for c in made.columns} if made else {}
                columns = tuple(
                    Named(name, f"{kinds[name]}: {text}" if name in kinds else text)
                    for name, text in view.comments.items()
                )
                table = Place(path, view.description, columns)
                catalog.tables[table.key] = table
    return catalog


def _add_resource(catalog: Catalog, name: str, resource: Resource) -> None:
    columns = tuple(Named(c.name, _about(c.type, c.description)) for c in resource.public_columns)
    place = Place((name, resource.service, resource.name), resource.description, columns)
    catalog.tables[place.key] = place
    for method in resource.methods.values():
        if method.reads:
            given = tuple(
                Named(c.name, _about(c.type, c.description))
                for c in result_columns(resource, method)
            )
            function = Place((name, resource.service, method.name), method.description, given)
            catalog.functions[function.key] = function


def _about(kind: str, description: str) -> str:
    return f"{_short(kind)}: {description}" if description else _short(kind)


def _short(kind: str) -> str:
    return kind if len(kind) <= 30 else f"{kind[:29]}…"
