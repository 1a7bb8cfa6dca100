"""EXEC: any method of the manifest, called by name."""

from __future__ import annotations

from functools import partial
from typing import Any

import duckdb
import pyarrow as pa

from vercel_sql.api import build_request, check_arguments
from vercel_sql.api.arguments import nearest
from vercel_sql.catalog.results import call, result_columns, written_schema
from vercel_sql.errors import DataError, ParameterError
from vercel_sql.manifest import Method
from vercel_sql.sql.fragments import Fragment
from vercel_sql.sql.parameters import Parameters
from vercel_sql.sql.running.delete import looked_up
from vercel_sql.sql.running.duck import refuse_transaction, table_of
from vercel_sql.sql.running.prepared import Limits, Outcome, Prepared
from vercel_sql.sql.running.resolve import Target
from vercel_sql.sql.running.rotate import PreparedRotation, prepare_rotation
from vercel_sql.sql.running.values import column_values, refuse_moment, require_parameter
from vercel_sql.sql.statements import Exec
from vercel_sql.writes.creates import write_and_keep
from vercel_sql.writes.deletes import refuse_own_key


def exec_arguments(
    con: duckdb.DuckDBPyConnection,
    target: Target,
    method: Method,
    statement: Exec,
    parameters: Parameters,
) -> dict[str, Any]:
    """The arguments of an EXEC, checked.

    Raises:
        ParameterError: an argument is unknown, missing, or its placeholder has no value.
        DataError: a value is not acceptable.
        duckdb.Error: an expression is not valid.
    """
    where = f"EXEC {target.full_name}.{method.name}"
    given: dict[str, Any] = {}
    for name, value in _written(con, method, statement, parameters, where):
        if name in given:
            raise ParameterError(f"{where}: {name} is given twice")
        given[name] = value
    return check_arguments(method, given, where, target.catalog.client.clock(method.server))


def _written(
    con: duckdb.DuckDBPyConnection,
    method: Method,
    statement: Exec,
    parameters: Parameters,
    where: str,
) -> list[tuple[str, Any]]:
    """The arguments as they stand in the statement, without those that are left out."""
    known = [p.name for p in method.given]
    found = []
    for argument in statement.arguments:
        name = argument.name
        parameter = require_parameter(method, name, where, nearest(name, known))
        if _left_out(argument.value, parameters):
            continue
        column = _evaluate(con, argument.value, parameters)
        refuse_moment(parameter, column, f"{where}: {parameter.name}")
        (value,) = column_values(column, f"{where}: {parameter.name}")
        if value is None and not _is_null(argument.value, parameters):
            raise DataError(
                f"{where}: {parameter.name} became NULL. Nothing was sent. If it is to be left "
                "out, leave it out or write NULL itself"
            )
        found.append((parameter.name, value))
    members, _left = statement.json_value(parameters)
    for name, value in members.items():
        parameter = require_parameter(method, name, where, nearest(name, known))
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


def _evaluate(
    con: duckdb.DuckDBPyConnection, value: Fragment, parameters: Parameters
) -> pa.ChunkedArray:
    text, values = value.bind(parameters)
    return table_of(con, f"SELECT (\n{text}\n) AS value", values).column(0)


def prepare_call(
    con: duckdb.DuckDBPyConnection,
    target: Target,
    method: Method,
    arguments: dict[str, Any],
    limits: Limits,
) -> Prepared | PreparedRotation:
    """A call that changes something, up to its request.

    Raises:
        NotSupportedError: a transaction is open.
        ProgrammingError: the calling credential would be deleted.
    """
    where = f"EXEC {target.full_name}.{method.name}"
    refuse_transaction(con, where)
    client = target.catalog.client
    client.refuse_unsendable(method)
    if method.rotation is not None:
        return prepare_rotation(con, target, method, arguments, limits, where)
    limits.refuse_dropped(method, where)
    finds = None
    if method is target.resource.remover:
        keys, reference = [str(v) for v in arguments.values()], target.resource.self_reference
        refuse_own_key(client, target.resource, keys)
        if target.resource.caution is not None:
            means_itself = reference is not None and keys == [reference.value]
            finds = partial(looked_up, con, target, keys, means_itself=means_itself)
    request = build_request(method, arguments)
    return Prepared(
        where,
        target,
        [request],
        lambda _number: write_and_keep(client, target.resource, request, limits.keeping),
        lambda done: _finish(target, method, done),
        matches=finds,
        notes=[note] if (note := limits.keeping.note(method)) else (),
    )


def run_read(target: Target, method: Method, arguments: dict[str, Any]) -> Outcome:
    """A call that only reads."""
    rows = call(target.catalog.client, target.resource, method, arguments)
    columns = result_columns(target.resource, method)
    return Outcome(rows, secrets=frozenset(column.name for column in columns if column.secret))


def _finish(target: Target, method: Method, done: list[pa.Table]) -> Outcome:
    rows = pa.concat_tables(done) if done else written_schema(target.resource, method).empty_table()
    shown = [column.name for column in method.returns] or rows.column_names
    shown += [name for name in rows.column_names if name == "additional_fields"]
    secrets = frozenset(column.name for column in method.returns if column.secret)
    return Outcome(rows.select(list(dict.fromkeys(shown))), len(rows), secrets)
