"""Runs one statement: ours here, everything else is handed to DuckDB untouched.

Which API resource a name means, if any, is resolved by DuckDB's search path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import duckdb

from vercel_sql.catalog.ddl import literal
from vercel_sql.errors import NotSupportedError, PartialWriteError, ProgrammingError
from vercel_sql.sql.fragments import Fragment, Name, Script
from vercel_sql.sql.parameters import Parameters, half_character
from vercel_sql.sql.plan import Context, Limits, Outcome, Prepared
from vercel_sql.sql.queries import copies, path_entries, read_first, rows_of
from vercel_sql.sql.statements import (
    CopyFrom,
    Delete,
    Describe,
    Exec,
    Explain,
    Insert,
    Merge,
    Native,
    Show,
    Statement,
    Truncate,
    Update,
    Write,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
    def missing(self) -> list[str]:
        """The services whose tables have not been made yet."""

    def add(self, services: Iterable[str], *, described: bool = True) -> None:
        """Makes the tables of services; all views have their comments then, or need not."""


def _nearest(name: str, known: Iterable[str]) -> str:
    from vercel_sql.http.arguments import nearest  # for an error only

    return nearest(name, known)


class Target:
    """A resource that a name was resolved to, and the catalog that it belongs to."""

    def __init__(self, catalog: Catalog, resource: Resource) -> None:
        self.catalog = catalog
        self.resource = resource
        self.full_name = f"{catalog.name}.{resource.full_name}"
        self.sql_name = Name((catalog.name, resource.service, resource.name), "").quoted()

    @property
    def capabilities(self) -> str:
        methods = (f"{each.verb.upper()} ({each.name})" for each in self.resource.methods.values())
        return f"{self.full_name} can do {', '.join(methods)}"

    def method(self, name: str) -> Method:
        method = self.resource.method(name)
        if method is None:
            known = list(self.resource.methods)
            raise ProgrammingError(
                f"{self.full_name} has no method {name!r}{_nearest(name, known)}; "
                f"it has {', '.join(known)}"
            )
        return method


_OPENING = re.compile(r"[\s(]*([A-Za-z]+)\b")
_WORD = re.compile(r"\w+")
_LISTS = re.compile(
    r"\b(?:duckdb_(?:columns|constraints|functions|schemas|tables|views)|information_schema"
    r"|pg_(?:attribute|catalog|class|namespace|proc|tables|views)|show_tables(?:_expanded)?"
    r"|sqlite_(?:master|schema)"
    r"|(?:desc|describe|show)\s+(?:all|functions|schemas|tables))\b"
    r"|^\s*(?:desc|describe|show)\s*;?\s*$"
)
"""What lists tables or functions, in lower case."""
_BEGINS = frozenset(["BEGIN", "START"])
_ENDS = frozenset(["ABORT", "COMMIT", "END", "ROLLBACK"])
_MOVES = frozenset(["SET", "USE"])

_WRITES = frozenset(["COPY", "DELETE", "INSERT", "MERGE", "TRUNCATE", "UPDATE", "WITH"])
"""What begins a statement that is ours if a resource is its target."""
_READ_ALWAYS = frozenset(
    ["BEGIN", "DESC", "DESCRIBE", "EXEC", "EXECUTE", "EXPLAIN", "SHOW", "START"]
)
"""What begins our own statements, or DuckDB's that have to be read into tokens."""
_LATER = tuple(word.casefold() for word in _READ_ALWAYS)
_ANYWHERE = ("$", "?", "{{", "copy")
"""Placeholders and dollar quotes, and what writes files."""
_COLON = re.compile(r"(?<!:):[^\W\d]")


def _as_written(name: str) -> str:
    """How a name stands in a statement, in lower case: in quotes, it has each of its own twice."""
    return name.replace('"', '""').casefold()


class Plain:
    """Knows the texts that DuckDB can be given as they are, without a look at their tokens.

    Args:
        names: the names of catalogs and resources.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = [_as_written(name) for name in names]

    def read(self, text: str, *, whole: bool) -> Native | None:
        """A text as one DuckDB statement; None where it has to be read into tokens."""
        opening = _OPENING.match(text)
        if opening is None or half_character(text) is not None:
            return None
        keyword, folded = opening[1].upper(), text.casefold()
        several = ";" in text.rstrip().removesuffix(";")
        refused = _LATER if several else ()
        if several or keyword in _WRITES:
            refused = (*refused, *self._names)
        for part in (*_ANYWHERE, *refused):
            if part in folded:
                return None
        if keyword in _READ_ALWAYS or (several and not whole) or _COLON.search(text):
            return None
        return Native(fragment=Fragment(Script(text)), first_keyword="" if several else keyword)


class Resolver:
    """Resolves names for one connection."""

    def __init__(self, con: duckdb.DuckDBPyConnection, catalogs: Sequence[Catalog]) -> None:
        self._con = con
        self._catalogs = catalogs
        self._is_begun = False
        self._has_moved = False

    def load_services(self, statement: str) -> None:
        """Makes the tables of the services that a statement names, where they are missing.

        A transaction sees what was there when it first looked into the catalog, so all are made
        then. The comments are made when a statement may show them.
        """
        folded, found = statement.casefold(), _OPENING.match(statement)
        opening = found[1].upper() if found else ""
        self._is_begun = opening in _BEGINS or (self._is_begun and opening not in _ENDS)
        lists = _LISTS.search(folded) is not None
        for catalog in self._catalogs:
            if not (lists or opening in _BEGINS or self._may_name(catalog, folded)):
                continue  # before the manifest is read
            missing = catalog.missing
            needed = missing if lists else self._named(catalog, missing, folded)
            if self._is_begun and (needed or opening in _BEGINS):
                catalog.add(missing if needed else [])
            elif needed or lists:
                catalog.add(needed, described=lists)
            # From now on names may lead into the catalog without naming it.
            self._has_moved |= opening in _MOVES and _as_written(catalog.name) in folded

    def _may_name(self, catalog: Catalog, folded: str) -> bool:
        """Whether a statement can be about a catalog at all."""
        return self._has_moved or _as_written(catalog.name) in folded

    def _named(self, catalog: Catalog, services: Iterable[str], folded: str) -> list[str]:
        """Those services of a catalog whose tables, functions or views a statement may name."""
        if not self._may_name(catalog, folded):
            return []
        views = catalog.manifest.provider.views
        words = set(_WORD.findall(folded)) if services else set()
        of_views = {each for view in views if view.casefold() in words for each in views[view]}
        return [each for each in services if each in of_views or each.casefold() in words]

    def names_live(self, statement: str) -> bool:
        """Whether a statement may name one of our tables, views or functions."""
        text = statement.casefold()
        return any(
            self._named(each, each.manifest.service_names, text)
            for each in self._catalogs
            if self._may_name(each, text)
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
        if len(name.parts) > 3 or not self._may_be_ours(name):
            return None
        if len(name.parts) == 3:
            return self._exact(*name.parts)
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

    def _exact(self, catalog: str, service: str, resource: str) -> Target | None:
        wanted = tuple(part.casefold() for part in (catalog, service, resource))
        for each in self._catalogs:
            for known, resources in each.manifest.provider.services.items():
                for name in resources:
                    if wanted == (each.name.casefold(), known.casefold(), name.casefold()):
                        return Target(each, each.manifest.service(known).resources[name])
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
        last = literal(name.parts[-1])
        found = rows_of(
            self._con,
            "SELECT database_name, schema_name FROM duckdb_tables() "
            f"WHERE lower(table_name) = lower({last}) UNION ALL "
            "SELECT database_name, schema_name FROM duckdb_views() "
            f"WHERE lower(view_name) = lower({last})",
        )
        existing = {(database.casefold(), schema.casefold()) for database, schema in found}
        for database, schema in self._places_to_look(name):
            if (database.casefold(), schema.casefold()) in existing:
                return database, schema
        return None

    def _places_to_look(self, name: Name) -> list[tuple[str, str]]:
        query = "SELECT current_setting('search_path'), current_database(), current_schema()"
        ((setting, database, schema),) = rows_of(self._con, query)
        path = [("temp", "main"), *path_entries(setting or ""), (database, schema)]
        path.append((database, "main"))
        if len(name.parts) == 1:
            return path
        qualifier = name.parts[0]
        return [(database, qualifier) for database, _ in path] + [(qualifier, "main")]


_INSTEAD: dict[type[Write], tuple[str, str]] = {
    Update: ("UPDATE", "What exists can't be changed: make a new one and delete the old"),
    Merge: ("MERGE INTO", "Use INSERT … SELECT and DELETE … WHERE"),
    Truncate: ("TRUNCATE", "Use DELETE FROM … WHERE true, if that is what you mean"),
    CopyFrom: ("COPY … FROM", "Use INSERT INTO … SELECT … FROM 'file'"),
}


@dataclass(frozen=True)
class NativeQuery:
    """A statement for DuckDB, with the values of its parameters."""

    text: str = field(repr=False)
    values: dict[str, Any] = field(repr=False)


class Engine:
    """Runs the statements of one connection."""

    def __init__(self, con: duckdb.DuckDBPyConnection, catalogs: Sequence[Catalog]) -> None:
        self._con = con
        self._catalogs = catalogs
        self._resolver = Resolver(con, catalogs)

    def run(
        self, statement: Statement, parameters: Parameters, limits: Limits
    ) -> Outcome | NativeQuery:
        """Carries out a statement of ours; gives back what is DuckDB's to carry out."""
        self._resolver.load_services(statement.text)
        if isinstance(statement, Native):
            return self.native(statement, parameters)
        from vercel_sql.http.events import caused_by

        with caused_by(type(statement).__name__.upper()):
            try:
                result = self._run(statement, parameters, limits)
            except (duckdb.CatalogException, duckdb.BinderException) as error:
                # A name may stand for a table that was not made yet. Nothing was sent so far.
                if not self.load_missing(error):
                    raise
                result = self._run(statement, parameters, limits)
        if result is None:
            return self.native(statement, parameters)
        if result.changed is not None:
            self._require_noted(result)
        return result

    def _require_noted(self, outcome: Outcome) -> None:
        """Says so where a write was carried out that is not in the audit log."""
        for catalog in self._catalogs:
            auditor = catalog.client.auditor
            problem = auditor.log.problem if auditor is not None else None
            if problem is not None:
                text = f"{problem}. The statement was carried out, and its rows are in this error"
                raise PartialWriteError(text, cause=problem, table=outcome.table)

    def writes(self, statement: Statement) -> list[Method]:
        """What a statement calls for one row that changes something, once for each request."""
        self._resolver.load_services(statement.text)
        called: Sequence[Method | None] = ()
        if isinstance(statement, Exec):
            target, method = self._resolver.method(statement.name)
            called = [method]
            if method.rotation is not None:
                called = [target.resource.creator, target.resource.remover]
        elif isinstance(statement, Write) and (found := self._resolver.resource(statement.target)):
            is_delete = isinstance(statement, Delete)
            called = [found.resource.remover if is_delete else found.resource.creator]
        return [each for each in called if each is not None and not each.reads]

    def load_missing(self, error: duckdb.Error) -> bool:
        """Makes all tables that are missing, where an error may be about one; else False."""
        return self._resolver.may_be_missing(str(error)) and self.load_all()

    def load_all(self) -> bool:
        return self._resolver.load_all()

    def native(self, statement: Statement, parameters: Parameters) -> NativeQuery:
        """A statement for DuckDB; one that reads a live table reads it whole before it writes."""
        fragment = statement.fragment
        if statement.unreadable:
            return NativeQuery(fragment.script.source, {})
        is_live = copies(fragment) and self._resolver.names_live(fragment.text)
        return NativeQuery(*(read_first if is_live else Fragment.bind)(fragment, parameters))

    def _run(self, statement: Statement, parameters: Parameters, limits: Limits) -> Outcome | None:
        """The result of a statement of ours; None where it turns out to be DuckDB's."""
        found: Outcome | Prepared | None = None
        if isinstance(statement, Write | Exec):
            found = self._prepare(statement, parameters, limits)
        elif isinstance(statement, Show):
            from vercel_sql.sql.introspection import show

            found = show(self._resolver, statement)
        elif isinstance(statement, Describe):
            from vercel_sql.sql.introspection import describe

            found = describe(self._resolver, statement)
        elif isinstance(statement, Explain):
            found = self._explain(statement, parameters, limits)
        return found.run(limits) if isinstance(found, Prepared) else found

    def _prepare(
        self, statement: Write | Exec, parameters: Parameters, limits: Limits
    ) -> Prepared | Outcome | None:
        """A write up to its first request, the rows of a call that reads, or None: DuckDB's."""
        if isinstance(statement, Exec):
            return self._call(statement, parameters, limits)
        target = self._resolver.resource(statement.target)
        if target is None:
            return None
        if not isinstance(statement, Insert | Delete):
            verb, instead = _INSTEAD[type(statement)]
            raise NotSupportedError(
                f"{verb} {target.full_name} is not possible. {instead}. {target.capabilities}"
            )
        verb = "INSERT INTO" if isinstance(statement, Insert) else "DELETE FROM"
        context = Context(self._con, target, parameters, limits, f"{verb} {target.full_name}")
        from vercel_sql.http.events import refused

        with refused(context.client.doubts, context.what):
            if isinstance(statement, Insert):
                from vercel_sql.sql.calls import prepare_insert

                return prepare_insert(context, statement)
            from vercel_sql.sql.delete import prepare_delete

            return prepare_delete(context, statement)

    def _call(self, statement: Exec, parameters: Parameters, limits: Limits) -> Prepared | Outcome:
        from vercel_sql.http.events import refused
        from vercel_sql.sql.calls import prepare_call, run_read

        target, method = self._resolver.method(statement.name)
        what = f"EXEC {target.full_name}.{method.name}"
        context = Context(self._con, target, parameters, limits, what)
        if method.reads:
            return run_read(context, method, statement)
        with refused(context.client.doubts, what):
            return prepare_call(context, method, statement)

    def _explain(
        self, statement: Explain, parameters: Parameters, limits: Limits
    ) -> Outcome | None:
        from vercel_sql.sql.introspection import explain_query, explain_write

        inner = statement.inner
        if not isinstance(inner, Write | Exec):
            return explain_query(self._con, self._catalogs, statement, parameters)
        target: Target | None
        if isinstance(inner, Exec):
            target, _ = self._resolver.method(inner.name)
        else:
            target = self._resolver.resource(inner.target)
        if target is None:
            return None
        # What would be refused is shown all the same, with a note.
        freely = replace(limits, max_wait=None)
        prepare = partial(self._prepare, inner, parameters, freely)
        return explain_write(target.catalog.client, prepare, statement, limits)
