"""A resource as a live table: DuckDB asks it for columns and a predicate, and gets batches.

The contract with DuckDB: a predicate that is handed over is not checked again, so every batch
holds exactly the rows for which it is true.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
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
from vercel_sql.catalog.sources import Source, Sources
from vercel_sql.errors import NotSupportedError, ProgrammingError, StatementCancelledError
from vercel_sql.http.answers import Answer
from vercel_sql.http.requests import build_request
from vercel_sql.manifest import Column, Method, Resource
from vercel_sql.redaction.known import NotPicklable

_SIDE_BY_SIDE = 8


class LiveTable(NotPicklable, ds.Dataset):  # type: ignore[misc]
    """A resource as an object that DuckDB scans; the scans ask one of the sources."""

    def __init__(self, resource: Resource, sources: Sources) -> None:
        # The parent's __init__ is for Arrow's own datasets, and is not called.
        self.shape = TableShape(resource)
        self._sources = sources
        sources.serve(self)

    def __repr__(self) -> str:
        return f"<LiveTable vercel.{self.shape.resource.full_name}>"

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
            raise source.failures.failed(_no_filters(resource))
        return Scan(self.shape, source, names, filter, node, session)


@dataclass(frozen=True, eq=False, repr=False)
class Scan(NotPicklable):
    """One scan of a live table: the requests it makes, and the batches of their answers."""

    shape: TableShape
    source: Source
    names: list[str]
    predicate: pc.Expression | None
    node: Node | None
    session: str | None

    @property
    def projected_schema(self) -> pa.Schema:
        return pa.schema(map(self.shape.schema.field, self.names))

    def to_reader(self) -> pa.RecordBatchReader:
        """The batches as a stream, one page each, fetched as they are asked for."""
        return pa.RecordBatchReader.from_batches(self.projected_schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._run()
        except KeyboardInterrupt:
            # On its way through Arrow it would become an error like any other.
            self.source.client.current_scope.interruption = KeyboardInterrupt()
            error = StatementCancelledError("the statement was interrupted")
            raise self.source.failures.failed(error) from None
        except Exception as error:
            raise self.source.failures.failed(error) from None

    def _run(self) -> Iterator[pa.RecordBatch]:
        shape, client = self.shape, self.source.client
        columns = self._needed_columns()
        sources = {column.source for column in columns}
        own_key = self._own_key() if "self" in sources else None
        lister = shape.resource.lister
        server = lister.server if lister is not None and "clock" in sources else None
        clock = None if server is None else client.clock(server)
        for fields in self._fields(choose_route(shape, self.node), columns):
            client.doubts.tell(fields.doubts)
            note = "" if server is None else client.servers.origin(server).clock_note
            if note:
                client.doubts.warn(f"{note}. Ages and flags go by that clock", f"clock {server}")
            batch = shape.batch(fields, columns, own_key, clock, self.session)
            if self.predicate is not None:
                batch = batch.filter(self.predicate)
            yield shape.exported(batch, self.names)

    def _needed_columns(self) -> list[Column]:
        """What is projected and what the predicate looks at; all, where that is not known."""
        if self.predicate is None:
            return self.shape.columns(self.names)
        names = self.shape.column_names
        needed = names if self.node is None else fields_of(self.node) | set(self.names)
        return self.shape.columns(name for name in names if name in needed)

    def _fields(self, route: Route, columns: list[Column]) -> Iterator[Fields]:
        if route.lookups is not None:
            assert route.getter is not None  # noqa: S101 - lookups are chosen only with a getter
            yield from self._looked_up(route.getter, route.lookups, columns)
        elif self.shape.resource.rows:
            yield self._static(columns)
        elif route.lister is None:
            raise _nothing_to_list(self.shape.resource)
        elif route.lister.paging is None:
            answer = self.source.client.send(build_request(route.lister, {}))
            yield self._exact(answer, columns)
        else:
            listed = listed_fields(self.source.client, self.shape, route.lister, {}, columns)
            yield from (fields for _, fields in listed)

    def _looked_up(
        self, getter: Method, lookups: list[Lookup], columns: list[Column]
    ) -> Iterator[Fields]:
        get = partial(self._get, getter, columns)
        if len(lookups) <= 1:
            found = [get(lookup) for lookup in lookups]
        else:
            with ThreadPoolExecutor(min(_SIDE_BY_SIDE, len(lookups))) as executor:
                found = list(executor.map(get, lookups))
        yield from filter(None, found)

    def _get(self, getter: Method, columns: list[Column], lookup: Lookup) -> Fields | None:
        request = build_request(getter, {getter.required[0].name: lookup.value})
        answer = send_or_missing(self.source.client, request)
        if answer is None:
            return None
        fields = self._exact(answer, columns)
        if fields.count != 1:
            raise answer.unusable(f"it holds {fields.count} rows, where one was asked for")
        if lookup.is_self or not self.shape.resource.key_is_field:
            return replace(fields, requested=lookup.value)
        return fields

    def _static(self, columns: list[Column]) -> Fields:
        rows = self.shape.resource.rows
        names = self.shape.fields_needed(columns)
        arrays = {n: pa.array([row.get(n) for row in rows], self.shape.types[n]) for n in names}
        return Fields(len(rows), arrays, pa.nulls(len(rows), pa.string()))

    def _exact(self, answer: Answer, columns: list[Column]) -> Fields:
        rows = rows_at(answer, answer.request.method.rows)
        want_rest = any(column.source == "rest" for column in columns)
        names = self.shape.fields_needed(columns)
        return exact_fields(self.shape, answer, rows, names, want_rest)

    def _own_key(self) -> str | None:
        """The key of the calling credential's own row; costs one request."""
        resource = self.shape.resource
        if resource.getter is None or resource.self_reference is None:
            return None
        fields = self._get(resource.getter, [], Lookup(resource.self_reference.value, True))
        if fields is None:
            return None
        self.source.client.doubts.tell(fields.doubts)
        key: str | None = fields.arrays[resource.key][0].as_py()
        return key


def _no_filters(resource: Resource) -> NotSupportedError:
    """The error where DuckDB keeps the filters to itself that say what to ask for."""
    reads = f" that reads {' or '.join(resource.asked_by)}" if resource.asked_by else ""
    return NotSupportedError(
        f"a query of vercel.{resource.full_name}{reads} needs DuckDB's optimizers filter_pushdown, "
        "expression_rewriter and unused_columns, and one of them is off: RESET disabled_optimizers "
        "and PRAGMA enable_optimizer turn them on"
    )


def _nothing_to_list(resource: Resource) -> ProgrammingError:
    if resource.getter is not None:
        return ProgrammingError(
            f"vercel.{resource.full_name} can't be listed: it takes WHERE "
            f"{resource.request_key or resource.key} = '…', with a literal or a parameter"
        )
    uses = [
        f"EXEC vercel.{resource.full_name}.{method.name}"
        if method.verb == "exec"
        else f"{method.verb.upper()} ({method.name})"
        for method in resource.methods.values()
    ]
    return ProgrammingError(
        f"vercel.{resource.full_name} has no SELECT: Vercel doesn't list what is in it. "
        f"It can do {', '.join(uses)}"
    )
