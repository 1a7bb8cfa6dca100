"""One method called as a whole: its answer as a table of Arrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from vercel_sql.api import Answer, Client, Request, build_request, walk
from vercel_sql.api.decode import encode_json, escaped, problem_in, text_problem
from vercel_sql.api.doubts import REST, STRICT, Doubt, Doubts
from vercel_sql.auth.calls import run_procedure
from vercel_sql.errors import AnswerError, DataError, Error, NotFoundError, ProgrammingError
from vercel_sql.manifest import Column, Method, Resource
from vercel_sql.tables.pages import (
    doubts_in,
    exact_fields,
    field_reader,
    page_reader,
    row_name,
    rows_at,
)
from vercel_sql.tables.rows import column_array, unknown_fields
from vercel_sql.tables.shape import JSON, Fields, TableShape, arrow_types

ADDITIONAL = Column(
    name=REST,
    type="JSON",
    description="What Vercel sends and this package does not know yet; NULL if nothing.",
)


def result_columns(resource: Resource, method: Method) -> list[Column]:
    """The columns of what a method gives."""
    if not _has_own_columns(method):
        return list(resource.public_columns)
    return [*method.returns, ADDITIONAL]


def _has_own_columns(method: Method) -> bool:
    """Whether a method gives something else than rows of its resource: a write does."""
    return bool(method.returns) or not method.reads


def result_schema(resource: Resource, method: Method) -> pa.Schema:
    """The Arrow schema of what a method gives."""
    columns = result_columns(resource, method)
    types = arrow_types(columns)
    return pa.schema(
        [(c.name, JSON if c.type == "JSON" else types[c.name]) for c in columns],
    )


def written_schema(resource: Resource, method: Method) -> pa.Schema:
    """The schema of what a write gives: the method's columns, then those of the row it made."""
    own = result_schema(resource, method)
    if not method.rows:
        return own
    shape = TableShape(resource)
    names = [c.name for c in resource.public_columns if c.name not in own.names]
    row = [shape.schema.field(shape.qualified(name)).with_name(name) for name in names]
    return pa.schema([*own, *row])


def written_table(resource: Resource, method: Method, answer: Answer) -> pa.Table:
    """The answer to a write, in the columns of `written_schema`."""
    own = answer_table(resource, method, answer)
    if not method.rows:
        return own
    shape = TableShape(resource)
    names = [column.name for column in resource.fields]
    fields = exact_fields(shape, answer, rows_at(answer, method.rows), names, want_rest=True)
    STRICT.tell(fields.doubts)
    row = _public_table(shape, [fields])
    for field in written_schema(resource, method):
        if field.name not in own.column_names:
            own = own.append_column(field, row.column(field.name))
    return own


def call(client: Client, resource: Resource, method: Method, arguments: Mapping[str, Any]) -> Any:
    """Calls a method with checked arguments and gives its answer as a `pyarrow.Table`.

    Raises:
        APIError: Vercel answered with an error, a 404 among them.
    """
    if method.procedure is not None:
        content = run_procedure(client, method, arguments)
        return _own_columns(resource, method, computed(method, arguments, content))
    if method.collect:
        return _collected(client, resource, method, arguments)
    if method.paging is not None:
        return _listed(client, resource, method, arguments)
    answer = client.send(build_request(method, arguments))
    return answer_table(resource, method, answer, _requested(resource, arguments), client.doubts)


def _requested(resource: Resource, arguments: Mapping[str, Any]) -> str | None:
    """What a row that does not hold its own key was asked for by."""
    return None if resource.key_is_field else arguments.get(resource.key)


def answer_table(
    resource: Resource,
    method: Method,
    answer: Answer,
    requested: str | None = None,
    doubts: Doubts = STRICT,
) -> pa.Table:
    """An answer as a table: the method's own columns, or the resource's.

    Args:
        resource: the method's resource.
        method: the method.
        answer: its answer.
        requested: what was asked for, where the rows do not hold their key.
        doubts: is told of what can't be decoded exactly in rows of the resource.

    Raises:
        AnswerError: the answer is not of the form that the manifest says.
        DataError: a value is not of its column's type.
    """
    if _has_own_columns(method):
        return _own_columns(resource, method, answer)
    shape = TableShape(resource)
    rows = rows_at(answer, method.rows)
    names = [column.name for column in resource.fields]
    fields = exact_fields(shape, answer, rows, names, want_rest=True)
    doubts.tell(fields.doubts)
    return _public_table(shape, [replace(fields, requested=requested)])


def _own_columns(
    resource: Resource, method: Method, answer: Answer, beside: Mapping[str, Any] | None = None
) -> pa.Table:
    """The answer of a method that has columns of its own, one row.

    Args:
        resource: the method's resource.
        method: the method.
        answer: its answer.
        beside: what goes into the additional fields as well.
    """
    content = answer.json()
    if not isinstance(content, dict):
        raise answer.unusable("it is not an object")
    schema = result_schema(resource, method)
    types = arrow_types(method.returns)
    rest = {**unknown_fields(content, types), **(beside or {})} or None
    values = {**content, ADDITIONAL.name: rest}
    name = f"vercel.{resource.full_name}: {method.name}"
    arrays = []
    for column in result_columns(resource, method):
        storage = types.get(column.name, pa.string())
        array, problems = column_array([values.get(column.name)], column, storage)
        for problem in problems.values():
            raise DataError(f"{name}: {problem}")
        arrays.append(array)
    return _typed(arrays, schema)


def _typed(arrays: list[pa.Array], schema: pa.Schema) -> pa.Table:
    exported = [
        pa.ExtensionArray.from_storage(JSON, array) if field.type == JSON else array
        for array, field in zip(arrays, schema, strict=True)
    ]
    return pa.Table.from_arrays(exported, schema=schema)


def _public_table(shape: TableShape, parts: list[Fields]) -> pa.Table:
    columns = list(shape.resource.public_columns)
    names = [shape.qualified(column.name) for column in columns]
    assemble, export = shape.assembler(columns), shape.exporter(names)
    batches = [export(assemble(fields, None)) for fields in parts]
    schema = pa.schema([shape.schema.field(name) for name in names])
    table = pa.Table.from_batches(batches, schema=schema)
    return table.rename_columns([column.name for column in columns])


def _listed(
    client: Client, resource: Resource, method: Method, arguments: Mapping[str, Any]
) -> pa.Table:
    shape = TableShape(resource)
    columns = list(resource.public_columns)
    parts = []
    fields_of = field_reader(shape, method, columns)
    for page, fresh in walk(client, method, arguments, page_reader(shape, method)):
        fields = fields_of(page)
        client.doubts.tell(fields.doubts)
        parts.append(fields if fresh is None else _taken(fields, fresh))
    return _public_table(shape, parts)


def _taken(fields: Fields, positions: list[int]) -> Fields:
    kept = pa.array(positions, pa.int64())
    arrays = {name: array.take(kept) for name, array in fields.arrays.items()}
    rest = None if fields.rest is None else fields.rest.take(kept)
    return Fields(len(positions), arrays, rest, fields.requested)


def _collected(
    client: Client, resource: Resource, method: Method, arguments: Mapping[str, Any]
) -> pa.Table:
    """All pages of a listing joined into one body, which is one row."""
    shape = TableShape(resource)
    rows: list[Any] = []
    kept: list[Any] = []
    body: dict[str, Any] = {}
    for page, fresh in walk(client, method, arguments, page_reader(shape, method)):
        found = rows_at(page.answer, method.rows)
        found = found if fresh is None else [found[position] for position in fresh]
        for row in found:
            exact, inexact = _parted(row)
            rows.append(exact)
            kept.append(escaped(inexact))
            client.doubts.tell(doubts_in(row_name(shape, page.answer, row), inexact))
        body = {**page.answer.content(), **body}
    assert method.paging is not None  # noqa: S101 - only paged methods collect
    _put(body, method.rows, rows)
    _put(body, method.paging.count, len(rows))
    _put(body, method.paging.cursor, None)
    body, inexact = _parted(body)
    client.doubts.tell(doubts_in(f"vercel.{resource.full_name}: {method.name}", inexact))
    beside: dict[str, Any] = escaped(inexact)
    if any(kept):
        _put(beside, method.rows, kept)
    return _own_columns(resource, method, computed(method, arguments, body), beside)


def _parted(row: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A row with null for each value that is not exact JSON, and these values."""
    inexact = {n: value for n, value in row.items() if problem_in({n: value}) is not None}
    exact = {
        n: None if n in inexact else value for n, value in row.items() if text_problem(n) is None
    }
    return exact, inexact


def computed(method: Method, arguments: Mapping[str, Any], content: Mapping[str, Any]) -> Answer:
    """An answer that was put together here, so that it is read like any other."""
    request = build_request(method, arguments)
    return Answer(request, 200, {}, encode_json(dict(content)).encode())


def _put(body: dict[str, Any], path: list[str], value: Any) -> None:
    for name in path[:-1]:
        body = body.setdefault(name, {})
    body[path[-1]] = value


def own_key(client: Client, resource: Resource) -> str | None:
    """The key of the row that is the calling credential, asked anew; None where there is none.

    Costs one request.
    """
    request = own_request(resource)
    return None if request is None else own_row(client, resource, request).key


@dataclass(frozen=True)
class KeyedRow:
    """One row as the API gave it.

    Attributes:
        key: what identifies it.
        values: its fields, decoded exactly.
        answer: where it is from.
    """

    key: str
    values: Mapping[str, Any]
    answer: Answer


def own_request(resource: Resource, bearer: str | None = None) -> Request | None:
    """The request for the row that is the calling credential; None where there is none.

    Args:
        resource: the resource.
        bearer: the credential that is asked about, where it is not the client's own.
    """
    reference, getter = resource.self_reference, resource.getter
    if reference is None or getter is None:
        return None
    request = build_request(getter, {getter.required[0].name: reference.value})
    if bearer is None:
        return request
    return replace(request, authorization=f"Bearer {bearer}", secrets=(bearer,))


def own_row(client: Client, resource: Resource, request: Request) -> KeyedRow:
    """What `own_request` gives, asked anew."""
    return keyed_row(resource, request.method, client.send(request))


def keyed_row(resource: Resource, getter: Method, answer: Answer) -> KeyedRow:
    """The row of an answer.

    Raises:
        AnswerError: there is none, or it has no key.
    """
    rows = rows_at(answer, getter.rows)
    key = rows[0].get(resource.key) if len(rows) == 1 else None
    if not isinstance(key, str) or text_problem(key) is not None:
        raise answer.unusable(f"it has no {resource.key}")
    return KeyedRow(key, rows[0], answer)


def row_doubts(resource: Resource, row: KeyedRow, names: list[str]) -> Sequence[Doubt]:
    """What is in doubt of some fields of a row."""
    return exact_fields(TableShape(resource), row.answer, [row.values], names, False).doubts


def refuse_own_key(client: Client, resource: Resource, keys: list[str]) -> None:
    """Stops a deletion that would take away the credential that carries it out.

    Raises:
        ProgrammingError: one of the keys is the calling credential's own.
    """
    reference = resource.self_reference
    if reference is None or not keys:
        return
    own = own_key(client, resource)
    if own in keys:
        raise ProgrammingError(
            f"vercel.{resource.full_name}: {own} is the {resource.key} of the token that makes "
            "these calls, which is never deleted by accident. Nothing was deleted. Leave it out "
            f"({resource.key} <> '{own}'), or ask for just that: "
            f"WHERE {reference.column} = '{reference.value}'"
        )


def refuse_misleading_key(resource: Resource, keys: list[str]) -> None:
    """Stops a deletion of rows one of which the API would take for something else.

    Raises:
        ProgrammingError: the key of a row is the word for the calling credential.
    """
    reference = resource.self_reference
    if reference is not None and reference.value in keys:
        raise ProgrammingError(
            f"vercel.{resource.full_name}: a row has the {resource.key} {reference.value!r}, which "
            "the API takes for the credential that makes these calls. Nothing was deleted"
        )


def require_answer(method: Method, answer: Answer) -> None:
    """Makes sure that an answer is one of the method's, and not some page with status 200.

    Raises:
        AnswerError: it is no object, or lacks what the manifest says that the method gives.
    """
    content = answer.json()
    if not isinstance(content, dict):
        raise answer.unusable("it is not an object")
    for column in method.returns:
        if column.name not in content:
            raise answer.unusable(f"it has no {column.name}")


def send_or_missing(client: Client, request: Request) -> Answer | None:
    """The answer to a request; None where a 404 says that there is no such row.

    Raises:
        APIError: any other error, and a 404 where it does not mean that.
    """
    try:
        return client.send(request)
    except NotFoundError:
        if not request.method.missing_is_empty:
            raise
        return None


def salvage(resource: Resource, method: Method, answer: Answer) -> tuple[pa.Table, Error | None]:
    """The answer of a write as a table, and what was wrong with it.

    A secret is shown once: whatever else is wrong with the answer, it is kept.

    Raises:
        AnswerError: the answer can't be used, and has no secret.
    """
    try:
        table = written_table(resource, method, answer)
    except (AnswerError, DataError) as error:
        kept = answer.secrets()
        if not kept and isinstance(error, AnswerError):
            raise
        return _only(written_schema(resource, method), kept), error
    missing = [
        c.name
        for c in method.returns
        if c.secret and not c.optional and table.column(c.name)[0].as_py() is None
    ]
    if missing:
        name = f"vercel.{resource.full_name}: {method.name}"
        return table, DataError(f"{name}: the answer has no {', '.join(missing)}")
    return table, None


def _only(schema: pa.Schema, values: Mapping[str, str]) -> pa.Table:
    """One row of these values, and NULL elsewhere."""
    arrays = [
        pa.array([values[field.name]], pa.string())
        if field.name in values
        else pa.nulls(1, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
