"""INSERT into a resource: one request a row, checked as a whole before the first is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from pyarrow import types as kinds

from vercel_sql.catalog.results import written_schema
from vercel_sql.errors import DataError, NotSupportedError, ParameterError
from vercel_sql.http.arguments import check_arguments, nearest
from vercel_sql.http.requests import build_request
from vercel_sql.manifest import Method, Parameter, Resource
from vercel_sql.sql.plan import Outcome
from vercel_sql.sql.prepared import Context, Prepared
from vercel_sql.sql.queries import refuse_transaction, table_of
from vercel_sql.sql.returning import Returning
from vercel_sql.sql.statements import Insert
from vercel_sql.writes.creates import write_and_keep


def prepare_insert(context: Context, statement: Insert) -> Prepared:
    """Everything up to the first request: names, values, RETURNING."""
    what, client, limits = context.what, context.client, context.limits
    method = _creator(context, statement)
    refuse_transaction(context.con, what)
    returning = _returning(context, method, statement)
    source = _source_rows(context, statement)
    columns = _columns(method, statement, source, what)
    rows = _arguments(columns, source, statement, context)
    clock = client.clock(method.server)
    checked = [
        check_arguments(method, row, f"{what}, row {number}", clock)
        for number, row in enumerate(rows, start=1)
    ]
    requests = [build_request(method, arguments) for arguments in checked]
    client.refuse_unsendable(method)
    limits.refuse_dropped(method, what)
    return Prepared(
        context,
        requests,
        lambda n: write_and_keep(client, context.resource, requests[n], limits.keeping),
        lambda done: _finish(context.resource, method, returning, done),
        notes=[limits.keeping.note(method)] * len(requests) if limits.keeping.mark_names else (),
        keep=None if returning is None else lambda done: returning.kept(pa.concat_tables(done)),
    )


def _creator(context: Context, statement: Insert) -> Method:
    statement.require_well_formed()
    if statement.or_action or statement.on_conflict:
        raise NotSupportedError(
            f"{context.what}: INSERT OR REPLACE/IGNORE and ON CONFLICT are not supported, since "
            "the API knows no conflicts: it makes another row of the same name. Filter the source "
            "instead (WHERE NOT EXISTS …)"
        )
    creator = context.resource.creator
    if creator is None:
        raise NotSupportedError(f"{context.what} is not possible: {context.target.capabilities}")
    if statement.source is None:
        first = creator.required[0].name
        raise NotSupportedError(f"{context.what}: DEFAULT VALUES has no {first}")
    if len(context.resource.of_verb("insert")) == 1:
        return creator
    names: Sequence[str] = statement.columns or ()
    if statement.by_name:
        names = _source_rows(context, statement, limit=0).column_names
    return context.resource.creator_for(map(_bare, names)) or creator


def _bare(name: str) -> str:
    return name[len(BODY_PREFIX) :] if name.casefold().startswith(BODY_PREFIX) else name


def _returning(context: Context, method: Method, statement: Insert) -> Returning | None:
    if statement.returning is None:
        return None
    alias = statement.alias or statement.target.parts[-1]
    returning = Returning(context.con, statement.returning, context.parameters, alias)
    schema = written_schema(context.resource, method)
    returning.require_rows(schema, context.what)
    if method.secrets and context.limits.secrets_file is None:
        returning.require_secrets(schema, _secret_columns(method), context.what)
    return returning


def _secret_columns(method: Method) -> list[str]:
    return [column.name for column in method.returns if column.secret]


def _source_rows(context: Context, statement: Insert, limit: int | None = None) -> pa.Table:
    assert statement.source is not None  # noqa: S101 - refused before
    text, values = statement.source.bind(context.parameters)
    query = f"SELECT * FROM (\n{text}\n)"
    if limit is not None:
        query = f"{query} LIMIT {limit}"
    if statement.with_clause is not None:
        # The source may begin with a WITH of its own, so the two can't simply follow another.
        clause, more = statement.with_clause.bind(context.parameters)
        query, values = f"{clause}\n{query}", {**more, **values}
    return table_of(context.con, query, values)


def _columns(
    method: Method, statement: Insert, source: pa.Table, where: str
) -> Sequence[Parameter]:
    names = source.column_names if statement.by_name else statement.columns
    if names is None:
        known = ", ".join(p.name for p in method.given)
        raise ParameterError(f"{where} needs the names of its columns in parentheses: {known}")
    if len(names) != source.num_columns:
        raise ParameterError(
            f"{where} names {len(names)} columns, and its source gives {source.num_columns}"
        )
    known_names = [p.name for p in method.given]
    found = [require_parameter(method, n, where, nearest(n, known_names)) for n in names]
    for parameter in found:
        if found.count(parameter) > 1:
            raise ParameterError(f"{where}: {parameter.name} is given twice")
    return found


def _arguments(
    columns: Sequence[Parameter], source: pa.Table, statement: Insert, context: Context
) -> list[dict[str, Any]]:
    """The rows as arguments; a NULL that was not written as one is an error."""
    values = []
    for parameter, column in zip(columns, source.columns, strict=True):
        refuse_moment(parameter, column, f"{context.what}: {parameter.name}")
        values.append(column_values(column, f"{context.what}: {parameter.name}"))
    written = statement.literal_nulls(context.parameters)
    rows = []
    for number in range(source.num_rows):
        nulls = written.at(number) if written is not None else frozenset()
        row = {}
        for position, parameter in enumerate(columns):
            value = values[position][number]
            if value is None and position not in nulls and not parameter.required:
                raise DataError(
                    f"{context.what}, row {number + 1}: {parameter.name} became NULL. Nothing "
                    "was sent. To leave it out, leave the column out or write NULL itself"
                )
            row[parameter.name] = value
        rows.append(row)
    return rows


def _finish(
    resource: Resource, method: Method, returning: Returning | None, done: list[pa.Table]
) -> Outcome:
    schema = written_schema(resource, method)
    rows = pa.concat_tables(done) if done else schema.empty_table()
    secrets = frozenset(_secret_columns(method))
    if returning is None:
        return Outcome(rows.select([c.name for c in method.returns]), len(rows), secrets)
    result = returning.evaluate(rows)
    if result.num_rows != rows.num_rows:
        raise ParameterError(
            f"RETURNING gave {result.num_rows} rows for {rows.num_rows} that were made"
        )
    found = returning.secret_columns(result, secrets) | _columns_with(result, rows, secrets)
    return Outcome(result, len(rows), found)


def _columns_with(result: pa.Table, rows: pa.Table, secrets: frozenset[str]) -> frozenset[str]:
    """The columns of a RETURNING, under their new names, that hold what is secret."""
    known = {value for name in secrets for value in rows.column(name).to_pylist() if value}
    return frozenset(
        name
        for name, column in zip(result.column_names, result.columns, strict=True)
        if any(secret in str(value) for value in column.to_pylist() for secret in known)
    )


BODY_PREFIX = "data__"
_PER_MILLISECOND = {
    "D": (86_400_000, 1),
    "s": (1000, 1),
    "ms": (1, 1),
    "us": (1, 1000),
    "ns": (1, 1_000_000),
}
_INFINITE = {
    pa.int32(): (2**31 - 1, -(2**31 - 1), -(2**31)),
    pa.int64(): (2**63 - 1, -(2**63 - 1), -(2**63)),
}


def parameter_named(method: Method, name: str) -> Parameter | None:
    """The parameter that a column or argument means; ``data__`` marks a field of the body."""
    found = method.parameter(name)
    if found is not None or not name.casefold().startswith(BODY_PREFIX):
        return found
    found = method.parameter(name[len(BODY_PREFIX) :])
    return found if found is not None and found.location == "body" else None


def column_values(column: pa.ChunkedArray, where: str) -> list[Any]:
    """The values of a column as Python values that say all that the column said.

    A date or timestamp becomes milliseconds since the epoch, rounded down.
    """
    if kinds.is_timestamp(column.type):
        return _milliseconds(column, column.type.unit, pa.int64(), where)
    if kinds.is_date(column.type):
        return _milliseconds(column, "D", pa.int32(), where)
    if isinstance(column.type, pa.BaseExtensionType):
        return [None if v is None else str(v) for v in column.to_pylist()]
    values: list[Any] = column.to_pylist()
    return values


def _milliseconds(
    column: pa.ChunkedArray, unit: str, storage: pa.DataType, where: str
) -> list[int | None]:
    values = [value for chunk in column.chunks for value in chunk.view(storage).to_pylist()]
    if any(value in _INFINITE[storage] for value in values):
        raise DataError(f"{where} is infinite; leave the column out for what has no end")
    times, per = _PER_MILLISECOND[unit]
    return [None if value is None else value * times // per for value in values]


def refuse_moment(parameter: Parameter, column: pa.ChunkedArray, where: str) -> None:
    """Stops a date from becoming a number where a parameter is not a point in time."""
    is_moment = kinds.is_timestamp(column.type) or kinds.is_date(column.type)
    if is_moment and parameter.moment is None:
        raise DataError(f"{where} takes {parameter.type}, not a date or time")


def require_parameter(method: Method, name: str, where: str, suggestion: str) -> Parameter:
    """The parameter that a column means."""
    parameter = parameter_named(method, name)
    if parameter is None:
        if (instead := method.refused(name)) is not None:
            raise ParameterError(f"{where} takes no {name}. {instead}")
        required = ", ".join(p.name for p in method.required)
        optional = ", ".join(p.name for p in method.optional)
        raise ParameterError(
            f"{where}: there is no {name!r}{suggestion}; required: {required}; "
            f"optional: {optional or 'nothing'}"
        )
    return parameter
