"""Methods called as a whole: the columns of what they return, and their answers as tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from vercel_sql.auth.calls import run_procedure
from vercel_sql.catalog.pages import (
    exact_fields,
    listed_fields,
    page_reader,
    row_name,
    rows_at,
)
from vercel_sql.catalog.rows import (
    JSON,
    Fields,
    TableShape,
    arrow_types,
    column_array,
    unknown_fields,
)
from vercel_sql.errors import DataError
from vercel_sql.http.answers import Answer
from vercel_sql.http.client import Client
from vercel_sql.http.decode import encode_json, escaped, problem_in, text_problem
from vercel_sql.http.events import REST, STRICT, Doubt, Doubts
from vercel_sql.http.paging import walk
from vercel_sql.http.requests import build_request
from vercel_sql.manifest import Column, Method, Resource

ADDITIONAL = Column(
    name=REST,
    type="JSON",
    description="What Vercel sends and this package does not know yet; NULL if nothing.",
)


def result_columns(resource: Resource, method: Method) -> list[Column]:
    """The columns of what a method returns: its own, or those of its resource."""
    own = _has_own_columns(method)
    return [*method.returns, ADDITIONAL] if own else list(resource.public_columns)


def _has_own_columns(method: Method) -> bool:
    """Whether a method returns something else than rows of its resource, as every write does."""
    return bool(method.returns) or not method.reads


def result_schema(resource: Resource, method: Method) -> pa.Schema:
    columns = result_columns(resource, method)
    types = arrow_types(columns)
    return pa.schema([(c.name, JSON if c.type == "JSON" else types[c.name]) for c in columns])


def written_schema(resource: Resource, method: Method) -> pa.Schema:
    """The schema of what a write returns: the method's columns, then those of the row it made."""
    own = result_schema(resource, method)
    if not method.rows:
        return own
    shape = TableShape(resource)
    names = [c.name for c in resource.public_columns if c.name not in own.names]
    row = [shape.schema.field(shape.qualified(name)).with_name(name) for name in names]
    return pa.schema([*own, *row])


def written_table(resource: Resource, method: Method, answer: Answer) -> pa.Table:
    """The answer to a write, in the columns of `written_schema`."""
    own = _own_columns(resource, method, answer)
    if not method.rows:
        return own
    shape = TableShape(resource)
    row = _public_table(shape, [_all_fields(shape, answer, STRICT)])
    for field in written_schema(resource, method):
        if field.name not in own.column_names:
            own = own.append_column(field, row.column(field.name))
    return own


def call(
    client: Client, resource: Resource, method: Method, arguments: Mapping[str, Any]
) -> pa.Table:
    """The answer of a method that only reads, called with checked arguments."""
    if method.procedure is not None:
        content = run_procedure(client, method, arguments)
        return _own_columns(resource, method, _computed(method, arguments, content))
    if method.collect:
        return _collected(client, resource, method, arguments)
    if method.paging is not None:
        shape, parts = TableShape(resource), []
        columns = list(resource.public_columns)
        for _, fields in listed_fields(client, shape, method, arguments, columns):
            client.doubts.tell(fields.doubts)
            parts.append(fields)
        return _public_table(shape, parts)
    answer = client.send(build_request(method, arguments))
    # A row that does not hold its own key has what it was asked for by.
    requested = None if resource.key_is_field else arguments.get(resource.key)
    return answer_table(resource, method, answer, requested, client.doubts)


def answer_table(
    resource: Resource,
    method: Method,
    answer: Answer,
    requested: str | None = None,
    doubts: Doubts = STRICT,
) -> pa.Table:
    """An answer as a table: in the method's own columns, or the resource's."""
    if _has_own_columns(method):
        return _own_columns(resource, method, answer)
    shape = TableShape(resource)
    return _public_table(shape, [replace(_all_fields(shape, answer, doubts), requested=requested)])


def _all_fields(shape: TableShape, answer: Answer, doubts: Doubts) -> Fields:
    names = [column.name for column in shape.resource.fields]
    rows = rows_at(answer, answer.request.method.rows)
    fields = exact_fields(shape, answer, rows, names, want_rest=True)
    doubts.tell(fields.doubts)
    return fields


def _own_columns(
    resource: Resource, method: Method, answer: Answer, beside: Mapping[str, Any] | None = None
) -> pa.Table:
    """The one row of a method that has its own columns; ``beside`` are more additional fields."""
    content = answer.json()
    if not isinstance(content, dict):
        raise answer.unusable("it is not an object")
    types = arrow_types(method.returns)
    rest = {**unknown_fields(content, types), **(beside or {})} or None
    values = {**content, ADDITIONAL.name: rest}
    arrays = []
    for column in result_columns(resource, method):
        storage = types.get(column.name, pa.string())
        array, problems = column_array([values.get(column.name)], column, storage)
        for problem in problems.values():
            raise DataError(f"vercel.{resource.full_name}: {method.name}: {problem}")
        is_json = column.type == "JSON"
        arrays.append(pa.ExtensionArray.from_storage(JSON, array) if is_json else array)
    return pa.Table.from_arrays(arrays, schema=result_schema(resource, method))


def _public_table(shape: TableShape, parts: list[Fields]) -> pa.Table:
    columns = list(shape.resource.public_columns)
    names = [shape.qualified(column.name) for column in columns]
    batches = [shape.exported(shape.batch(fields, columns), names) for fields in parts]
    table = pa.Table.from_batches(batches, schema=pa.schema(map(shape.schema.field, names)))
    return table.rename_columns([column.name for column in columns])


def _collected(
    client: Client, resource: Resource, method: Method, arguments: Mapping[str, Any]
) -> pa.Table:
    """All pages of a listing joined into one body, which is one row."""
    shape = TableShape(resource)
    rows: list[Any] = []
    doubtful: list[Any] = []
    body: dict[str, Any] = {}
    for page, fresh in walk(client, method, arguments, page_reader(shape, method)):
        found = rows_at(page.answer, method.rows)
        for row in found if fresh is None else [found[position] for position in fresh]:
            exact, inexact = _parted(client, row_name(shape, page.answer, row), row)
            rows.append(exact)
            doubtful.append(inexact)
        body = {**page.answer.content(), **body}
    assert method.paging is not None  # noqa: S101 - only paged methods collect
    _put(body, method.rows, rows)
    _put(body, method.paging.count, len(rows))
    _put(body, method.paging.cursor, None)
    body, beside = _parted(client, f"vercel.{resource.full_name}: {method.name}", body)
    if any(doubtful):
        _put(beside, method.rows, doubtful)
    return _own_columns(resource, method, _computed(method, arguments, body), beside)


def _parted(
    client: Client, name: str, row: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A row with null for each value that is not exact JSON, and these values, spelled out."""
    problems = {n: problem for n, value in row.items() if (problem := problem_in({n: value}))}
    client.doubts.tell(
        Doubt(name, escaped(n), f"{escaped(n)} {problem}") for n, problem in problems.items()
    )
    exact = {
        n: None if n in problems else value for n, value in row.items() if text_problem(n) is None
    }
    return exact, escaped({n: row[n] for n in problems})


def _computed(method: Method, arguments: Mapping[str, Any], content: Mapping[str, Any]) -> Answer:
    """An answer that was put together here, so that it is read like any other."""
    request = build_request(method, arguments)
    return Answer(request, 200, {}, encode_json(dict(content)).encode())


def _put(body: dict[str, Any], path: list[str], value: Any) -> None:
    for name in path[:-1]:
        body = body.setdefault(name, {})
    body[path[-1]] = value
