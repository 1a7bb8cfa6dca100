"""DELETE from a resource: find what matches, refuse what must not go, then delete side by side."""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from vercel_sql.catalog.ddl import EXACTLY, quoted
from vercel_sql.catalog.rows import TableShape
from vercel_sql.errors import NotSupportedError, ProgrammingError
from vercel_sql.http.arguments import check_arguments
from vercel_sql.http.requests import build_request, fits_path
from vercel_sql.sql import syntax_tree
from vercel_sql.sql.plan import Context, Match, Outcome, Prepared
from vercel_sql.sql.queries import refuse_transaction, registered, rows_of, table_of
from vercel_sql.sql.returning import Returning
from vercel_sql.sql.syntax_tree import ConstantMatch
from vercel_sql.writes.deletes import (
    delete_row,
    refuse_misleading_key,
    refuse_own_key,
    settle_deletion,
)
from vercel_sql.writes.policy import Pace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vercel_sql.manifest import Method, Resource
    from vercel_sql.sql.statements import Delete

_REGISTERED = "__vercel_sql_matched"
_TWIN = "__vercel_sql_twin"
_AMBIGUOUS = re.compile(r'Ambiguous reference to column name "([^"]+)"')


def prepare_delete(context: Context, statement: Delete) -> Prepared:
    """Everything up to the first deletion: what matches is read, and the own token refused."""
    what, client, resource = context.what, context.client, context.resource
    method = _remover(context, statement)
    refuse_transaction(context.con, what)
    returning, needed = _returning(context, statement)
    client.refuse_unsendable(method)
    if resource.lister is None and resource.getter is None:
        return _unseen(context, method, statement)
    match = _key_match(resource, statement.constant_match(context.parameters))
    means_itself = match is not None and _is_self(resource, match)
    rows: pa.Table | None = None
    if match is not None and returning is None:
        keys = list(dict.fromkeys(match.values))
    else:
        column = _key_column(resource, means_itself)
        _refuse_outer_columns(context, statement)
        rows = _matching(context, statement, list(dict.fromkeys([resource.key, column, *needed])))
        keys = rows.column(column).to_pylist()
    context.limits.refuse_slow(what, Pace.of(client, [method] * len(keys)))
    if not means_itself:
        refuse_misleading_key(resource, keys)
        refuse_own_key(client, resource, keys)
    (key_parameter,) = method.required
    requests = [build_request(method, {key_parameter.name: key}) for key in keys]
    matched = pa.table({resource.key: pa.array(keys, pa.string())}) if rows is None else rows

    def delete(number: int) -> pa.Table | None:
        is_done = delete_row(client, requests[number])
        return matched.slice(number, 1) if is_done else None

    def settle(number: int, error: BaseException) -> pa.Table:
        settle_deletion(client, resource, keys[number], error, was_seen=rows is not None)
        return matched.slice(number, 1)

    def finish(done: list[pa.Table]) -> Outcome:
        if returning is None:
            return _only_count(done)
        deleted = pa.concat_tables(done) if done else matched.slice(0, 0)
        return Outcome(returning.evaluate(deleted), len(done))

    def keep(done: list[pa.Table]) -> pa.Table:
        deleted = pa.concat_tables(done)
        return deleted.select([resource.key]) if returning is None else returning.kept(deleted)

    return Prepared(
        context,
        requests,
        delete,
        finish,
        returns=returning is not None,
        matches=lambda: looked_up(context, keys, means_itself=means_itself),
        keys=keys,
        keep=keep,
        side_by_side=context.limits.parallel_deletes,
        settle=settle,
    )


def _unseen(context: Context, method: Method, statement: Delete) -> Prepared:
    """A deletion from a table that can't be read: WHERE gives the method's parameters."""
    given = statement.constant_equalities(context.parameters)
    if given is None or statement.returning is not None:
        names = " AND ".join(f"{p.name} = …" for p in method.required)
        optional = ", ".join(p.name for p in method.optional)
        raise ProgrammingError(
            f"{context.what}: this table can't be read, so it takes WHERE {names} with literals or "
            f"parameters (and optionally {optional or 'nothing'}), and no RETURNING"
        )
    request = build_request(method, check_arguments(method, given, context.what))
    done = pa.table({"done": pa.array([True])})
    send = lambda _number: done if delete_row(context.client, request) else None  # noqa: E731
    return Prepared(context, [request], send, _only_count)


def _only_count(done: list[pa.Table]) -> Outcome:
    count = pa.table({"Count": pa.array([len(done)], pa.int64())})
    return Outcome(count, len(done), only_counts=True)


def _remover(context: Context, statement: Delete) -> Method:
    statement.require_well_formed()
    method = context.resource.remover
    if method is None:
        raise NotSupportedError(f"{context.what} is not possible: {context.target.capabilities}")
    if statement.where is None:
        raise ProgrammingError(
            f"{context.what} has no WHERE, which would delete everything. Write WHERE true if you "
            "mean it"
        )
    return method


def _returning(context: Context, statement: Delete) -> tuple[Returning | None, Sequence[str]]:
    """What RETURNING gives, and the columns that it needs: what is not read can't be in doubt."""
    if statement.returning is None:
        return None, ()
    returning = Returning(context, statement, statement.returning)
    shape = TableShape(context.resource)
    names = [column.name for column in context.resource.public_columns]
    schema = pa.schema([shape.schema.field(shape.qualified(n)).with_name(n) for n in names])
    returning.check(schema)
    return returning, returning.columns_needed(schema)


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


def _matching(context: Context, statement: Delete, columns: Sequence[str]) -> pa.Table:
    """Some columns of the rows that match, each row once however often USING joins it."""
    assert statement.where is not None  # noqa: S101 - refused before
    name = quoted(statement.alias or context.resource.name)
    predicate, values = statement.where.bind(context.parameters)
    selected = ", ".join(f"{name}.{quoted(column)}" for column in columns)
    rows = table_of(context.con, *_query(context, statement, selected, predicate, values))
    first: dict[str, int] = {}
    for position, key in enumerate(rows.column(context.resource.key).to_pylist()):
        first.setdefault(key, position)
    return rows.take(pa.array(list(first.values()), pa.int64()))


def _query(
    context: Context,
    statement: Delete,
    selected: str,
    where: str,
    values: Mapping[str, object],
    twin: str = "",
) -> tuple[str, dict[str, object]]:
    """A SELECT of what a statement's WHERE sees, and the values of its parameters."""
    # Without an alias, columns may be qualified with the table's full name too.
    alias = f" AS {quoted(statement.alias)}" if statement.alias else ""
    query = f"SELECT {selected} FROM {context.target.sql_name}{alias}{twin}"
    more: dict[str, object] = {}
    if statement.using is not None:
        using, more = statement.using.bind(context.parameters)
        query = f"{query},\n{using}"
    query = f"{query}\nWHERE (\n{where}\n)"
    return statement.with_bound(query, {**more, **values}, context.parameters)


def _refuse_outer_columns(context: Context, statement: Delete) -> None:
    """Refuses a subquery that takes a column of the target by its bare name.

    ``WHERE tokenId IN (SELECT tokenId FROM t)`` is true for every row if t has no tokenId: SQL then
    takes the outer one. Beside a second copy of the target such a name is ambiguous to DuckDB, and
    a name that is qualified, or the subquery's own, is not.
    """
    assert statement.where is not None  # noqa: S101 - refused before
    predicate = syntax_tree.expression(statement.where.query)
    parts = syntax_tree.walk(predicate, into_subqueries=False)
    subqueries = [part["subquery"]["node"] for part in parts if part.get("class") == "SUBQUERY"]
    conditions = [f"EXISTS (\n{syntax_tree.written(each)}\n)" for each in subqueries]
    if statement.using is not None:
        conditions.append("true")
    given = statement.where.known_values(context.parameters)
    twin = f", {context.target.sql_name} AS {_TWIN}"
    for condition, subquery in zip_longest(conditions, subqueries):
        names = {part.get("identifier") for part in syntax_tree.walk(subquery)}
        used = {name: value for name, value in given.items() if name in names}
        query, values = _query(context, statement, "1", condition, used, twin)
        try:
            rows_of(context.con, f"EXPLAIN {query}", values or None)
        except duckdb.ProgrammingError as error:  # any other one comes with the rows
            if column := _AMBIGUOUS.search(str(error)):
                name = f"{statement.alias or context.resource.name}.{column[1]}"
                raise ProgrammingError(
                    f"{context.what}: a subquery uses {column[1]}, which its own tables don't "
                    "have, so it would be that of the deleted row, and every row could match. "
                    f"Write {name} if you mean that"
                ) from None


def looked_up(context: Context, keys: Sequence[str], *, means_itself: bool) -> list[Match]:
    """Each row that would be deleted, looked up."""
    if not keys:
        return []
    column = _key_column(context.resource, means_itself)
    places = ", ".join(f"${number}" for number in range(1, len(keys) + 1))
    values = {str(number): key for number, key in enumerate(keys, start=1)}
    query = f"SELECT * FROM {context.target.sql_name} WHERE {quoted(column)}{EXACTLY} IN ({places})"
    rows = table_of(context.con, query, values)
    caution = context.resource.caution
    condition = "false" if caution is None else caution.condition
    with registered(context.con, _REGISTERED, rows):
        row = f"{quoted(column)} AS key, to_json(r)::VARCHAR AS row, ({condition}) AS is_sensitive"
        found = table_of(context.con, f"SELECT {row} FROM {_REGISTERED} AS r").to_pylist()
    known = {
        each["key"]: Match(each["row"], caution if each["is_sensitive"] else None) for each in found
    }
    return [known.get(key, Match(None)) for key in keys]
