"""EXEC: any method of the manifest, called by name."""

from __future__ import annotations

from functools import partial
from typing import Any

import pyarrow as pa

from vercel_sql.catalog.results import call, result_columns, written_schema
from vercel_sql.errors import DataError, ParameterError
from vercel_sql.http.arguments import check_arguments, nearest
from vercel_sql.http.requests import build_request
from vercel_sql.manifest import Method, Resource
from vercel_sql.sql.delete import looked_up
from vercel_sql.sql.fragments import Fragment
from vercel_sql.sql.insert import column_values, refuse_moment, require_parameter
from vercel_sql.sql.parameters import Parameters
from vercel_sql.sql.plan import Match, Outcome
from vercel_sql.sql.prepared import Context, Prepared
from vercel_sql.sql.queries import refuse_transaction, table_of
from vercel_sql.sql.statements import Exec
from vercel_sql.writes.creates import write_and_keep
from vercel_sql.writes.deletes import refuse_own_key
from vercel_sql.writes.policy import Pace
from vercel_sql.writes.rotation import Rotation, RotationPlan


def _checked_arguments(context: Context, method: Method, statement: Exec) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, value in _written(context, method, statement):
        if name in given:
            raise ParameterError(f"{context.what}: {name} is given twice")
        given[name] = value
    return check_arguments(method, given, context.what, context.client.clock(method.server))


def _written(context: Context, method: Method, statement: Exec) -> list[tuple[str, Any]]:
    """The arguments as they stand in the statement, without those that are left out."""
    what, parameters = context.what, context.parameters
    known = [p.name for p in method.given]
    found = []
    for argument in statement.arguments:
        name = argument.name
        parameter = require_parameter(method, name, what, nearest(name, known))
        if _left_out(argument.value, parameters):
            continue
        text, values = argument.value.bind(parameters)
        column = table_of(context.con, f"SELECT (\n{text}\n) AS value", values).column(0)
        refuse_moment(parameter, column, f"{what}: {parameter.name}")
        (value,) = column_values(column, f"{what}: {parameter.name}")
        if value is None and not _is_null(argument.value, parameters):
            raise DataError(
                f"{what}: {parameter.name} became NULL. Nothing was sent. To leave it out, don't "
                "give it, or write NULL itself"
            )
        found.append((parameter.name, value))
    members, _left = statement.json_value(parameters)
    for name, value in members.items():
        parameter = require_parameter(method, name, what, nearest(name, known))
        found.append((parameter.name, value))
    return found


def _left_out(value: Fragment, parameters: Parameters) -> bool:
    """Whether an argument is all placeholder and there is no value for it."""
    return value.sole_placeholder is not None and value.sole_placeholder not in parameters


def _is_null(value: Fragment, parameters: Parameters) -> bool:
    name = value.sole_placeholder
    if name is not None:
        return parameters[name] is None
    return [lexeme.upper for lexeme in value.lexemes] == ["NULL"]


def prepare_call(context: Context, method: Method, statement: Exec) -> Prepared:
    """A call that changes something, up to its request."""
    arguments = _checked_arguments(context, method, statement)
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
    return Prepared(
        context,
        [request],
        lambda _number: write_and_keep(client, resource, request, limits.keeping),
        lambda done: _finish(resource, method, done),
        matches=finds,
        notes=[note] if (note := limits.keeping.note(method)) else (),
    )


def _prepare_rotation(context: Context, method: Method, arguments: dict[str, Any]) -> Prepared:
    """A rotation up to its first write: the old row is read."""
    client, resource = context.client, context.resource
    called = [each for each in (resource.creator, resource.remover) if each is not None]
    context.limits.refuse_slow(context.what, Pace.of(client, called))
    plan = RotationPlan(
        client,
        resource,
        method,
        arguments,
        context.limits.keeping,
        where=context.what,
        table=context.target.full_name,
    )
    rotation = Rotation(plan)
    others = [Match(None)] * (len(rotation.requests) - 1)
    secrets = frozenset(column.name for column in method.returns if column.secret)

    def find() -> list[Match]:
        # The last request takes the old row away.
        return [*others, *looked_up(context, [rotation.old.key], means_itself=False)]

    return Prepared(
        context,
        rotation.requests,
        lambda _number: None,
        lambda done: Outcome(done[0], 1, secrets),
        rotate=rotation.run,
        matches=find,
        notes=rotation.notes,
    )


def run_read(context: Context, method: Method, statement: Exec) -> Outcome:
    """A call that only reads."""
    arguments = _checked_arguments(context, method, statement)
    rows = call(context.client, context.resource, method, arguments)
    columns = result_columns(context.resource, method)
    return Outcome(rows, secrets=frozenset(column.name for column in columns if column.secret))


def _finish(resource: Resource, method: Method, done: list[pa.Table]) -> Outcome:
    rows = pa.concat_tables(done) if done else written_schema(resource, method).empty_table()
    shown = [column.name for column in method.returns] or rows.column_names
    shown += [name for name in rows.column_names if name == "additional_fields"]
    secrets = frozenset(column.name for column in method.returns if column.secret)
    return Outcome(rows.select(list(dict.fromkeys(shown))), len(rows), secrets)
