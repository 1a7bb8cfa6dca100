"""The judge: says of a client's text, before it runs, why it may not."""

from __future__ import annotations

import json
import re
import threading
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import duckdb

from vercel_sql.catalog.ddl import literal
from vercel_sql.own_duckdb import own_duckdb
from vercel_sql.server.bounds import OUT_OF_MEMORY
from vercel_sql.sql.tokens import is_nested

LONGEST, _SHORT = 100_000, 1_000
"""Characters of a statement; people write far less, and judging takes time. Short ones don't wait
for others."""
_MOST_BRACKETS = 200
"""In one another, and comments. DuckDB 2.0's parser takes minutes for a text that opens thousands
of them, and for some it ends the process."""
_LONGEST_TREE = 4_000_000
"""Characters of a tree as JSON. In Python it takes ten times the memory."""
_AT_ONCE = 4
"""Long statements that are judged at the same time."""
_OF_TEXT = (None, "parser", "syntax", "not implemented")
"""Errors that come of the text, and none at all."""
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
_UNREADABLE = "DuckDB can't parse it, or its syntax tree has an unknown form"


class Refusal(Exception):  # noqa: N818 - it is an answer, and no failure
    """Why a statement may not run, in words that hold nothing of its literals."""


class Judge:
    """Judges statements; threads may share it."""

    def __init__(
        self,
        catalog: str,
        tables: Iterable[tuple[str, str]],
        table_functions: Iterable[tuple[str, str]],
        outermost: Iterable[tuple[str, str]] = (),
    ) -> None:
        inner = builtin().extended(tables=tables, table_functions=table_functions)
        self._inner = TreeJudge(catalog, inner)
        self._outer = TreeJudge(catalog, inner.extended(tables=(), table_functions=outermost))
        self._room = threading.BoundedSemaphore(_AT_ONCE)
        self._con = own_duckdb()
        self._con.execute("SET lock_configuration = true")

    def close(self) -> None:
        self._con.close()

    def check(self, text: str, *, inner: bool = False) -> None:
        """Judges one statement for DuckDB."""
        if len(text) > LONGEST or "\0" in text:
            raise Refusal("it is too long, or has a NUL character in it")
        if text.count("/*") > _MOST_BRACKETS or is_nested(text, _MOST_BRACKETS):
            raise Refusal("it is nested too deeply")
        try:
            with self._room if len(text) > _SHORT else nullcontext():
                (self._inner if inner else self._outer).check(self._parsed(text))
        except (duckdb.OutOfMemoryException, duckdb.FatalException):
            raise
        except duckdb.InternalException:
            with self._con.cursor() as con:  # a FatalException where that was the end of it
                con.execute("SELECT 1")
            raise Refusal(_UNREADABLE) from None
        except (duckdb.Error, LookupError, TypeError, ValueError, AttributeError, RecursionError):
            # A tree of another form than DuckDB's so far, or text that it does not read.
            raise Refusal(_UNREADABLE) from None

    def _parsed(self, text: str) -> Any:
        text.encode()  # half a surrogate pair is a ValueError here, and no DuckDB takes one
        # As a literal: to bind a value, DuckDB 1.5 imports pandas.
        query = f"SELECT json_serialize_sql({literal(text)})"
        with self._con.cursor() as con:  # one text that takes its time delays no other
            rows = con.execute(query).fetchall()
        if len(rows[0][0]) > _LONGEST_TREE:
            raise Refusal("it has too many parts")
        tree = json.loads(rows[0][0])
        if tree.get("error_type") not in _OF_TEXT and OUT_OF_MEMORY.search(str(tree)):
            raise MemoryError
        return tree


class TreeJudge:
    """Walks a tree and raises at the first thing that may not be there."""

    def __init__(self, catalog: str, allowed: Allowed) -> None:
        self._catalogs = frozenset(["", lower(catalog)])
        self._allowed = allowed

    def check(self, tree: Mapping[str, Any]) -> None:
        """Judges what `json_serialize_sql` gave."""
        if tree.get("error") is not False:
            raise Refusal("only SELECT is allowed here")
        statements = tree.get("statements")
        if not isinstance(statements, list) or len(statements) != 1:
            raise Refusal("only one statement per request")
        self._walk(statements[0], frozenset(), 0)

    def _walk(self, part: Any, names: _Names, depth: int) -> None:
        """Judges a part of the tree; `names` are those of the CTEs that it sees."""
        if depth > _DEEPEST:
            raise Refusal("it is nested too deeply")
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
                raise Refusal("a CTE's name may only have letters, digits, spaces, _, $ and -")
            self._walk(entry["value"], names, depth + 1)
            names = names | {name}
        return names

    def _check_kind(self, part: Mapping[str, Any]) -> None:
        expression, kind = part.get("class"), part.get("type")
        if expression is not None:
            if kind not in self._allowed.expressions.get(expression, ()):
                raise Refusal(f"{_said(f'{expression} {kind}')} is not open to clients")
        elif isinstance(kind, str) and kind not in self._allowed.nodes:
            raise Refusal(f"{_said(kind)} is not open to clients")

    def _check_names(self, part: Mapping[str, Any], names: _Names) -> None:
        kind = part.get("class") or part.get("type")
        if kind in ("FUNCTION", "WINDOW"):
            self._check_function(part)
        elif kind == "BASE_TABLE":
            self._check_table(part, names)
        elif kind == "COLUMN_REF" and len(part["column_names"]) > _MOST_PARTS:
            raise Refusal("column names of so many parts are not supported")
        elif kind == "TABLE_FUNCTION":
            _mark(part)
        elif kind == "SHOW_REF":
            self._check_show(part)
        elif kind == "TYPE":
            self._check_type(part, "type_name")
        elif kind == "UNBOUND_TYPE_INFO":
            self._check_type(part, "name")
        elif kind == "PIVOT" and any(pivot["pivot_enum"] for pivot in part["pivots"]):
            raise Refusal("a PIVOT over a type's values is not open to clients")

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
            raise Refusal("AT is not open to clients")
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
            raise Refusal("DESCRIBE, SHOW and SUMMARIZE take only a query or table here")


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
            raise Refusal("its columns refer to one another too often")
        if item.get("alias"):
            sizes[lower(item["alias"])] = size


def _own_name(part: Mapping[str, Any]) -> _Names:
    """What the second half of a recursive CTE sees beside the rest: the CTE itself."""
    if part.get("type") != "RECURSIVE_CTE_NODE":
        return frozenset()
    return frozenset([lower(part["cte_name"])])


def _mark(part: Mapping[str, Any]) -> None:
    """Marks the function that stands after FROM: its name means another function there."""
    function = part.get("function")
    if not isinstance(function, dict) or function.get("class") != "FUNCTION":
        raise Refusal("this kind of table function is not supported")
    function["as_table"] = True


def _path(part: Mapping[str, Any], name: str, schema: str, catalog: str) -> tuple[str, str, str]:
    """Catalog, schema and name, in lower case; the first two may be empty."""
    parts = (part[catalog], part[schema], part[name])
    # DuckDB 2.0 also has the name as it is written, which may have more parts than three.
    written = part.get("qualified_name")
    if written is not None and written["path"] not in ([], [p for p in parts if p]):
        raise Refusal("names of more than three parts are not supported")
    return tuple(map(lower, parts))  # type: ignore[return-value]


def _said(name: str) -> str:
    """A name for an error: short, and without anything that a log would stumble over."""
    return repr(name if len(name) <= 60 else f"{name[:60]}…")


_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


@dataclass(frozen=True)
class Allowed:
    """Names that may stand in a client's query; all in lower case.

    Attributes:
        functions: DuckDB's scalar, aggregate and window functions.
        table_functions: table functions, by schema and name; DuckDB's own have no schema.
        tables: tables and views, by schema and name.
        types: types, as in a cast.
        expressions: kinds of expressions, by their class.
        nodes: what else a query's tree may have in it.
    """

    functions: frozenset[str]
    table_functions: frozenset[tuple[str, str]]
    tables: frozenset[tuple[str, str]]
    types: frozenset[str]
    expressions: Mapping[str, frozenset[str]]
    nodes: frozenset[str]

    def extended(
        self, *, tables: Iterable[tuple[str, str]], table_functions: Iterable[tuple[str, str]]
    ) -> Allowed:
        """The same, with tables and table functions of a catalog added."""
        added = {(lower(s), lower(n)) for s, n in table_functions}
        return replace(
            self,
            tables=self.tables | {(lower(s), lower(n)) for s, n in tables},
            table_functions=self.table_functions | added,
        )


def lower(name: str) -> str:
    """A name in lower case, as DuckDB compares names: only the letters A to Z have two cases.

    Two names that another folding takes for equal (`ß` and `ss`) are two for DuckDB, and the second
    may be the name of a file.
    """
    return name.translate(_LOWER)


@cache
def builtin() -> Allowed:
    """What DuckDB has and clients may use, from ``allowed.toml``."""
    data = tomllib.loads(files(__package__).joinpath("allowed.toml").read_text("utf-8"))
    return Allowed(
        frozenset(lower(name) for names in data["functions"].values() for name in names),
        frozenset(("", lower(n)) for names in data["table_functions"].values() for n in names),
        frozenset((schema, name) for schema, names in data["tables"].items() for name in names),
        frozenset(name for names in data["types"].values() for name in names),
        {name: frozenset(kinds) for name, kinds in data["expressions"].items()},
        frozenset(name for names in data["nodes"].values() for name in names),
    )
