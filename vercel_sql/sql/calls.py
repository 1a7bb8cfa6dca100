"""INSERT and EXEC: values as the arguments of methods, all checked before the first is sent."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import types as kinds

from vercel_sql.catalog.results import call, result_columns, written_schema
from vercel_sql.errors import DataError, NotSupportedError, ParameterError
from vercel_sql.http.arguments import check_arguments, nearest
from vercel_sql.http.requests import build_request
from vercel_sql.sql.delete import looked_up
from vercel_sql.sql.plan import Context, Match, Outcome, Prepared
from vercel_sql.sql.queries import refuse_transaction, table_of
from vercel_sql.sql.returning import Returning
from vercel_sql.writes.creates import write_and_keep
from vercel_sql.writes.deletes import refuse_own_key
from vercel_sql.writes.policy import Pace
from vercel_sql.writes.rotation import Rotation, RotationPlan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vercel_sql.manifest import Method, Parameter
    from vercel_sql.sql.fragments import Fragment
    from vercel_sql.sql.parameters import Parameters
    from vercel_sql.sql.statements import Exec, Insert

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


def prepare_insert(context: Context, statement: Insert) -> Prepared:
    """Everything up to the first request: names, values, RETURNING."""
    what, client, keeping = context.what, context.client, context.limits.keeping
    resource = context.resource
    method = _creator(context, statement)
    refuse_transaction(context.con, what)
    returning = _returning(context, method, statement)
    source = _source_rows(context, statement)
    rows = _arguments(_columns(method, statement, source, what), source, statement, context)
    clock = client.clock(method.server)
    checked = [
        check_arguments(method, row, f"{what}, row {number}", clock)
        for number, row in enumerate(rows, start=1)
    ]
    requests = [build_request(method, arguments) for arguments in checked]
    client.refuse_unsendable(method)
    context.limits.refuse_dropped(method, what)
    return Prepared(
        context,
        requests,
        lambda number: write_and_keep(client, resource, requests[number], keeping),
        lambda done: _finish(context, method, returning, done),
        notes=[keeping.note(method)] * len(requests) if keeping.mark_names else (),
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
        names = _source_rows(context, statement, " LIMIT 0").column_names
    bare = (n[len(BODY_PREFIX) :] if n.casefold().startswith(BODY_PREFIX) else n for n in names)
    return context.resource.creator_for(bare) or creator


def _returning(context: Context, method: Method, statement: Insert) -> Returning | None:
    if statement.returning is None:
        return None
    returning = Returning(context, statement, statement.returning)
    schema = written_schema(context.resource, method)
    returning.require_rows(schema, context.what)
    if method.secrets and context.limits.keeping.secrets_file is None:
        returning.require_secrets(schema, _secrets(method), context.what)
    return returning


def _secrets(method: Method) -> frozenset[str]:
    """The columns of an answer that are shown this once."""
    return frozenset(column.name for column in method.returns if column.secret)


def _source_rows(context: Context, statement: Insert, limit: str = "") -> pa.Table:
    assert statement.source is not None  # noqa: S101 - refused before
    text, values = statement.source.bind(context.parameters)
    # The source may begin with a WITH of its own, so the two can't simply follow another.
    query = f"SELECT * FROM (\n{text}\n){limit}"
    return table_of(context.con, *statement.with_bound(query, values, context.parameters))


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
    found = [_parameter(method, name, where) for name in names]
    for parameter in found:
        if found.count(parameter) > 1:
            raise ParameterError(f"{where}: {parameter.name} is given twice")
    return found


def _arguments(
    columns: Sequence[Parameter], source: pa.Table, statement: Insert, context: Context
) -> list[dict[str, Any]]:
    """The rows as arguments; a NULL that was not written as one is an error."""
    values = [
        _values(parameter, column, f"{context.what}: {parameter.name}")
        for parameter, column in zip(columns, source.columns, strict=True)
    ]
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
    context: Context, method: Method, returning: Returning | None, done: list[pa.Table]
) -> Outcome:
    schema = written_schema(context.resource, method)
    rows = pa.concat_tables(done) if done else schema.empty_table()
    secrets = _secrets(method)
    if returning is None:
        return Outcome(rows.select([c.name for c in method.returns]), len(rows), secrets)
    result = returning.evaluate(rows)
    if result.num_rows != rows.num_rows:
        raise ParameterError(
            f"RETURNING gave {result.num_rows} rows for {rows.num_rows} that were made"
        )
    # Under whatever name a column has it, a value that is secret stays so.
    known = {value for name in secrets for value in rows.column(name).to_pylist() if value}
    with_values = {
        name
        for name, column in zip(result.column_names, result.columns, strict=True)
        if any(secret in str(value) for value in column.to_pylist() for secret in known)
    }
    return Outcome(result, len(rows), returning.secret_columns(result, secrets) | with_values)


def _values(parameter: Parameter, column: pa.ChunkedArray, where: str) -> list[Any]:
    """The values of a column as Python values that say all that the column said.

    A date or timestamp becomes milliseconds since the epoch, rounded down.
    """
    is_timestamp, is_date = kinds.is_timestamp(column.type), kinds.is_date(column.type)
    if (is_timestamp or is_date) and parameter.moment is None:
        raise DataError(f"{where} takes {parameter.type}, not a date or time")
    if is_timestamp:
        return _milliseconds(column, column.type.unit, pa.int64(), where)
    if is_date:
        return _milliseconds(column, "D", pa.int32(), where)
    values: list[Any] = column.to_pylist()
    if isinstance(column.type, pa.BaseExtensionType):
        return [None if v is None else str(v) for v in values]
    return values


def _milliseconds(
    column: pa.ChunkedArray, unit: str, storage: pa.DataType, where: str
) -> list[int | None]:
    values = [value for chunk in column.chunks for value in chunk.view(storage).to_pylist()]
    if any(value in _INFINITE[storage] for value in values):
        raise DataError(f"{where} is infinite; leave the column out for what has no end")
    times, per = _PER_MILLISECOND[unit]
    return [None if value is None else value * times // per for value in values]


def _parameter(method: Method, name: str, where: str) -> Parameter:
    """The parameter that a column or argument means; ``data__`` marks a field of the body."""
    parameter = method.parameter(name)
    if parameter is None and name.casefold().startswith(BODY_PREFIX):
        field = method.parameter(name[len(BODY_PREFIX) :])
        parameter = field if field is not None and field.location == "body" else None
    if parameter is not None:
        return parameter
    if (instead := method.refused(name)) is not None:
        raise ParameterError(f"{where} takes no {name}. {instead}")
    required = ", ".join(p.name for p in method.required)
    optional = ", ".join(p.name for p in method.optional)
    suggestion = nearest(name, [p.name for p in method.given])
    raise ParameterError(
        f"{where}: there is no {name!r}{suggestion}; required: {required}; "
        f"optional: {optional or 'nothing'}"
    )


def run_read(context: Context, method: Method, statement: Exec) -> Outcome:
    """EXEC of a method that only reads."""
    rows = call(context.client, context.resource, method, _given(context, method, statement))
    columns = result_columns(context.resource, method)
    return Outcome(rows, secrets=frozenset(column.name for column in columns if column.secret))


def prepare_call(context: Context, method: Method, statement: Exec) -> Prepared:
    """EXEC of a method that changes something, up to its request."""
    arguments = _given(context, method, statement)
    client, resource, limits = context.client, context.resource, context.limits
    refuse_transaction(context.con, context.what)
    client.refuse_unsendable(method)
    if method.rotation is not None:
        return _prepare_rotation(context, method, arguments)
    limits.refuse_dropped(method, context.what)
    finds = None
    if method is resource.remover:
        keys, reference = [str(v) for v in arguments.values()], resource.self_reference
        refuse_own_key(client, resource, keys)
        if resource.caution is not None:
            means_itself = reference is not None and keys == [reference.value]
            finds = partial(looked_up, context, keys, means_itself=means_itself)
    request = build_request(method, arguments)

    def finish(done: list[pa.Table]) -> Outcome:
        rows = pa.concat_tables(done) if done else written_schema(resource, method).empty_table()
        shown = [column.name for column in method.returns] or rows.column_names
        shown += [name for name in rows.column_names if name == "additional_fields"]
        return Outcome(rows.select(list(dict.fromkeys(shown))), len(rows), _secrets(method))

    return Prepared(
        context,
        [request],
        lambda _number: write_and_keep(client, resource, request, limits.keeping),
        finish,
        matches=finds,
        notes=[note] if (note := limits.keeping.note(method)) else (),
    )


def _prepare_rotation(context: Context, method: Method, arguments: dict[str, Any]) -> Prepared:
    """A rotation up to its first write: the old row is read."""
    client, resource, limits = context.client, context.resource, context.limits
    called = [each for each in (resource.creator, resource.remover) if each is not None]
    limits.refuse_slow(context.what, Pace.of(client, called))
    table = context.target.full_name
    plan = RotationPlan(
        client, resource, method, arguments, limits.keeping, where=context.what, table=table
    )
    rotation = Rotation(plan)

    def find() -> list[Match]:
        # The last request takes the old row away.
        others = [Match(None)] * (len(rotation.requests) - 1)
        return [*others, *looked_up(context, [rotation.old.key], means_itself=False)]

    return Prepared(
        context,
        rotation.requests,
        lambda _number: None,
        lambda done: Outcome(done[0], 1, _secrets(method)),
        rotate=rotation.run,
        matches=find,
        notes=rotation.notes,
    )


def _given(context: Context, method: Method, statement: Exec) -> dict[str, Any]:
    """The arguments of an EXEC, without those that are left out."""
    what, parameters = context.what, context.parameters
    given: dict[str, Any] = {}

    def add(parameter: Parameter, value: Any) -> None:
        if parameter.name in given:
            raise ParameterError(f"{what}: {parameter.name} is given twice")
        given[parameter.name] = value

    for argument in statement.arguments:
        parameter = _parameter(method, argument.name, what)
        sole = argument.value.sole
        if sole is not None and sole.name not in parameters:
            continue
        text, values = argument.value.bind(parameters)
        column = table_of(context.con, f"SELECT (\n{text}\n) AS value", values).column(0)
        (value,) = _values(parameter, column, f"{what}: {parameter.name}")
        if value is None and not _is_null(argument.value, parameters):
            raise DataError(
                f"{what}: {parameter.name} became NULL. Nothing was sent. To leave it out, don't "
                "give it, or write NULL itself"
            )
        add(parameter, value)
    for name, value in statement.json.resolve(parameters).items() if statement.json else ():
        add(_parameter(method, name, what), value)
    return check_arguments(method, given, what, context.client.clock(method.server))


def _is_null(value: Fragment, parameters: Parameters) -> bool:
    """Whether NULL itself is what is written, or given."""
    if value.sole is not None:
        return parameters[value.sole.name] is None
    return [lexeme.upper for lexeme in value.lexemes] == ["NULL"]
