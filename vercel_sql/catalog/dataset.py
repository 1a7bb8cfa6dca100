"""A resource as a live table: DuckDB asks it for columns and a predicate, and gets batches.

The contract with DuckDB: a predicate that is handed over is not checked again, so every batch
holds exactly the rows for which it is true.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from vercel_sql.catalog.pages import exact_fields, listed_fields, rows_at, send_or_missing
from vercel_sql.catalog.predicates import (
    Lookup,
    Node,
    Route,
    candidates,
    choose_route,
    fields_of,
    parse_expression,
)
from vercel_sql.catalog.rows import SESSION, Fields, TableShape
from vercel_sql.catalog.sources import ScanFailed, Source, Sources
from vercel_sql.errors import NotSupportedError, ProgrammingError, StatementCancelledError
from vercel_sql.http.answers import Answer
from vercel_sql.http.requests import build_request
from vercel_sql.manifest import Column, Method, Resource

_SIDE_BY_SIDE = 8


class LiveTable(ds.Dataset):  # type: ignore[misc]
    """A resource as an object that DuckDB scans; the scans ask one of the sources."""

    def __init__(self, resource: Resource, sources: Sources) -> None:
        # The parent's __init__ is for Arrow's own datasets, and is not called.
        self.shape = TableShape(resource)
        self._sources = sources
        sources.serve(self)

    def __repr__(self) -> str:
        return f"<LiveTable vercel.{self.shape.resource.full_name}>"

    def __reduce__(self) -> Any:
        raise TypeError("a LiveTable holds a connection and is not pickled")

    @property
    def schema(self) -> pa.Schema:
        return self.shape.schema

    def scanner(
        self,
        columns: list[str] | None = None,
        filter: pc.Expression | None = None,  # noqa: A002 - the name is DuckDB's
        **_options: Any,
    ) -> Scan:
        """One scan. Nothing is requested before the first batch is asked for."""
        names = self.shape.column_names if columns is None else list(columns)
        node = None if filter is None else parse_expression(filter)
        column = self.shape.qualified(SESSION.name)
        session = next(iter(candidates(node, column) or ()), None)
        source = self._sources.of(session)
        resource = self.shape.resource
        needs_filters = len(self._sources) > 1 or resource.asked_by
        if session is None and column in names and needs_filters:
            error = _no_filters(resource)
            source.failures.keep(error)
            raise ScanFailed.of(error)
        return Scan(self.shape, source, names, filter, node, session)


class Scan:
    """One scan of a live table: the requests it makes, and the batches of their answers."""

    def __init__(
        self,
        shape: TableShape,
        source: Source,
        names: list[str],
        predicate: pc.Expression | None,
        node: Node | None,
        session: str | None,
    ) -> None:
        self.projected_schema = pa.schema([shape.schema.field(name) for name in names])
        self._shape = shape
        self._client = source.client
        self._failures = source.failures
        self._names = names
        self._predicate = predicate
        self._node = node
        self._session = session

    def to_reader(self) -> pa.RecordBatchReader:
        """The batches as a stream, one page each, fetched as they are asked for."""
        return pa.RecordBatchReader.from_batches(self.projected_schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._run()
        except KeyboardInterrupt:
            # On its way through Arrow it would become an error like any other.
            self._client.current_scope.interruption = KeyboardInterrupt()
            raise self._failed(StatementCancelledError("the statement was interrupted")) from None
        except Exception as error:
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> ScanFailed:
        self._failures.keep(error)
        return ScanFailed.of(error)

    def _run(self) -> Iterator[pa.RecordBatch]:
        node = self._node
        columns = self._needed_columns(node)
        own_key = self._own_key() if any(c.source == "self" for c in columns) else None
        server = self._server(columns)
        clock = None if server is None else self._client.clock(server)
        assemble = self._shape.assembler(columns, clock, self._session)
        export = self._shape.exporter(self._names)
        for fields in self._fields(choose_route(self._shape, node), columns):
            self._client.doubts.tell(fields.doubts)
            if server is not None:
                self._warn_of_clock(server)
            batch = assemble(fields, own_key)
            if self._predicate is not None:
                batch = batch.filter(self._predicate)
            yield export(batch)

    def _needed_columns(self, node: Node | None) -> list[Column]:
        """What is projected and what the predicate looks at; all, where that is not known."""
        if self._predicate is None:
            return self._shape.columns(self._names)
        if node is None:
            return self._shape.columns(self._shape.column_names)
        needed = fields_of(node) | set(self._names)
        return self._shape.columns(n for n in self._shape.column_names if n in needed)

    def _server(self, columns: list[Column]) -> str | None:
        """The server by whose clock some of the columns go; None where none of them does."""
        lister = self._shape.resource.lister
        goes_by_it = any(column.source == "clock" for column in columns)
        return lister.server if goes_by_it and lister is not None else None

    def _warn_of_clock(self, server: str) -> None:
        note = self._client.servers.origin(server).clock_note
        if note:
            self._client.doubts.warn(f"{note}. Ages and flags go by that clock", f"clock {server}")

    def _fields(self, route: Route, columns: list[Column]) -> Iterator[Fields]:
        if route.lookups is not None:
            assert route.getter is not None  # noqa: S101 - lookups are chosen only with a getter
            yield from self._looked_up(route.getter, route.lookups, columns)
        elif self._shape.resource.rows:
            yield self._static(columns)
        elif route.lister is not None:
            yield from self._listed(route.lister, columns)
        else:
            raise _nothing_to_list(self._shape.resource)

    def _listed(self, method: Method, columns: list[Column]) -> Iterator[Fields]:
        if method.paging is None:
            answer = self._client.send(build_request(method, {}))
            yield self._exact(answer, method, columns)
            return
        for _, fields in listed_fields(self._client, self._shape, method, {}, columns):
            yield fields

    def _looked_up(
        self, method: Method, lookups: list[Lookup], columns: list[Column]
    ) -> Iterator[Fields]:
        if len(lookups) <= 1:
            found = [self._get(method, lookup, columns) for lookup in lookups]
        else:
            with ThreadPoolExecutor(min(_SIDE_BY_SIDE, len(lookups))) as executor:
                found = list(executor.map(lambda one: self._get(method, one, columns), lookups))
        yield from (fields for fields in found if fields is not None)

    def _get(self, method: Method, lookup: Lookup, columns: list[Column]) -> Fields | None:
        arguments = {method.required[0].name: lookup.value}
        answer = send_or_missing(self._client, build_request(method, arguments))
        if answer is None:
            return None
        fields = self._exact(answer, method, columns)
        if fields.count != 1:
            raise answer.unusable(f"it holds {fields.count} rows, where one was asked for")
        if lookup.is_self or not self._shape.resource.key_is_field:
            return replace(fields, requested=lookup.value)
        return fields

    def _static(self, columns: list[Column]) -> Fields:
        rows = self._shape.resource.rows
        names = self._shape.fields_needed(columns)
        arrays = {n: pa.array([row.get(n) for row in rows], self._shape.types[n]) for n in names}
        return Fields(len(rows), arrays, pa.nulls(len(rows), pa.string()))

    def _exact(self, answer: Answer, method: Method, columns: list[Column]) -> Fields:
        rows = rows_at(answer, method.rows)
        want_rest = any(column.source == "rest" for column in columns)
        return exact_fields(
            self._shape, answer, rows, self._shape.fields_needed(columns), want_rest
        )

    def _own_key(self) -> str | None:
        """The key of the calling credential's own row; costs one request."""
        resource = self._shape.resource
        if resource.getter is None or resource.self_reference is None:
            return None
        fields = self._get(resource.getter, Lookup(resource.self_reference.value, True), [])
        if fields is None:
            return None
        self._client.doubts.tell(fields.doubts)
        key: str | None = fields.arrays[resource.key][0].as_py()
        return key


def _uses(resource: Resource) -> Iterator[str]:
    for method in resource.methods.values():
        as_exec = f"EXEC vercel.{resource.full_name}.{method.name}"
        yield as_exec if method.verb == "exec" else f"{method.verb.upper()} ({method.name})"


def _no_filters(resource: Resource) -> NotSupportedError:
    """The error where DuckDB keeps the filters to itself that say what to ask for."""
    reads = f" that reads {' or '.join(resource.asked_by)}" if resource.asked_by else ""
    return NotSupportedError(
        f"a query of vercel.{resource.full_name}{reads} needs DuckDB's optimizers filter_pushdown, "
        "expression_rewriter and unused_columns, and one of them is off: RESET disabled_optimizers "
        "and PRAGMA enable_optimizer turn them on"
    )


def _nothing_to_list(resource: Resource) -> ProgrammingError:
    if resource.getter is None:
        return ProgrammingError(
            f"vercel.{resource.full_name} has no SELECT: Vercel doesn't list what is in it. "
            f"It can do {', '.join(_uses(resource))}"
        )
    needed = resource.request_key or resource.key
    return ProgrammingError(
        f"vercel.{resource.full_name} can't be listed: it takes WHERE {needed} = '…', "
        "with a literal or a parameter"
    )
