"""Judges a query by its syntax tree: what is not known to be harmless is refused.

The tree is DuckDB's own, as `json_serialize_sql` gives it, so that the judge reads a text exactly
as the server will. Only what DuckDB can serialize can be judged, which is a SELECT.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vercel_sql.server.allowed import Allowed, lower


class Refusal(Exception):  # noqa: N818 - it is an answer, and no failure
    """Why a statement may not run, in words that hold nothing of its literals."""


# The kinds of expressions, by their class.
_EXPRESSIONS = {
    name: frozenset(kinds.split())
    for name, kinds in {
        "BETWEEN": "COMPARE_BETWEEN",
        "CASE": "CASE_EXPR",
        "CAST": "OPERATOR_CAST",
        "COLLATE": "COLLATE",
        "COLUMN_REF": "COLUMN_REF",
        "COMPARISON": """
            COMPARE_DISTINCT_FROM COMPARE_EQUAL COMPARE_GREATERTHAN COMPARE_GREATERTHANOREQUALTO
            COMPARE_LESSTHAN COMPARE_LESSTHANOREQUALTO COMPARE_NOTEQUAL COMPARE_NOT_DISTINCT_FROM
        """,
        "CONJUNCTION": "CONJUNCTION_AND CONJUNCTION_OR",
        "CONSTANT": "VALUE_CONSTANT",
        "FUNCTION": "FUNCTION",
        "LAMBDA": "LAMBDA",
        "OPERATOR": """
            ARRAY_CONSTRUCTOR ARRAY_EXTRACT ARRAY_SLICE COMPARE_IN COMPARE_NOT_IN
            GROUPING_FUNCTION OPERATOR_COALESCE OPERATOR_IS_NOT_NULL OPERATOR_IS_NULL
            OPERATOR_NOT OPERATOR_TRY OPERATOR_UNPACK STRUCT_EXTRACT
        """,
        "POSITIONAL_REFERENCE": "POSITIONAL_REFERENCE",
        "STAR": "STAR",
        "SUBQUERY": "SUBQUERY",
        "TYPE": "TYPE",
        "WINDOW": """
            WINDOW_AGGREGATE WINDOW_CUME_DIST WINDOW_FILL WINDOW_FIRST_VALUE WINDOW_LAG
            WINDOW_LAST_VALUE WINDOW_LEAD WINDOW_NTH_VALUE WINDOW_NTILE WINDOW_PERCENT_RANK
            WINDOW_RANK WINDOW_RANK_DENSE WINDOW_ROW_NUMBER
        """,
    }.items()
}

_NODES = frozenset(
    [
        # queries
        "RECURSIVE_CTE_NODE",
        "SELECT_NODE",
        "SET_OPERATION_NODE",
        # what stands after FROM
        "BASE_TABLE",
        "EMPTY",
        "EXPRESSION_LIST",
        "JOIN",
        "PIVOT",
        "SHOW_REF",
        "SUBQUERY",
        "TABLE_FUNCTION",
        # ORDER BY, LIMIT, DISTINCT
        "ASCENDING",
        "DESCENDING",
        "DISTINCT_MODIFIER",
        "LIMIT_MODIFIER",
        "LIMIT_PERCENT_MODIFIER",
        "ORDER_DEFAULT",
        "ORDER_MODIFIER",
        # types
        "ARRAY_TYPE_INFO",
        "DECIMAL_TYPE_INFO",
        "LIST_TYPE_INFO",
        "STRUCT_TYPE_INFO",
        "UNBOUND_TYPE_INFO",
    ]
)

_DESCRIBES = frozenset(["DESCRIBE", "SUMMARY"])

# Deeper trees than people write could end Python's stack before the walk ends.
_DEEPEST = 600

# What a lambda, or an arrow that reads JSON, counts for in that depth. DuckDB 1.5 tries both for an
# arrow, which takes twice the time for each that lies in another and can't be interrupted.
_ARROW = 40

# Parts of a column's name, with the members of structs. DuckDB 2.0 takes minutes for thousands.
_MOST_PARTS = 50

# Whatever else a name has, it may be the name of a file. Should a later DuckDB let a query see its
# CTEs in fewer places than this module does, then a name of these letters still reads no file.
_PLAIN = re.compile(r"[\w $-]+")

# Columns in one of a select list, with those in the aliases that it names.
_MOST_GROWN = 10_000

_Names = frozenset[str]


class TreeJudge:
    """Walks a tree and raises at the first thing that may not be there.

    Args:
        catalog: the name of the catalog that clients see.
        allowed: what they may name.
    """

    def __init__(self, catalog: str, allowed: Allowed) -> None:
        self._catalogs = frozenset(["", lower(catalog)])
        self._allowed = allowed

    def check(self, tree: Mapping[str, Any]) -> None:
        """Judges what `json_serialize_sql` gave.

        Raises:
            Refusal: it is no single SELECT, or has something in it that clients may not use.
        """
        if tree.get("error") is not False:
            raise Refusal("only a SELECT can be judged, and this is none")
        statements = tree.get("statements")
        if not isinstance(statements, list) or len(statements) != 1:
            raise Refusal("one statement at a time, please")
        self._walk(statements[0], frozenset(), 0)

    def _walk(self, part: Any, names: _Names, depth: int) -> None:
        """Judges a part of the tree; `names` are those of the CTEs that it sees."""
        if depth > _DEEPEST:
            raise Refusal("it is nested too deeply to be judged")
        if isinstance(part, list):
            for each in part:
                self._walk(each, names, depth + 1)
        elif isinstance(part, dict):
            self._check_kind(part)
            if isinstance(part.get("select_list"), list):
                _check_aliases(part["select_list"])
            if part.get("class") == "LAMBDA":
                depth += _ARROW
            if "cte_map" in part:
                names = self._with_ctes(part, names, depth)
            self._check_names(part, names)
            for key, value in part.items():
                if key != "cte_map":
                    seen = names | _own_name(part) if key == "right" else names
                    self._walk(value, seen, depth + 1)

    def _with_ctes(self, node: Mapping[str, Any], names: _Names, depth: int) -> _Names:
        """The names that a query sees; of its CTEs, each sees only those before it."""
        for entry in node["cte_map"]["map"]:
            name = lower(entry["key"])
            if not _PLAIN.fullmatch(name):
                raise Refusal("a CTE of such a name can't be judged")
            self._walk(entry["value"], names, depth + 1)
            names = names | {name}
        return names

    def _check_kind(self, part: Mapping[str, Any]) -> None:
        expression, kind = part.get("class"), part.get("type")
        if expression is not None:
            if kind not in _EXPRESSIONS.get(expression, ()):
                raise Refusal(f"{_said(f'{expression} {kind}')} is nothing that clients may use")
        elif isinstance(kind, str) and kind not in _NODES:
            raise Refusal(f"{_said(kind)} is nothing that clients may use")

    def _check_names(self, part: Mapping[str, Any], names: _Names) -> None:
        kind = part.get("class") or part.get("type")
        if kind in ("FUNCTION", "WINDOW"):
            self._check_function(part)
        elif kind == "BASE_TABLE":
            self._check_table(part, names)
        elif kind == "COLUMN_REF" and len(part["column_names"]) > _MOST_PARTS:
            raise Refusal("a column's name of so many parts can't be judged")
        elif kind == "SHOW_REF":
            self._check_show(part)
        elif kind == "TYPE":
            self._check_type(part, "type_name")
        elif kind == "UNBOUND_TYPE_INFO":
            self._check_type(part, "name")
        elif kind == "PIVOT" and any(pivot["pivot_enum"] for pivot in part["pivots"]):
            raise Refusal("a PIVOT over a type's values is nothing that clients may use")

    def _check_function(self, part: Mapping[str, Any]) -> None:
        path = _path(part, "function_name", "schema", "catalog")
        if part.get("as_table"):
            allowed = path[0] in self._catalogs and path[1:] in self._allowed.table_functions
        else:
            # Whatever stands before the name: that may be the first argument (`name.upper()`), or
            # the schema `main`, as DuckDB 1.5 has it. No schema has a function of such a name that
            # is not DuckDB's own, as clients can't make any.
            allowed = path[2] in self._allowed.functions
        if not allowed:
            raise Refusal(f"the function {_said(path[2])} is not open to clients")

    def _check_table(self, part: Mapping[str, Any], names: _Names) -> None:
        catalog, schema, name = _path(part, "table_name", "schema_name", "catalog_name")
        if part.get("at_clause") is not None:
            raise Refusal("AT is nothing that clients may use")
        if not catalog and not schema and name in names:
            return
        if catalog not in self._catalogs or (schema, name) not in self._allowed.tables:
            raise Refusal(f"the table {_said(name)} is not open to clients")

    def _check_type(self, part: Mapping[str, Any], key: str) -> None:
        catalog, schema, name = _path(part, key, "schema", "catalog")
        if catalog or schema or name not in self._allowed.types:
            raise Refusal(f"the type {_said(name)} is not open to clients")

    def _check_show(self, part: Mapping[str, Any]) -> None:
        if part.get("show_type") not in _DESCRIBES or not isinstance(part.get("query"), dict):
            raise Refusal("of SHOW, DESCRIBE and SUMMARIZE, those of a query or table are open")


def _check_aliases(items: list[Any]) -> None:
    """Bounds what a select list grows to when DuckDB puts its own aliases in."""
    sizes: dict[str, int] = {}
    for item in items:
        size, stack = 1, [item]
        while stack:
            part = stack.pop()
            if isinstance(part, dict):
                if part.get("class") == "COLUMN_REF":
                    size += sizes.get(lower(part["column_names"][-1]), 1)
                stack.extend(part.values())
            elif isinstance(part, list):
                stack.extend(part)
        if size > _MOST_GROWN:
            raise Refusal("its columns are made of one another too often to be judged")
        if item.get("alias"):
            sizes[lower(item["alias"])] = size


def _own_name(part: Mapping[str, Any]) -> _Names:
    """What the second half of a recursive CTE sees beside the rest: the CTE itself."""
    if part.get("type") != "RECURSIVE_CTE_NODE":
        return frozenset()
    return frozenset([lower(part["cte_name"])])


def mark_table_functions(part: Any) -> None:
    """Marks the functions that stand after FROM: their names mean other functions there."""
    stack = [part]
    while stack:
        part = stack.pop()
        if isinstance(part, list):
            stack.extend(part)
        elif isinstance(part, dict):
            if part.get("type") == "TABLE_FUNCTION":
                function = part.get("function")
                if not isinstance(function, dict) or function.get("class") != "FUNCTION":
                    raise Refusal("this table function can't be judged")
                function["as_table"] = True
            stack.extend(part.values())


def _path(part: Mapping[str, Any], name: str, schema: str, catalog: str) -> tuple[str, str, str]:
    """Catalog, schema and name, in lower case; the first two may be empty."""
    parts = (part[catalog], part[schema], part[name])
    # DuckDB 2.0 also has the name as it is written, which may have more parts than three.
    written = part.get("qualified_name")
    if written is not None and written["path"] not in ([], [p for p in parts if p]):
        raise Refusal("a name of more than three parts can't be judged")
    return tuple(map(lower, parts))  # type: ignore[return-value]


def _said(name: str) -> str:
    """A name for an error: short, and without anything that a log would stumble over."""
    return repr(name if len(name) <= 60 else f"{name[:60]}…")
