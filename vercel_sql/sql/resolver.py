"""Which API resource a name means, if any: names resolve by DuckDB's search path."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import duckdb

from vercel_sql.errors import ProgrammingError
from vercel_sql.sql.fragments import Fragment, Name
from vercel_sql.sql.queries import rows_of
from vercel_sql.sql.tokens import STRINGS, Kind, Lexeme, tokenize, word_set

if TYPE_CHECKING:
    from vercel_sql.catalog.sources import Failures
    from vercel_sql.http.client import Client
    from vercel_sql.manifest import Manifest, Method, Resource


class Catalog(Protocol):
    """An account's catalog in the connection."""

    @property
    def name(self) -> str:
        """Its name in SQL."""

    @property
    def client(self) -> Client:
        """The HTTP client that makes its calls."""

    @property
    def manifest(self) -> Manifest:
        """What it has."""

    @property
    def failures(self) -> Failures:
        """The originals of errors that went through DuckDB."""

    @property
    def made(self) -> Collection[str]:
        """The services whose tables have been made."""

    @property
    def missing(self) -> list[str]:
        """The services whose tables have not been made yet."""

    def add(self, services: Iterable[str], *, described: bool = True) -> None:
        """Makes the tables of services; all views have their comments then, or need not."""


def any_made(catalogs: Iterable[Catalog]) -> bool:
    """Whether there are live tables by now, which a statement may be about."""
    return any(each.made for each in catalogs)


def _nearest(name: str, known: Iterable[str]) -> str:
    from vercel_sql.http.arguments import nearest  # for an error only

    return nearest(name, known)


class Target:
    """A resource that a name was resolved to, and the catalog that it belongs to."""

    def __init__(self, catalog: Catalog, resource: Resource) -> None:
        self.catalog = catalog
        self.resource = resource

    @property
    def full_name(self) -> str:
        """The name with its catalog, for errors."""
        return f"{self.catalog.name}.{self.resource.full_name}"

    @property
    def sql_name(self) -> str:
        """The name with its catalog, quoted."""
        parts = (self.catalog.name, self.resource.service, self.resource.name)
        return Name(parts, "").quoted()

    @property
    def capabilities(self) -> str:
        """What the resource can do, in words."""
        methods = ", ".join(
            f"{method.verb.upper()} ({method.name})" for method in self.resource.methods.values()
        )
        return f"{self.full_name} can do {methods}"

    def method(self, name: str) -> Method:
        """The method of that name."""
        method = self.resource.method(name)
        if method is None:
            known = list(self.resource.methods)
            raise ProgrammingError(
                f"{self.full_name} has no method {name!r}{_nearest(name, known)}; "
                f"it has {', '.join(known)}"
            )
        return method


_WORD = re.compile(r"\w+")
_BEGINS = frozenset(["BEGIN", "START"])
_ENDS = frozenset(["ABORT", "COMMIT", "END", "ROLLBACK"])


class Resolver:
    """Resolves names for one connection."""

    def __init__(self, con: duckdb.DuckDBPyConnection, catalogs: Sequence[Catalog]) -> None:
        self._con = con
        self._catalogs = catalogs
        self._is_begun = False
        self._has_moved = False

    def load_services(self, fragment: Fragment) -> None:
        """Makes the tables of the services that a statement names, where they are missing.

        A transaction sees what was there when it first looked into the catalog, so all are made
        then. The comments are made when a statement may show them.
        """
        opening = fragment.lexemes[0].upper if fragment.lexemes else ""
        self._is_begun = opening in _BEGINS or (self._is_begun and opening not in _ENDS)
        for catalog in self._catalogs:
            named = Mentions(fragment.lexemes, catalog.name, self._has_moved)
            if named.nothing and opening not in _BEGINS:
                continue
            missing, views = catalog.missing, catalog.manifest.provider.views
            needed = missing if named.everything else named.services(missing, views)
            if self._is_begun and (needed or opening in _BEGINS):
                catalog.add(missing if needed else [])
            elif needed or named.everything:
                catalog.add(needed, described=named.everything)
            self._has_moved |= named.moves

    def names_live(self, fragment: Fragment) -> bool:
        """Whether a statement names one of our tables, views or functions."""
        return any(
            Mentions(fragment.lexemes, catalog.name, self._has_moved).services(
                catalog.manifest.service_names, catalog.manifest.provider.views
            )
            for catalog in self._catalogs
        )

    def may_be_missing(self, text: str) -> bool:
        """Whether an error of DuckDB's may be about a table that was not made yet."""
        # What DuckDB suggests instead is there.
        words = set(_WORD.findall(text.partition("Did you mean")[0].casefold()))
        return any(
            name.casefold() in words
            for catalog in self._catalogs
            for missing in catalog.missing
            for name in (
                *(catalog.name, missing),
                *catalog.manifest.provider.services[missing],
                *catalog.manifest.provider.views,
            )
        )

    def load_all(self) -> bool:
        """Makes all tables and their comments; False where there were no tables to make."""
        left = any(catalog.missing for catalog in self._catalogs)
        for catalog in self._catalogs:
            catalog.add(catalog.missing)
        return left

    def resource(self, name: Name) -> Target | None:
        """The resource that a table name means, or None where it is another table or nothing."""
        if not self._may_be_ours(name):
            return None
        if len(name.parts) >= 3:
            return self._exact(*name.parts[-3:]) if len(name.parts) == 3 else None
        place = self._place(name)
        return self._exact(*place, name.parts[-1]) if place else None

    def require(self, name: Name) -> Target:
        """The resource that a name means, where nothing but a resource can stand."""
        found = self.resource(name) or self._behind_tables(name)
        if found is None:
            known = [
                f"{catalog.name}.{service}.{resource}"
                for catalog in self._catalogs
                for service, resources in catalog.manifest.provider.services.items()
                for resource in resources
            ]
            raise ProgrammingError(
                f"unknown resource {name.text}{_nearest('.'.join(name.parts), known)}; "
                f"there are {', '.join(known)}"
            )
        return found

    def method(self, name: Name) -> tuple[Target, Method]:
        """The method that a name such as ``vercel.oauth.tokens.revoke_token`` means."""
        if len(name.parts) < 2:
            raise ProgrammingError(
                f"{name.text} does not name a method: it takes a resource and a method, as in "
                "vercel.authentication.user_tokens.email_login"
            )
        target = self.require(Name(name.parts[:-1], ".".join(name.parts[:-1])))
        return target, target.method(name.parts[-1])

    def catalog(self, name: str) -> Catalog:
        """The catalog of that name."""
        for catalog in self._catalogs:
            if catalog.name.casefold() == name.casefold():
                return catalog
        known = [catalog.name for catalog in self._catalogs]
        raise ProgrammingError(
            f"unknown catalog {name!r}{_nearest(name, known)}; there is {', '.join(known)}"
        )

    def _may_be_ours(self, name: Name) -> bool:
        last = name.parts[-1].casefold()
        return any(
            last == resource.casefold()
            for catalog in self._catalogs
            for resources in catalog.manifest.provider.services.values()
            for resource in resources
        )

    def _exact(self, catalog_name: str, service_name: str, resource_name: str) -> Target | None:
        for catalog in self._catalogs:
            if catalog.name.casefold() != catalog_name.casefold():
                continue
            for service in catalog.manifest.service_names:
                if service.casefold() == service_name.casefold():
                    resources = catalog.manifest.service(service).resources
                    folded = {name.casefold(): found for name, found in resources.items()}
                    resource = folded.get(resource_name.casefold())
                    return Target(catalog, resource) if resource else None
        return None

    def _behind_tables(self, name: Name) -> Target | None:
        """The resource that a table of the same name hides from the statements for tables."""
        if len(name.parts) > 2 or not self._may_be_ours(name):
            return None
        places = (self._exact(*place, name.parts[-1]) for place in self._places_to_look(name))
        return next((target for target in places if target is not None), None)

    def _place(self, name: Name) -> tuple[str, str] | None:
        """Database and schema of the table that DuckDB finds for a name of one or two parts."""
        # As a literal: to bind a value, DuckDB 1.5 imports pandas.
        literal = "'" + name.parts[-1].replace("'", "''") + "'"
        found = rows_of(
            self._con,
            "SELECT database_name, schema_name FROM duckdb_tables() "
            f"WHERE lower(table_name) = lower({literal}) UNION ALL "
            "SELECT database_name, schema_name FROM duckdb_views() "
            f"WHERE lower(view_name) = lower({literal})",
        )
        existing = {(database.casefold(), schema.casefold()) for database, schema in found}
        for database, schema in self._places_to_look(name):
            if (database.casefold(), schema.casefold()) in existing:
                return database, schema
        return None

    def _places_to_look(self, name: Name) -> list[tuple[str, str]]:
        path = [("temp", "main"), *self._search_path()]
        if len(name.parts) == 1:
            return path
        (qualifier, _) = name.parts
        return [(database, qualifier) for database, _ in path] + [(qualifier, "main")]

    def _search_path(self) -> list[tuple[str, str]]:
        (row,) = rows_of(
            self._con,
            "SELECT current_setting('search_path'), current_database(), current_schema()",
        )
        setting, database, schema = row
        entries = path_entries(setting) if setting else []
        return [*entries, (database, schema), (database, "main")]


def path_entries(setting: str) -> list[tuple[str, str]]:
    """The entries of a search path such as ``memory.main,"my db".main``."""
    entries: list[list[str]] = [[]]
    for lexeme in tokenize(setting):
        if lexeme.raw == ",":
            entries.append([])
        elif lexeme.kind in (Kind.WORD, Kind.QUOTED):
            entries[-1].append(lexeme.value)
    return [(parts[0], parts[1] if len(parts) > 1 else "main") for parts in entries if parts]


_LISTS = word_set("""
    duckdb_columns duckdb_constraints duckdb_functions duckdb_schemas duckdb_tables duckdb_views
    information_schema pg_attribute pg_catalog pg_class pg_namespace pg_proc pg_tables pg_views
    show_tables show_tables_expanded sqlite_master sqlite_schema
""")
"""Names of what lists tables or functions."""
_SHOWN = frozenset(["ALL", "FUNCTIONS", "SCHEMAS", "TABLES"])
_SHOWS = frozenset(["DESC", "DESCRIBE", "SHOW"])
_MOVES = frozenset(["USE", "SET"])
_NAMES = frozenset([Kind.WORD, Kind.QUOTED])


class Mentions:
    """What one statement says of a catalog."""

    def __init__(self, lexemes: Sequence[Lexeme], catalog: str, inside: bool) -> None:
        self._lexemes = lexemes
        self._catalog = catalog.casefold()
        self._words = self._inner_words()
        self._names = frozenset(each.value.casefold() for each in lexemes if each.kind in _NAMES)
        if inside:
            self._words |= self._names

    @property
    def moves(self) -> bool:
        """Whether names may lead into the catalog from now on without naming it."""
        opening = self._lexemes[0].upper if self._lexemes else ""
        return opening in _MOVES and bool(self._words or self._catalog in self._names)

    @property
    def nothing(self) -> bool:
        """Whether it has nothing to do with the catalog; for this no manifest is read."""
        return not self._words and self._catalog not in self._names and not self.everything

    @property
    def everything(self) -> bool:
        """Whether it lists what there is."""
        return (
            bool(_LISTS & self._names)
            or (len(self._lexemes) == 1 and self._lexemes[0].upper in _SHOWS)
            or any(a.upper in _SHOWS and b.upper in _SHOWN for a, b in pairwise(self._lexemes))
        )

    def services(self, missing: Iterable[str], views: Mapping[str, Iterable[str]]) -> list[str]:
        """The services among the missing ones whose tables, functions or views it names."""
        needed = {
            service
            for schema, services in views.items()
            if schema.casefold() in self._words
            for service in services
        }
        return [name for name in missing if name in needed or name.casefold() in self._words]

    def _inner_words(self) -> frozenset[str]:
        """What stands after the catalog's name and a dot, in names and in strings with names."""
        found: set[str] = set()
        for one, dot, two in zip(self._lexemes, self._lexemes[1:], self._lexemes[2:], strict=False):
            if dot.raw == "." and one.kind in _NAMES and one.value.casefold() == self._catalog:
                found.add(two.value.casefold())
        for lexeme in self._lexemes:
            text = lexeme.value.casefold() if lexeme.kind in STRINGS else ""
            if f"{self._catalog}." in text:
                found.update(text.replace('"', "").replace(",", ".").replace(" ", ".").split("."))
        return frozenset(found)
