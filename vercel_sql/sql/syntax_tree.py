"""DuckDB's own syntax tree of a query, and the constants that can be read off it.

What is not plainly a constant is not called one, and is left for DuckDB to evaluate.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from vercel_sql.sql.tokens import is_nested

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import duckdb

Node = dict[str, Any]

NOT_CONSTANT = object()
_DEEPEST = 250
"""Brackets in brackets; DuckDB 2.0 takes gigabytes for thousands that are never closed."""
_UNNESTING = frozenset(["unnest", "unlist"])


@dataclass(frozen=True, slots=True)
class ConstantMatch:
    """A predicate that compares one column with constant strings.

    Attributes:
        column: the column, as it is written, without qualifier or quotes.
        values: the strings.
        equality: True for ``=``, False for ``IN``.
    """

    column: str
    values: tuple[str, ...]
    equality: bool

    def __repr__(self) -> str:
        return f"<ConstantMatch on {self.column}>"


@dataclass(frozen=True, slots=True)
class LiteralNulls:
    """Which columns of a source are written as NULL.

    Attributes:
        rows: for each row the positions of its literal NULLs; a single one if it is for all rows.
        every_row: whether there is one that holds for all rows.
    """

    rows: tuple[frozenset[int], ...]
    every_row: bool

    def at(self, row: int) -> frozenset[int]:
        """The positions of the literal NULLs in a row, both counted from 0."""
        return self.rows[0] if self.every_row else self.rows[row]


def parsed(query: str) -> Node | None:
    """The tree of one SELECT; None where DuckDB can't read it as one."""
    import duckdb

    if is_nested(query, _DEEPEST):
        return None
    # As a literal: to bind a value, DuckDB 1.5 imports pandas.
    literal = query.replace("'", "''")
    try:
        with _reader().cursor() as con:
            rows = con.execute(f"SELECT json_serialize_sql('{literal}')").fetchall()
        tree = json.loads(rows[0][0])
    except (duckdb.Error, ValueError, RecursionError):
        return None
    if tree["error"] or len(tree["statements"]) != 1:
        return None
    node: Node = tree["statements"][0]["node"]
    return node


def written(node: Node) -> str:
    tree = json.dumps({"error": False, "statements": [{"node": node}]}).replace("'", "''")
    with _reader().cursor() as con:
        return str(con.execute(f"SELECT json_deserialize_sql('{tree}')").fetchall()[0][0])


def selected(items: str) -> list[Node] | None:
    """The trees of the items of a SELECT; None where DuckDB can't read them."""
    query = parsed(f"SELECT {items}\nFROM t")
    return query["select_list"] if query and query["type"] == "SELECT_NODE" else None


def select_list(items: Sequence[Node]) -> str:
    query = written({**_empty_query(), "select_list": items})
    return query.removeprefix("SELECT ")


def expression(text: str) -> Node | None:
    """The tree of one expression; None where it is anything else."""
    query = parsed(f"SELECT (\n{text}\n)")
    if query is None or len(query.get("select_list") or ()) != 1:
        return None
    (found,) = query["select_list"]
    # Unbalanced parentheses in the text would have closed ours, and added clauses.
    return found if {**query, "select_list": []} == _empty_query() else None


def walk(node: Any, *, into_subqueries: bool = True) -> Iterator[Node]:
    left = [node]
    while left:
        part = left.pop()
        if isinstance(part, list):
            left += part
        elif isinstance(part, dict):
            yield part
            if into_subqueries or part.get("class") != "SUBQUERY":
                left += part.values()


def constant(node: Node, values: Mapping[str, object]) -> object:
    """The string, NULL or parameter's value that a node is, or `NOT_CONSTANT`."""
    if node["class"] == "PARAMETER":
        return values.get(node["identifier"], NOT_CONSTANT)
    if node["class"] != "CONSTANT":
        return NOT_CONSTANT
    if "literal" in node:  # DuckDB 2.0
        literals = {"STRING": node["literal"].get("text"), "NULL_LITERAL": None}
        return literals.get(node["literal"]["kind"], NOT_CONSTANT)
    value = node["value"]
    if value["is_null"]:
        return None
    return value["value"] if value["type"]["id"] == "VARCHAR" else NOT_CONSTANT


def matches(
    where: str, qualifiers: Sequence[Sequence[str]], values: Mapping[str, object]
) -> list[ConstantMatch] | None:
    """The parts of a predicate that ANDs join, where each compares a column with constants.

    Args:
        where: the predicate, as DuckDB reads it.
        qualifiers: what columns may be qualified with, in lower case.
        values: the values of its parameters.
    """
    tree = expression(where)
    if tree is None:
        return None
    parts = tree["children"] if tree["type"] == "CONJUNCTION_AND" else [tree]
    found = [_match(part, qualifiers, values) for part in parts]
    known = [match for match in found if match is not None]
    return known if len(known) == len(found) else None


def _match(
    part: Node, qualifiers: Sequence[Sequence[str]], values: Mapping[str, object]
) -> ConstantMatch | None:
    is_equality = part["type"] == "COMPARE_EQUAL"
    if is_equality:
        sides = [part["left"], part["right"]]
        column, *others = sides if sides[0]["class"] == "COLUMN_REF" else sides[::-1]
    elif part["type"] == "COMPARE_IN":
        column, *others = part["children"]
    else:
        return None
    texts = [constant(other, values) for other in others]
    strings = tuple(text for text in texts if isinstance(text, str))
    if column["class"] != "COLUMN_REF" or len(strings) < len(texts):
        return None
    *qualifier, name = column["column_names"]
    if qualifier and [each.lower() for each in qualifier] not in [list(q) for q in qualifiers]:
        return None
    return ConstantMatch(name, strings, is_equality)


def literal_nulls(source: str, values: Mapping[str, object]) -> LiteralNulls | None:
    """The literal NULLs of a query; None where its columns can't be told from its text."""
    query = parsed(source)
    if query is None or query["type"] != "SELECT_NODE":
        return None
    table, items = query["from_table"], query["select_list"]
    if table["type"] == "EXPRESSION_LIST" and not query["modifiers"]:
        rows = [_nulls(row, values) for row in table["values"]]
        return LiteralNulls(tuple(rows), every_row=False)
    if any(_expands(item) for item in items):
        return None
    return LiteralNulls((_nulls(items, values),), every_row=True)


def _nulls(items: Sequence[Node], values: Mapping[str, object]) -> frozenset[int]:
    return frozenset(at for at, item in enumerate(items) if _is_null(item, values))


def _is_null(node: Node, values: Mapping[str, object]) -> bool:
    while node["class"] == "CAST":
        node = node["child"]
    return constant(node, values) is None


def _expands(item: Node) -> bool:
    """Whether it may give another number of columns or rows than one."""
    return any(
        node.get("class") == "STAR" or node.get("function_name") in _UNNESTING
        for node in walk(item, into_subqueries=False)
    )


@cache
def _empty_query() -> Node:
    return {**(parsed("SELECT 1") or {}), "select_list": []}


def _reader() -> duckdb.DuckDBPyConnection:
    return _reader_of(os.getpid())


@cache
def _reader_of(_process: int) -> duckdb.DuckDBPyConnection:
    """A DuckDB of this process: one that a fork inherits may have been in use."""
    from vercel_sql.own_duckdb import own_duckdb

    return own_duckdb()
