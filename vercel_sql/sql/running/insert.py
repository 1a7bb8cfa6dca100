"""INSERT into a resource: one request a row, checked as a whole before the first is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa

from vercel_sql.api import build_request, check_arguments
from vercel_sql.api.arguments import nearest
from vercel_sql.catalog.results import written_schema
from vercel_sql.errors import DataError, NotSupportedError, ParameterError
from vercel_sql.manifest import Method, Parameter
from vercel_sql.sql.parameters import Parameters
from vercel_sql.sql.running.duck import refuse_transaction, table_of
from vercel_sql.sql.running.prepared import Limits, Outcome, Prepared
from vercel_sql.sql.running.refusals import capabilities
from vercel_sql.sql.running.resolve import Target
from vercel_sql.sql.running.returning import Returning
from vercel_sql.sql.running.values import (
    BODY_PREFIX,
    column_values,
    refuse_moment,
    require_parameter,
)
from vercel_sql.sql.statements import Insert
from vercel_sql.writes.creates import write_and_keep


def prepare_insert(
    con: duckdb.DuckDBPyConnection,
    target: Target,
    statement: Insert,
    parameters: Parameters,
    limits: Limits,
) -> Prepared:
    """Everything up to the first request: names, values, RETURNING.

    Raises:
        NotSupportedError: the resource or this dialect has no such INSERT.
        ParameterError: a column is unknown, missing, or would lose a secret.
        DataError: a value is not acceptable.
        duckdb.Error: the source or RETURNING is not valid.
    """
    where = f"INSERT INTO {target.full_name}"
    method = _creator(con, target, statement, parameters, where)
    refuse_transaction(con, where)
    returning = _returning(con, target, method, statement, parameters, limits, where)
    source = _source_rows(con, statement, parameters)
    columns = _columns(method, statement, source, where)
    rows = _arguments(columns, source, statement, parameters, where)
    clock = target.catalog.client.clock(method.server)
    checked = [
        check_arguments(method, row, f"{where}, row {number}", clock)
        for number, row in enumerate(rows, start=1)
    ]
    requests = [build_request(method, arguments) for arguments in checked]
    client = target.catalog.client
    client.refuse_unsendable(method)
    limits.refuse_dropped(method, where)
    return Prepared(
        where,
        target,
        requests,
        lambda n: write_and_keep(client, target.resource, requests[n], limits.keeping),
        lambda done: _finish(target, method, returning, done),
        notes=[limits.keeping.note(method)] * len(requests) if limits.keeping.mark_names else (),
        keep=None if returning is None else lambda done: returning.kept(pa.concat_tables(done)),
    )


def _creator(
    con: duckdb.DuckDBPyConnection,
    target: Target,
    statement: Insert,
    parameters: Parameters,
    where: str,
) -> Method:
    statement.require_well_formed()
    if statement.or_action or statement.on_conflict:
        raise NotSupportedError(
            f"{where}: there is no INSERT OR REPLACE/IGNORE and no ON CONFLICT, since the API "
            "knows no conflicts: it makes another row of the same name. Filter the source instead "
            "(WHERE NOT EXISTS …)"
        )
    creator = target.resource.creator
    if creator is None:
        raise NotSupportedError(f"{where} is not possible: {capabilities(target)}")
    if statement.source is None:
        raise NotSupportedError(f"{where}: DEFAULT VALUES has no {creator.required[0].name}")
    if len(target.resource.of_verb("insert")) == 1:
        return creator
    names: Sequence[str] = statement.columns or ()
    if statement.by_name:
        names = _source_rows(con, statement, parameters, limit=0).column_names
    return target.resource.creator_for(map(_bare, names)) or creator


def _bare(name: str) -> str:
    return name[len(BODY_PREFIX) :] if name.casefold().startswith(BODY_PREFIX) else name


def _returning(
    con: duckdb.DuckDBPyConnection,
    target: Target,
    method: Method,
    statement: Insert,
    parameters: Parameters,
    limits: Limits,
    where: str,
) -> Returning | None:
    if statement.returning is None:
        return None
    alias = statement.alias or statement.target.parts[-1]
    returning = Returning(con, statement.returning, parameters, alias)
    schema = written_schema(target.resource, method)
    returning.require_rows(schema, where)
    if method.secrets and limits.secrets_file is None:
        returning.require_secrets(schema, _secret_columns(method), where)
    return returning


def _secret_columns(method: Method) -> list[str]:
    return [column.name for column in method.returns if column.secret]


def _source_rows(
    con: duckdb.DuckDBPyConnection,
    statement: Insert,
    parameters: Parameters,
    limit: int | None = None,
) -> pa.Table:
    assert statement.source is not None  # noqa: S101 - refused before
    text, values = statement.source.bind(parameters)
    query = f"SELECT * FROM (\n{text}\n)"
    if limit is not None:
        query = f"{query} LIMIT {limit}"
    if statement.with_clause is not None:
        # The source may begin with a WITH of its own, so the two can't simply follow another.
        clause, more = statement.with_clause.bind(parameters)
        query, values = f"{clause}\n{query}", {**more, **values}
    return table_of(con, query, values)


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
    columns: Sequence[Parameter],
    source: pa.Table,
    statement: Insert,
    parameters: Parameters,
    where: str,
) -> list[dict[str, Any]]:
    """The rows as arguments; a NULL that was not written as one is an error."""
    values = []
    for parameter, column in zip(columns, source.columns, strict=True):
        refuse_moment(parameter, column, f"{where}: {parameter.name}")
        values.append(column_values(column, f"{where}: {parameter.name}"))
    written = statement.literal_nulls(parameters)
    rows = []
    for number in range(source.num_rows):
        nulls = written.at(number) if written is not None else frozenset()
        row = {}
        for position, parameter in enumerate(columns):
            value = values[position][number]
            if value is None and position not in nulls and not parameter.required:
                raise DataError(
                    f"{where}, row {number + 1}: {parameter.name} became NULL. Nothing was sent. "
                    "If it is to be left out, leave the column out or write NULL itself"
                )
            row[parameter.name] = value
        rows.append(row)
    return rows


def _finish(
    target: Target, method: Method, returning: Returning | None, done: list[pa.Table]
) -> Outcome:
    schema = written_schema(target.resource, method)
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
