"""Runs one statement: ours here, everything else is handed to DuckDB untouched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import duckdb

from vercel_sql.errors import NotSupportedError, PartialWriteError
from vercel_sql.http.events import caused_by, refused
from vercel_sql.manifest import Method
from vercel_sql.sql.copy_to import copies, read_first
from vercel_sql.sql.fragments import Fragment
from vercel_sql.sql.parameters import Parameters
from vercel_sql.sql.plan import Limits, Outcome
from vercel_sql.sql.prepared import Context, Prepared
from vercel_sql.sql.resolver import Catalog, Resolver, Target, any_made
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
        if isinstance(statement, Native) and statement.unreadable:
            return NativeQuery(statement.text, {})
        self._resolver.load_services(statement.fragment)
        with caused_by(type(statement).__name__.upper()):
            try:
                result = self._run(statement, parameters, limits)
            except (duckdb.CatalogException, duckdb.BinderException) as error:
                # A name may stand for a table that was not made yet. Nothing was sent so far.
                if not self.load_missing(error):
                    raise
                result = self._run(statement, parameters, limits)
        if isinstance(result, Outcome) and result.changed is not None:
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
        self._resolver.load_services(statement.fragment)
        if isinstance(statement, Exec):
            target, method = self._resolver.method(statement.name)
            resource = target.resource
            called = [method] if method.rotation is None else [resource.creator, resource.remover]
        elif isinstance(statement, Write) and (found := self._resolver.resource(statement.target)):
            is_delete = isinstance(statement, Delete)
            called = [found.resource.remover if is_delete else found.resource.creator]
        else:
            called = []
        return [each for each in called if each is not None and not each.reads]

    def load_missing(self, error: duckdb.Error) -> bool:
        """Makes all tables that are missing, where an error may be about one; else False."""
        return self._resolver.may_be_missing(str(error)) and self._resolver.load_all()

    def load_all(self) -> bool:
        """Makes all tables that are missing; False where none are."""
        return self._resolver.load_all()

    def native(self, statement: Statement, parameters: Parameters) -> NativeQuery:
        """A statement for DuckDB; one that reads a live table reads it whole before it writes."""
        fragment = statement.fragment
        if not any_made(self._catalogs):
            return NativeQuery(*fragment.bind(parameters))
        is_live = copies(fragment) and self._resolver.names_live(fragment)
        bind = read_first if is_live else Fragment.bind
        return NativeQuery(*bind(fragment, parameters))

    def _run(
        self, statement: Statement, parameters: Parameters, limits: Limits
    ) -> Outcome | NativeQuery:
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
        if isinstance(found, Prepared):
            return found.run(limits)
        return found if found is not None else self.native(statement, parameters)

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
            raise _refusal(target, statement)
        verb = "INSERT INTO" if isinstance(statement, Insert) else "DELETE FROM"
        context = Context(self._con, target, parameters, limits, f"{verb} {target.full_name}")
        with refused(context.client.doubts, context.what):
            if isinstance(statement, Insert):
                from vercel_sql.sql.insert import prepare_insert

                return prepare_insert(context, statement)
            from vercel_sql.sql.delete import prepare_delete

            return prepare_delete(context, statement)

    def _call(self, statement: Exec, parameters: Parameters, limits: Limits) -> Prepared | Outcome:
        from vercel_sql.sql.call import prepare_call, run_read

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
        from vercel_sql.sql.explain import explain_query, explain_write

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


def _refusal(target: Target, statement: Write) -> NotSupportedError:
    """The error for a write that no resource takes."""
    name, instead = _INSTEAD[type(statement)]
    return NotSupportedError(
        f"{name} {target.full_name} is not possible. {instead}. {target.capabilities}"
    )
