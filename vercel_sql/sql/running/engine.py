"""Runs one statement: ours here, everything else is handed to DuckDB untouched.

What runs a statement of ours is imported when one comes: most are DuckDB's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import duckdb

from vercel_sql.api.causes import caused_by
from vercel_sql.api.doubts import refused
from vercel_sql.errors import PartialWriteError
from vercel_sql.manifest import Method
from vercel_sql.sql.fragments import Fragment
from vercel_sql.sql.parameters import Parameters
from vercel_sql.sql.running.copying import copies, read_first
from vercel_sql.sql.running.prepared import Limits, Outcome, Prepared
from vercel_sql.sql.running.resolve import Catalog, Resolver, Target, any_made
from vercel_sql.sql.statements import (
    Delete,
    Describe,
    Exec,
    Explain,
    Insert,
    Native,
    Show,
    Statement,
    Write,
)

if TYPE_CHECKING:
    from vercel_sql.sql.running.explain import Explained
    from vercel_sql.sql.running.rotate import PreparedRotation

__all__ = ["Engine", "Limits", "NativeQuery", "Outcome"]


@dataclass(frozen=True)
class NativeQuery:
    """A statement for DuckDB, with the values of its parameters."""

    text: str = field(repr=False)
    values: dict[str, Any] = field(repr=False)


class Engine:
    """Runs the statements of one connection.

    Args:
        con: the user's connection.
        catalogs: the accounts in it; the list may grow.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, catalogs: Sequence[Catalog]) -> None:
        self._con = con
        self._catalogs = catalogs
        self._resolver = Resolver(con, catalogs)

    def run(
        self, statement: Statement, parameters: Parameters, limits: Limits
    ) -> Outcome | NativeQuery:
        """Carries out a statement of ours; gives back what is DuckDB's to carry out.

        Raises:
            Error: any error of this package.
            duckdb.Error: an error of DuckDB's, in a part of the statement that it evaluates.
        """
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
        """Says so where a write was carried out that is not in the audit log.

        Raises:
            PartialWriteError: it is so; the error has the statement's rows.
        """
        for catalog in self._catalogs:
            auditor = catalog.client.auditor
            problem = auditor.log.problem if auditor is not None else None
            if problem is not None:
                text = f"{problem}. The statement was carried out, and its rows are in this error"
                raise PartialWriteError(text, cause=problem, table=outcome.table)

    def writes(self, statement: Statement) -> list[Method]:
        """What a statement calls for one row that changes something, once for each request.

        Raises:
            ProgrammingError: it names a method that is not there.
        """
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
        found: Outcome | None = None
        if isinstance(statement, Write):
            target = self._resolver.resource(statement.target)
            if target is not None:
                return self._prepare_write(target, statement, parameters, limits).run(limits)
        elif isinstance(statement, Exec):
            return self._exec(statement, parameters, limits)
        elif isinstance(statement, Show):
            from vercel_sql.sql.running.look import show

            found = show(self._resolver, statement)
        elif isinstance(statement, Describe):
            from vercel_sql.sql.running.look import describe

            found = describe(self._resolver, statement)
        elif isinstance(statement, Explain):
            found = self._explain(statement, parameters, limits)
        return found if found is not None else self.native(statement, parameters)

    def _prepare_write(
        self, target: Target, statement: Write, parameters: Parameters, limits: Limits
    ) -> Prepared:
        if not isinstance(statement, Insert | Delete):
            from vercel_sql.sql.running.refusals import refuse

            raise refuse(target, statement)
        verb = "INSERT INTO" if isinstance(statement, Insert) else "DELETE FROM"
        with refused(target.catalog.client.doubts, f"{verb} {target.full_name}"):
            if isinstance(statement, Insert):
                from vercel_sql.sql.running.insert import prepare_insert

                return prepare_insert(self._con, target, statement, parameters, limits)
            from vercel_sql.sql.running.delete import prepare_delete

            return prepare_delete(self._con, target, statement, parameters, limits)

    def _exec(self, statement: Exec, parameters: Parameters, limits: Limits) -> Outcome:
        from vercel_sql.sql.running.call import exec_arguments, run_read

        target, method = self._resolver.method(statement.name)
        if method.reads:
            arguments = exec_arguments(self._con, target, method, statement, parameters)
            return run_read(target, method, arguments)
        return self._prepare_call(target, method, statement, parameters, limits).run(limits)

    def _prepare_call(
        self,
        target: Target,
        method: Method,
        statement: Exec,
        parameters: Parameters,
        limits: Limits,
    ) -> Prepared | PreparedRotation:
        from vercel_sql.sql.running.call import exec_arguments, prepare_call

        with refused(target.catalog.client.doubts, f"EXEC {target.full_name}.{method.name}"):
            arguments = exec_arguments(self._con, target, method, statement, parameters)
            return prepare_call(self._con, target, method, arguments, limits)

    def _explain(
        self, statement: Explain, parameters: Parameters, limits: Limits
    ) -> Outcome | None:
        from vercel_sql.sql.running.explain import explain_query, explain_write

        # What would be refused is shown all the same, with a note.
        inner, freely = statement.inner, replace(limits, max_wait=None)
        if isinstance(inner, Exec):
            target, _ = self._resolver.method(inner.name)
            prepare = self._prepare_exec(inner, parameters, freely)
            return explain_write(target.catalog.client, prepare, statement, limits)
        if isinstance(inner, Write):
            write_target = self._resolver.resource(inner.target)
            if write_target is None:
                return None
            return explain_write(
                write_target.catalog.client,
                lambda: self._prepare_write(write_target, inner, parameters, freely),
                statement,
                limits,
            )
        return explain_query(self._con, self._catalogs, statement, parameters)

    def _prepare_exec(
        self, statement: Exec, parameters: Parameters, limits: Limits
    ) -> Callable[[], Explained | None]:
        from vercel_sql.sql.running.call import exec_arguments, run_read

        def prepare() -> Explained | None:
            target, method = self._resolver.method(statement.name)
            if not method.reads:
                return self._prepare_call(target, method, statement, parameters, limits)
            arguments = exec_arguments(self._con, target, method, statement, parameters)
            run_read(target, method, arguments)
            return None

        return prepare
