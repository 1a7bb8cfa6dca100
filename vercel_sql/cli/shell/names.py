"""The names that can be completed: DuckDB's catalog and keywords, and the manifest.

Tables of a service are created when they are first used; until then the manifest stands in for
them. Nothing here creates a table or sends a request.
"""

from __future__ import annotations

import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb

from vercel_sql.catalog.ddl import LIVE, quoted
from vercel_sql.catalog.results import result_columns
from vercel_sql.manifest import Method, Resource, vercel
from vercel_sql.sql.queries import path_entries, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_FRESH_SECONDS = 1.0
_PLAIN = re.compile(r"(?a)[A-Za-z_]\w*")

Path = tuple[str, ...]


class Named(NamedTuple):
    """A name or other word, and its description; a name may stand in double quotes."""

    name: str
    about: str = ""
    is_name: bool = True


class Relation(NamedTuple):
    """A table, view or table function: its database, schema and name, and its known columns."""

    path: Path
    about: str
    columns: tuple[Named, ...] = ()


@dataclass
class Catalog:
    """The relations of the databases.

    Attributes:
        schemas: the path of each schema.
        tables: the tables and views, by path in lower case.
        functions: the table functions of somebody's schema, by path in lower case.
        search: the schemas in which unqualified names are found.
    """

    schemas: list[Path] = field(default_factory=list)
    tables: dict[Path, Relation] = field(default_factory=dict)
    functions: dict[Path, Relation] = field(default_factory=dict)
    search: list[Path] = field(default_factory=list)

    @property
    def databases(self) -> list[str]:
        return list(dict.fromkeys(database for database, _ in self.schemas))

    def scopes(self, qualifiers: Path) -> list[Path]:
        """The schemas that qualifiers mean; without any, those of the search path."""
        given, search = folded(qualifiers), [folded(schema) for schema in self.search]
        if len(given) == 1:  # a schema in a searched database, or a database
            return [*((database, given[0]) for database, _ in search), (given[0], "main")]
        return [given] if given else search

    def find(self, parts: Path) -> Relation | None:
        *qualifiers, name = folded(parts)
        for schema in self.scopes(tuple(qualifiers)):
            path = (*schema, name)
            if found := self.tables.get(path) or self.functions.get(path):
                return found
        return None

    def schemas_in(self, qualifiers: Path) -> Iterator[Named]:
        """The schemas of the qualifying database, or of those in the search path."""
        searched = {database.casefold() for database, _ in self.search}
        databases = set(folded(qualifiers)) or searched
        for database, schema in self.schemas if len(qualifiers) <= 1 else ():
            if database.casefold() in databases:
                yield Named(schema, "schema")

    def method(self, parts: Path) -> Method | None:
        for path, method in methods():
            if folded(parts) in [folded(short) for short in self.shortened(path)]:
                return method
        return None

    def shortened(self, path: Path) -> Iterator[Path]:
        """A full name, and its forms without what the search path adds."""
        search = {folded(schema) for schema in self.search}
        yield path
        if folded(path[:1]) in {schema[:1] for schema in search}:
            yield path[1:]
        if folded(path[:2]) in search:
            yield path[2:]


@dataclass
class Words:
    """DuckDB's own words; the reserved keywords need quotes as a name."""

    keywords: list[str] = field(default_factory=list)
    reserved: frozenset[str] = frozenset()
    types: list[str] = field(default_factory=list)
    functions: list[Named] = field(default_factory=list)
    table_functions: list[Named] = field(default_factory=list)
    settings: list[Named] = field(default_factory=list)
    pragmas: list[Named] = field(default_factory=list)

    def written(self, name: str) -> str:
        plain = _PLAIN.fullmatch(name) and name.casefold() not in self.reserved
        return name if plain else quoted(name)


class Vocabulary:
    """The current names, cached for a second; any thread may ask.

    What every connection sees is read on a connection of its own, so that no transaction or
    unread result of the user's is touched. What only the user's sees (the search path, temporary
    tables, the changes of an open transaction) is known after `refresh`.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con
        self._lock = threading.Lock()
        self._own: Catalog | None = None
        self._shared = Catalog()
        self._words = Words()
        self._read_at = float("-inf")

    def refresh(self) -> None:
        """Read the catalog on the user's connection.

        To be called from its own thread after each statement, once its result is read.
        """
        # After an error, as in a failed transaction, the old names remain.
        with suppress(duckdb.Error):
            own = _read_catalog(self._con)
            with self._lock:
                self._own, self._read_at = own, float("-inf")

    def now(self) -> tuple[Catalog, Words]:
        with self._lock:
            if time.monotonic() - self._read_at > _FRESH_SECONDS:
                with suppress(duckdb.Error), self._con.cursor() as con:
                    self._words = _read_words(con)
                    if self._own is None:
                        self._shared = _read_catalog(con)
                self._read_at = time.monotonic()
            return self._own or self._shared, self._words


def folded(parts: Iterable[str]) -> Path:
    return tuple(part.casefold() for part in parts)


def resources() -> Iterator[tuple[Path, Resource]]:
    for resource in vercel().resources():
        yield (vercel().provider.name, resource.service, resource.name), resource


def methods() -> Iterator[tuple[Path, Method]]:
    for path, resource in resources():
        for method in resource.methods.values():
            yield (*path, method.name), method


def resource_at(path: Path) -> Resource | None:
    return next((found for each, found in resources() if folded(each) == folded(path)), None)


def _read_catalog(con: duckdb.DuckDBPyConnection) -> Catalog:
    schemas = rows_of(
        con,
        "SELECT database_name, schema_name FROM duckdb_schemas() "
        "WHERE database_name NOT IN ('system', 'temp') ORDER BY ALL",
    )
    columns: dict[Path, list[Named]] = {}
    for *path, column, kind, comment in rows_of(
        con,
        "SELECT database_name, schema_name, table_name, column_name, data_type, comment "
        "FROM duckdb_columns() WHERE NOT internal ORDER BY table_oid, column_index",
    ):
        columns.setdefault(tuple(path), []).append(Named(column, _about(kind, comment)))
    # Of a view whose columns DuckDB has not bound yet, only the name is known.
    tables = rows_of(
        con,
        "SELECT database_name, schema_name, table_name, 'table' FROM duckdb_tables() "
        "WHERE NOT internal UNION ALL SELECT database_name, schema_name, view_name, "
        "coalesce(comment, 'view') FROM duckdb_views() WHERE NOT internal",
    )
    macros = rows_of(
        con,
        "SELECT DISTINCT database_name, schema_name, function_name, 'function' "
        "FROM duckdb_functions() WHERE function_type = 'table_macro' AND NOT internal",
    )
    ((setting, database, schema),) = rows_of(
        con,
        "SELECT coalesce(current_setting('search_path'), ''), current_database(), current_schema()",
    )
    catalog = Catalog(
        schemas=[path for path in schemas if path[1] != LIVE],
        search=[("temp", "main"), *path_entries(setting), (database, schema), (database, "main")],
    )
    for rows, into in ((tables, catalog.tables), (macros, catalog.functions)):
        for *parts, about in rows:
            key: Path = tuple(parts)
            if key[1] != LIVE:
                into[folded(key)] = Relation(key, about, tuple(columns.get(key, ())))
    if vercel().provider.name in catalog.databases:
        _add_manifest(catalog)
    return catalog


def _add_manifest(catalog: Catalog) -> None:
    """Add what the manifest has: tables that were not created yet, and what each column is."""
    provider = vercel().provider
    used = {each.path[:2] for each in (*catalog.tables.values(), *catalog.functions.values())}
    empty = (provider.name, "main")
    schemas = [path for path in catalog.schemas if path != empty or path in used]
    schemas += [(provider.name, name) for name in (*provider.services, *provider.views)]
    catalog.schemas = sorted({folded(path): path for path in schemas}.values(), key=folded)
    for path, resource in resources():
        columns = _described(resource.public_columns)
        catalog.tables[folded(path)] = Relation(path, resource.description, columns)
        for method in resource.methods.values():
            if method.reads:
                path = (provider.name, resource.service, method.name)
                columns = _described(result_columns(resource, method))
                catalog.functions[folded(path)] = Relation(path, method.description, columns)
    for schema, services in provider.views.items():
        for service in services:
            for view in vercel().service(service).views[schema].values():
                path = (provider.name, schema, view.name)
                made = catalog.tables.get(folded(path))
                kinds = {c.name: c.about.partition(":")[0] for c in made.columns} if made else {}
                columns = tuple(
                    Named(name, f"{kinds[name]}: {text}" if name in kinds else text)
                    for name, text in view.comments.items()
                )
                catalog.tables[folded(path)] = Relation(path, view.description, columns)


def _described(columns: Iterable[Any]) -> tuple[Named, ...]:
    return tuple(Named(c.name, _about(c.type, c.description)) for c in columns)


def _about(kind: str, description: str | None) -> str:
    short = kind if len(kind) <= 30 else f"{kind[:29]}…"
    return f"{short}: {description}" if description else short


def _read_words(con: duckdb.DuckDBPyConnection) -> Words:
    keywords = rows_of(con, "SELECT keyword_name, keyword_category FROM duckdb_keywords()")
    types = rows_of(con, "SELECT DISTINCT lower(type_name) FROM duckdb_types() ORDER BY 1")
    functions = rows_of(
        con,
        "SELECT function_name, any_value(function_type), any_value(description), "
        "any_value(parameters) FROM duckdb_functions() "
        "WHERE schema_name = 'main' AND regexp_matches(function_name, '^[a-z]\\w*$') "
        "GROUP BY function_name ORDER BY function_name",
    )
    settings = rows_of(con, "SELECT name, description FROM duckdb_settings() ORDER BY name")
    kinds: dict[str, list[Named]] = {"pragma": [], "table": [], "scalar": []}
    for name, kind, text, parameters in functions:
        about = text or f"({', '.join(p or '' for p in parameters or [])})"
        group = "table" if kind == "table_macro" else kind if kind in kinds else "scalar"
        kinds[group].append(Named(name, about))
    return Words(
        keywords=sorted({name for name, _ in keywords}),
        reserved=frozenset(n for n, kind in keywords if kind in ("reserved", "type_function")),
        types=[name for (name,) in types],
        functions=kinds["scalar"],
        table_functions=kinds["table"],
        settings=[Named(name, text or "") for name, text in settings],
        pragmas=kinds["pragma"],
    )
