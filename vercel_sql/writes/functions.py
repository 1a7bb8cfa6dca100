"""Methods as native DuckDB functions, for connections that our statements do not reach.

DuckDB may call a function more often than the statement says, or not at all. So a function that
changes something takes a ``request_id``: a second call with the same one returns the first answer
and sends nothing. Such functions exist only if they were asked for.
"""

from __future__ import annotations

import hashlib
import inspect
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import InitVar, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import duckdb

from vercel_sql.catalog.ddl import EXACTLY, quoted
from vercel_sql.catalog.sources import Source, Sources
from vercel_sql.errors import InterfaceError, ParameterError, TooManyWritesError
from vercel_sql.http.arguments import check_arguments
from vercel_sql.http.client import Client
from vercel_sql.http.decode import encode_json
from vercel_sql.http.events import caused_by
from vercel_sql.http.requests import build_request
from vercel_sql.manifest import Method, Resource, Service
from vercel_sql.redaction.known import NotPicklable
from vercel_sql.writes.policy import FUNCTION, WriteBudgets, WritePolicy

if TYPE_CHECKING:
    import pyarrow as pa

_LONGEST_ID = 200  # characters
_CALLER, _STATEMENT, _SESSION = "__caller", "__statement", "__session"
CURRENT_STATEMENT = "concat(txid_current(), '/', current_query_id())"
"""SQL that tells a DuckDB statement from all others of the database.

The second number alone does that, within a transaction too, but a prepared statement that is
executed again would have that of its first execution. The first makes DuckDB plan it anew.
"""

_left_behind: list[Callable[..., Any]] = []
"""Functions that DuckDB may still call, and that nobody can remove any more."""


@dataclass
class _Entry:
    fingerprint: str
    caller: object
    lock: threading.Lock = field(default_factory=threading.Lock)  # held while it is carried out
    outcome: tuple[Any, Exception | None] | None = None


class Idempotency(NotPicklable):
    """Carries out each request id once; threads may share it.

    Args:
        claim: called with an id and its caller right before it is carried out, and may refuse it.
    """

    def __init__(self, claim: Callable[[str, object], None] = lambda _id, _caller: None) -> None:
        self._claim = claim
        self._entries: dict[str, _Entry] = {}
        self._changed = threading.Condition()
        self._running = 0
        self._closed = False

    def once(
        self, request_id: str, fingerprint: str, act: Callable[[], Any], caller: object = None
    ) -> Any:
        """Calls ``act`` for the first use of an id; later uses get the same result or error.

        A refusal for too many writes is not remembered: nothing was sent. An id is for one call
        (by its ``fingerprint``) of one caller: nobody is given what another caller was given.
        """
        if len(request_id) > _LONGEST_ID:
            raise ParameterError(f"a request_id has at most {_LONGEST_ID} characters")
        with self._changed:
            entry = self._entries.setdefault(request_id, _Entry(fingerprint, caller))
        if entry.fingerprint != fingerprint:
            raise ParameterError("this request_id was already used for another call")
        if entry.caller != caller:
            raise ParameterError(
                "this request_id was used in another session, so nothing was sent. What it gave is "
                "not shown again; its secrets are in the server's secrets file"
            )
        with entry.lock:
            if entry.outcome is None:
                with self._counted():
                    entry.outcome = self._outcome(request_id, caller, act)
        result, failure = entry.outcome
        if failure is not None:
            raise failure
        return result

    def drain(self, seconds: float) -> bool:
        """Carries out nothing new, and waits for what runs; False if some of it still does."""
        with self._changed:
            self._closed = True
            return self._changed.wait_for(lambda: self._running == 0, seconds)

    def _outcome(
        self, request_id: str, caller: object, act: Callable[[], Any]
    ) -> tuple[Any, Exception | None]:
        try:
            self._claim(request_id, caller)
            return act(), None
        except TooManyWritesError:
            raise
        except Exception as error:
            return None, error

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._changed:
            if self._closed:
                raise InterfaceError("the server is stopping; nothing was sent")
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()


@dataclass(eq=False, repr=False)
class Functions:
    """The native functions of one catalog.

    Args:
        con: the connection that they are registered on; only it can remove them.
        catalog: the name of the catalog.
        sources: what makes the calls, for each connection that shares the catalog.
        policy: where secrets go; with a file for them, the functions that change something are
            made too.
        idempotency: what each request id returned.
        budgets: how many writes each statement may send.
        caller: SQL that says who calls, where callers must not be given each other's secrets.
    """

    con: InitVar[duckdb.DuckDBPyConnection]
    catalog: str
    sources: Sources
    policy: WritePolicy
    idempotency: Idempotency
    budgets: WriteBudgets
    caller: str = "NULL"

    def __post_init__(self, con: duckdb.DuckDBPyConnection) -> None:
        # DuckDB holds the functions. These must not hold it, or Python could not free them.
        self._ref = weakref.ref(con)
        self._registered: dict[str, Callable[..., Any]] = {}

    @cached_property
    def session(self) -> str:
        """SQL for the key of the source that a query is to ask."""
        name, current = f"__{self.catalog}_session", self.sources.current
        return f"{quoted(self._register(name, current, [], 'VARCHAR'))}()"

    def create(self, service: Service) -> list[str]:
        """Makes the functions of a service; returns the statements that make its macros."""
        macros = []
        for resource in service.resources.values():
            for method in resource.methods.values():
                if method.reads:
                    macros.append(self._read_macro(resource, method))
                elif self.policy.secrets_file is not None:
                    macros.append(self._scalar_macro(resource, method, writes=True))
        return macros

    @property
    def _con(self) -> duckdb.DuckDBPyConnection:
        con = self._ref()
        if con is None:
            raise InterfaceError("the connection that Vercel's tables were made on is closed")
        return con

    def come_to(self, con: duckdb.DuckDBPyConnection) -> None:
        """Registers functions on another connection of the database from now on."""
        self._ref = weakref.ref(con)

    def remove(self) -> None:
        for name, function in self._registered.items():
            try:
                self._con.remove_function(name)
            except (duckdb.Error, InterfaceError):
                # Their connection is closed, and they stay for as long as the database.
                _left_behind.append(function)
        self._registered.clear()

    def _register(
        self, name: str, function: Callable[..., Any], types: list[str], gives: str, **options: Any
    ) -> str:
        """Registers a function; returns its name, which differs if the name was taken.

        DuckDB releases a function when the connection that it was registered on is closed, and
        the process crashes when another connection of the database calls it then: so it is held.
        """
        try:
            given: list[Any] = [self._con.type(each) for each in types]
            self._con.create_function(name, function, given, self._con.type(gives), **options)
        except duckdb.CatalogException:
            return self._register(f"{name}_", function, types, gives, **options)
        self._registered[name] = function
        return name

    def _read_macro(self, resource: Resource, method: Method) -> str:
        table = ".".join(quoted(part) for part in (self.catalog, resource.service, resource.name))
        if method is resource.lister and not method.given:
            return self._macro(method, resource, f"SELECT * FROM {table}")
        if method is resource.getter and method.required[0].name in resource.key_columns:
            parameter = quoted(method.required[0].name)
            query = f"SELECT live_row.* FROM {table} AS live_row WHERE live_row.{parameter}"
            return self._macro(method, resource, f"{query}{EXACTLY} = {parameter}")
        return self._scalar_macro(resource, method, writes=False)

    def _macro(self, method: Method, resource: Resource, query: str, extra: str = "") -> str:
        name = ".".join(quoted(part) for part in (self.catalog, resource.service, method.name))
        parameters = [quoted(p.name) for p in method.required] + ([extra] if extra else [])
        parameters += [f"{quoted(p.name)} := NULL" for p in method.optional]
        return f"CREATE MACRO {name}({', '.join(parameters)}) AS TABLE {query}"

    def _scalar_macro(self, resource: Resource, method: Method, *, writes: bool) -> str:
        """Makes a Python function that returns a list of structs; the macro makes rows of it.

        The function returns its error as a value, which the macro raises: DuckDB shows what a
        Python function raises with a traceback.
        """
        from duckdb.func import FunctionNullHandling

        from vercel_sql.catalog.results import result_columns

        name = f"__{self.catalog}_{resource.service}_{resource.name}_{method.name}"
        columns = result_columns(resource, method)
        members = ", ".join(
            f"{quoted(c.name)} {'VARCHAR' if c.type == 'JSON' else c.type}" for c in columns
        )
        hidden = {_CALLER: self.caller, _STATEMENT: CURRENT_STATEMENT, _SESSION: self.session}
        given = [p.name for p in method.given] + (["request_id", *hidden] if writes else [_SESSION])
        types: list[str] = [p.type for p in method.given]
        types += ["VARCHAR", "UBIGINT", "VARCHAR"] if writes else []
        types.append("VARCHAR")
        name = self._register(
            name,
            self._python_function(resource, method, given, writes),
            types,
            f"STRUCT(rows STRUCT({members})[], error VARCHAR)",
            null_handling=FunctionNullHandling.SPECIAL,
            side_effects=True,
        )
        passed = [hidden.get(each) or quoted(each) for each in given]
        call_text = f"{quoted(name)}({', '.join(passed)})"
        shown = ", ".join(
            f"r.{quoted(c.name)}{'::JSON' if c.type == 'JSON' else ''} AS {quoted(c.name)}"
            for c in columns
        )
        # The inner unnest keeps DuckDB from calling once per mention of the outcome.
        outcome = f"SELECT unnest([{call_text}]) AS outcome"
        rows = "CASE WHEN outcome.error IS NULL THEN outcome.rows ELSE error(outcome.error) END"
        query = f"SELECT {shown} FROM (SELECT unnest({rows}) AS r FROM ({outcome}))"
        return self._macro(method, resource, query, "request_id" if writes else "")

    def _python_function(
        self, resource: Resource, method: Method, names: list[str], writes: bool
    ) -> Callable[..., dict[str, Any]]:
        from vercel_sql.catalog.results import call

        def run(*values: Any) -> dict[str, Any]:
            given = dict(zip(names, values, strict=True))
            source = self.sources.of(given.pop(_SESSION))
            try:
                if writes:
                    with caused_by("function"):
                        table = self._write(source, resource, method, given)
                else:
                    checked = check_arguments(method, given, f"{resource.service}.{method.name}()")
                    table = call(source.client, resource, method, checked)
                return {"rows": table.to_pylist(), "error": None}
            except Exception as error:
                source.failures.keep(error)
                return {"rows": [], "error": source.client.redactor.mask(str(error))}

        # DuckDB counts the parameters that a function declares.
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(n, inspect.Parameter.POSITIONAL_ONLY) for n in names]
        )
        return run

    def _write(
        self, source: Source, resource: Resource, method: Method, given: dict[str, Any]
    ) -> pa.Table:
        where = f"{resource.service}.{method.name}()"
        request_id, caller = given.pop("request_id"), given.pop(_CALLER)
        budget = self.budgets.of(given.pop(_STATEMENT))
        if not request_id:
            raise ParameterError(f"{where}: request_id is missing; it makes a second call harmless")
        # A macro passes NULL for what is left out, so no NULL is one that somebody wrote.
        there = {name: value for name, value in given.items() if value is not None}
        clock = source.client.clock(method.server)
        checked = check_arguments(method, there, where, clock)
        source.client.refuse_if_read_only(method)

        def send() -> pa.Table:
            budget.take(f"{self.catalog}.{where}", method.write_count)
            return self._send(source.client, resource, method, checked)

        call_text = f"{method.resource}.{method.name} {encode_json(dict(checked))}"
        fingerprint = hashlib.sha256(call_text.encode()).hexdigest()
        return self.idempotency.once(str(request_id), fingerprint, send, caller)

    def _send(
        self, client: Client, resource: Resource, method: Method, checked: Mapping[str, Any]
    ) -> pa.Table:
        if method.rotation is not None:
            from vercel_sql.writes.rotation import Rotation, RotationPlan

            where = f"{resource.service}.{method.name}()"
            table = f"{self.catalog}.{resource.full_name}"
            policy, syntax = self.policy, FUNCTION
            plan = RotationPlan(
                client, resource, method, checked, policy, where=where, table=table, syntax=syntax
            )
            return Rotation(plan).run()
        from vercel_sql.catalog.results import result_columns
        from vercel_sql.writes.creates import write_and_keep
        from vercel_sql.writes.deletes import refuse_own_key

        if method is resource.remover:
            refuse_own_key(client, resource, [str(v) for v in checked.values()])
        client.create_results.settle()
        written = write_and_keep(client, resource, build_request(method, checked), self.policy)
        # DuckDB takes exactly the declared columns, and cites the values where they differ.
        return written.select([column.name for column in result_columns(resource, method)])
