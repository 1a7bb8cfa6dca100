"""DELETE from a resource: find what matches, refuse what must not go, then delete side by side."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa

from vercel_sql.api import build_request, check_arguments
from vercel_sql.api.requests import fits_path
from vercel_sql.catalog.ddl import EXACTLY, quoted
from vercel_sql.catalog.rows import TableShape
from vercel_sql.errors import NotSupportedError, ProgrammingError
from vercel_sql.manifest import Method, Resource
from vercel_sql.sql.matches import ConstantMatch
from vercel_sql.sql.parameters import Parameters
from vercel_sql.sql.running.duck import lent, refuse_transaction, table_of
from vercel_sql.sql.running.plan import Match
from vercel_sql.sql.running.prepared import Limits, Outcome, Prepared
from vercel_sql.sql.running.refusals import capabilities
from vercel_sql.sql.running.resolve import Target
from vercel_sql.sql.running.returning import Returning
from vercel_sql.sql.statements import Delete
from vercel_sql.writes.budget import Pace
from vercel_sql.writes.deletes import (
    delete_row,
    refuse_misleading_key,
    refuse_own_key,
    settle_deletion,
)

_LENT = "__vercel_sql_matched"


def prepare_delete(
    con: duckdb.DuckDBPyConnection,
    target: Target,
    statement: Delete,
    parameters: Parameters,
    limits: Limits,
) -> Prepared:
    """Everything up to the first deletion: what matches is read, and the own token refused.

    Raises:
        NotSupportedError: the resource has no DELETE, or a transaction is open.
        ProgrammingError: there is no WHERE, or the calling credential would be deleted.
        duckdb.Error: the predicate or RETURNING is not valid.
    """
    where = f"DELETE FROM {target.full_name}"
    method = _remover(target, statement, where)
    refuse_transaction(con, where)
    returning = _returning(con, target, statement, parameters)
    target.catalog.client.refuse_unsendable(method)
    if target.resource.lister is None and target.resource.getter is None:
        return _unseen(target, method, statement, parameters, where)
    match = _key_match(target.resource, statement.constant_match(parameters))
    means_itself = match is not None and _is_self(target.resource, match)
    rows: pa.Table | None = None
    if match is not None and returning is None:
        keys = list(dict.fromkeys(match.values))
    else:
        column = _key_column(target.resource, means_itself)
        # What is not read can't be in doubt.
        needed = returning.columns_needed(_row_schema(target.resource)) if returning else []
        columns = list(dict.fromkeys([target.resource.key, column, *needed]))
        rows = _matching(con, target, statement, parameters, columns)
        keys = rows.column(column).to_pylist()
    limits.refuse_slow(where, Pace.of(target.catalog.client, [method] * len(keys)))
    if not means_itself:
        refuse_misleading_key(target.resource, keys)
        refuse_own_key(target.catalog.client, target.resource, keys)
    (key_parameter,) = method.required
    requests = [build_request(method, {key_parameter.name: key}) for key in keys]
    matched = rows if rows is not None else _just_keys(target.resource, keys)
    client = target.catalog.client

    def delete(number: int) -> pa.Table | None:
        is_done = delete_row(client, requests[number])
        return _row(matched, number) if is_done else None

    def settle(number: int, error: BaseException) -> pa.Table:
        settle_deletion(client, target.resource, keys[number], error, was_seen=rows is not None)
        return _row(matched, number)

    return Prepared(
        where,
        target,
        requests,
        delete,
        lambda done: _finish(returning, done, matched),
        returns=returning is not None,
        matches=lambda: looked_up(con, target, keys, means_itself=means_itself),
        keys=keys,
        keep=lambda done: _kept(target.resource, returning, done),
        side_by_side=limits.parallel_deletes,
        settle=settle,
    )


def _unseen(
    target: Target, method: Method, statement: Delete, parameters: Parameters, where: str
) -> Prepared:
    """A deletion from a table that can't be read: WHERE gives the method's parameters.

    Raises:
        ProgrammingError: WHERE is something else than ``parameter = constant AND …``.
    """
    given = statement.constant_equalities(parameters)
    if given is None or statement.returning is not None:
        names = " AND ".join(f"{p.name} = …" for p in method.required)
        optional = ", ".join(p.name for p in method.optional)
        raise ProgrammingError(
            f"{where}: this table can't be read, so it takes WHERE {names} with literals or "
            f"parameters (and optionally {optional or 'nothing'}), and no RETURNING"
        )
    client = target.catalog.client
    request = build_request(method, check_arguments(method, given, where))
    done = pa.table({"done": pa.array([True])})
    return Prepared(
        where,
        target,
        [request],
        lambda _number: done if delete_row(client, request) else None,
        lambda rows: _finish(None, rows, done),
    )


def _remover(target: Target, statement: Delete, where: str) -> Method:
    statement.require_well_formed()
    method = target.resource.remover
    if method is None:
        raise NotSupportedError(f"{where} is not possible: {capabilities(target)}")
    if statement.where is None:
        raise ProgrammingError(
            f"{where} has no WHERE, which would delete everything. Say WHERE true if you mean it"
        )
    return method


def _returning(
    con: duckdb.DuckDBPyConnection, target: Target, statement: Delete, parameters: Parameters
) -> Returning | None:
    if statement.returning is None:
        return None
    alias = statement.alias or statement.target.parts[-1]
    returning = Returning(con, statement.returning, parameters, alias)
    returning.check(_row_schema(target.resource))
    return returning


def _row_schema(resource: Resource) -> pa.Schema:
    shape = TableShape(resource)
    names = [column.name for column in resource.public_columns]
    return pa.schema([shape.schema.field(shape.qualified(n)).with_name(n) for n in names])


def _key_match(resource: Resource, match: ConstantMatch | None) -> ConstantMatch | None:
    """The match, where its values are keys that can be deleted without looking first."""
    if match is None:
        return None
    column = next((k for k in resource.key_columns if k.casefold() == match.column.casefold()), "")
    if not column or not all(map(fits_path, match.values)):
        return None
    proper = ConstantMatch(column, match.values, match.equality)
    reference = resource.self_reference
    if reference is not None and reference.value in match.values and not _is_self(resource, proper):
        return None
    return proper


def _is_self(resource: Resource, match: ConstantMatch) -> bool:
    """Whether it is ``tokenId = 'current'``, the one way to mean the calling credential."""
    reference = resource.self_reference
    return (
        reference is not None
        and match.equality
        and match.column == reference.column
        and match.values == (reference.value,)
    )


def _key_column(resource: Resource, means_itself: bool) -> str:
    if means_itself and resource.self_reference is not None:
        return resource.self_reference.column
    return resource.key


def _matching(
    con: duckdb.DuckDBPyConnection,
    target: Target,
    statement: Delete,
    parameters: Parameters,
    columns: Sequence[str],
) -> pa.Table:
    """Some columns of the rows that match, each row once however often USING joins it."""
    assert statement.where is not None  # noqa: S101 - refused before
    name = quoted(statement.alias or target.resource.name)
    predicate, values = statement.where.bind(parameters)
    # Without an alias, columns may be qualified with the table's full name too.
    sources = f"{target.sql_name} AS {name}" if statement.alias else target.sql_name
    if statement.using is not None:
        using, more = statement.using.bind(parameters)
        sources, values = f"{sources},\n{using}", {**more, **values}
    prefix = ""
    if statement.with_clause is not None:
        clause, more = statement.with_clause.bind(parameters)
        prefix, values = f"{clause}\n", {**more, **values}
    selected = ", ".join(f"{name}.{quoted(column)}" for column in columns)
    query = f"{prefix}SELECT {selected} FROM {sources}\nWHERE (\n{predicate}\n)"
    rows = table_of(con, query, values)
    first: dict[str, int] = {}
    for position, key in enumerate(rows.column(target.resource.key).to_pylist()):
        first.setdefault(key, position)
    return rows.take(pa.array(list(first.values()), pa.int64()))


def _just_keys(resource: Resource, keys: list[str]) -> pa.Table:
    return pa.table({resource.key: pa.array(keys, pa.string())})


def _row(rows: pa.Table, number: int) -> pa.Table:
    return rows.slice(number, 1)


def _kept(resource: Resource, returning: Returning | None, done: list[pa.Table]) -> pa.Table:
    """What an error gives of the rows that were deleted: RETURNING if it can, else their keys."""
    rows = pa.concat_tables(done)
    return rows.select([resource.key]) if returning is None else returning.kept(rows)


def _finish(returning: Returning | None, done: list[pa.Table], matched: pa.Table) -> Outcome:
    if returning is None:
        count = pa.table({"Count": pa.array([len(done)], pa.int64())})
        return Outcome(count, len(done), only_counts=True)
    rows = pa.concat_tables(done) if done else matched.slice(0, 0)
    return Outcome(returning.evaluate(rows), len(done))


def looked_up(
    con: duckdb.DuckDBPyConnection, target: Target, keys: Sequence[str], *, means_itself: bool
) -> list[Match]:
    """Each row that would be deleted, looked up."""
    if not keys:
        return []
    column = _key_column(target.resource, means_itself)
    places = ", ".join(f"${number}" for number in range(1, len(keys) + 1))
    values = {str(number): key for number, key in enumerate(keys, start=1)}
    query = f"SELECT * FROM {target.sql_name} WHERE {quoted(column)}{EXACTLY} IN ({places})"
    rows = table_of(con, query, values)
    caution = target.resource.caution
    condition = "false" if caution is None else caution.condition
    with lent(con, _LENT, rows):
        row = f"{quoted(column)} AS key, to_json(r)::VARCHAR AS row, ({condition}) AS is_sensitive"
        found = table_of(con, f"SELECT {row} FROM {_LENT} AS r").to_pylist()
    known = {
        each["key"]: Match(each["row"], caution if each["is_sensitive"] else None) for each in found
    }
    return [known.get(key, Match(None)) for key in keys]
