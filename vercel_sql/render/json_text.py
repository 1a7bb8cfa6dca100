"""JSON, exactly: one array of objects a result, or one object a line.

DuckDB's own `to_json` rounds decimals, FLOAT and the numbers inside JSON values, and writes a bare
NaN; so only strings are left to it, and the rest is put together from DuckDB's casts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TextIO, cast

from duckdb.sqltypes import DuckDBPyType

from vercel_sql.escapes import json_without_commands
from vercel_sql.render.result import Options, Result, text_literal

# The types whose text is a JSON number or boolean.
_INTEGERS = ("tinyint", "smallint", "integer", "bigint", "hugeint", "bignum")
_BARE = frozenset((*_INTEGERS, *(f"u{name}" for name in _INTEGERS), "decimal", "boolean"))
NESTED = frozenset(("list", "array", "struct", "map", "union", "variant"))
"""The types whose values are JSON in the formats that have text for all else."""


def write_objects(result: Result, out: TextIO, _: Options) -> int:
    """Write one object a line; give the number of rows."""
    rows = 0
    for lines in result.lines(json_object(result.names, result.columns())):
        out.write(json_without_commands("\n".join(lines)) + "\n")
        out.flush()
        rows += len(lines)
    return rows


def write_array(result: Result, out: TextIO, _: Options) -> int:
    """Write one array, with each object on a line of its own; give the number of rows."""
    rows = 0
    for lines in result.lines(json_object(result.names, result.columns())):
        # The bracket waits for the first row: an error before it leaves nothing behind.
        out.write(("[\n" if rows == 0 else ",\n") + json_without_commands(",\n".join(lines)))
        out.flush()
        rows += len(lines)
    out.write("\n]\n" if rows else "[]\n")
    out.flush()
    return rows


def json_object(names: Sequence[str], columns: Sequence[tuple[str, DuckDBPyType]]) -> str:
    """An SQL expression that gives a row as the text of a JSON object.

    Args:
        names: the names of its members.
        columns: for each the SQL name of its column, and the column's type.
    """
    members = [
        f"{text_literal(json.dumps(name, ensure_ascii=False) + ':')}, {json_text(column, dtype)}"
        for name, (column, dtype) in zip(unique(names), columns, strict=True)
    ]
    return "concat('{', " + ", ',', ".join(members) + ", '}')"


def unique(names: Iterable[str]) -> list[str]:
    """Names for an object's members: a repeated one gets a suffix, as DuckDB's tables do it."""
    taken: set[str] = set()
    members = []
    for name in names:
        member, number = name, 0
        while member in taken:
            number += 1
            member = f"{name}_{number}"
        taken.add(member)
        members.append(member)
    return members


def plain_text(value: str, dtype: DuckDBPyType) -> str:
    """An SQL expression that gives the value as text: nested ones as JSON; NULL stays NULL."""
    if str(dtype.id) in NESTED and str(dtype) != "JSON":
        return f"CASE WHEN {value} IS NOT NULL THEN {_present(value, dtype, 0)} END"
    return f"CAST({value} AS VARCHAR)"


def json_text(value: str, dtype: DuckDBPyType, depth: int = 0) -> str:
    """An SQL expression that gives the value as JSON text, `null` for NULL.

    Integers and decimals are JSON numbers with all their digits; NaN and the infinities, which JSON
    has no number for, are the strings `NaN`, `Infinity` and `-Infinity`. JSON values are left as
    they are, except that a line break between tokens becomes a space. Lists, structs, maps and
    unions nest. All else is a string, as DuckDB casts it.

    Args:
        value: the SQL expression of the value.
        dtype: its type.
        depth: how many lists and maps it lies in; each names a variable of its own.
    """
    return f"CASE WHEN {value} IS NULL THEN 'null' ELSE {_present(value, dtype, depth)} END"


def _present(value: str, dtype: DuckDBPyType, depth: int) -> str:
    text = f"CAST({value} AS VARCHAR)"
    if str(dtype) == "JSON":
        return _document(text)
    kind = str(dtype.id)
    if kind in _BARE:
        return text
    if kind in ("float", "double"):
        return _float(value, text)
    if kind == "variant":
        return _document(_json(value))
    nested = {"list": _list, "array": _list, "struct": _struct, "map": _map, "union": _union}
    if kind in nested:
        return nested[kind](value, dtype, depth)
    return _json(text)


def _json(value: str) -> str:
    return f"CAST(to_json({value}) AS VARCHAR)"


def _key(name: str) -> str:
    return json.dumps(name, ensure_ascii=False) + ":"


def _children(dtype: DuckDBPyType) -> list[tuple[str, DuckDBPyType]]:
    return [(name, cast(DuckDBPyType, child)) for name, child in dtype.children]


def _float(value: str, text: str) -> str:
    return (
        f"CASE WHEN isfinite({value}) THEN {text} WHEN isnan({value}) THEN '\"NaN\"'"
        f" WHEN {value} > 0 THEN '\"Infinity\"' ELSE '\"-Infinity\"' END"
    )


def _document(text: str) -> str:
    """JSON as it is; a string if only DuckDB takes it for JSON (NaN, a comma before a bracket)."""
    outside = rf"""regexp_replace({text}, '"(\\.|[^"\\])*"', '', 'g')"""
    lenient = rf"regexp_matches({outside}, '(?i)nan|inf|,\s*[\]}}]')"
    return (
        f"CASE WHEN json_valid({text}) AND NOT {lenient}"
        f" THEN translate({text}, chr(10) || chr(13), '  ') ELSE {_json(text)} END"
    )


def _joined(values: str, variable: str, each: str) -> str:
    return f"array_to_string(list_transform({values}, lambda {variable}: {each}), ',')"


def _list(value: str, dtype: DuckDBPyType, depth: int) -> str:
    variable = f"x{depth}"
    (_, child), *_ = _children(dtype)
    return f"concat('[', {_joined(value, variable, json_text(variable, child, depth + 1))}, ']')"


def _map(value: str, dtype: DuckDBPyType, depth: int) -> str:
    variable = f"x{depth}"
    _, (_, child) = _children(dtype)
    key = _json(f"CAST({variable}.key AS VARCHAR)")
    member = f"concat({key}, ':', {json_text(f'{variable}.value', child, depth + 1)})"
    return f"concat('{{', {_joined(f'map_entries({value})', variable, member)}, '}}')"


def _struct(value: str, dtype: DuckDBPyType, depth: int) -> str:
    members = []
    for position, (name, child) in enumerate(_children(dtype), 1):
        # 1.5.5 leaves the fields of row(…) without names; 2.0.0 gives them these.
        key = text_literal(_key(name or f"element{position}"))
        members.append(
            f"{key}, {json_text(f'struct_extract_at({value}, {position})', child, depth)}"
        )
    return "concat('{', " + ", ',', ".join(members) + ", '}')"


def _union(value: str, dtype: DuckDBPyType, depth: int) -> str:
    cases = []
    for name, child in _children(dtype)[1:]:  # the first is the tag
        member = json_text(f"union_extract({value}, {text_literal(name)})", child, depth)
        key = text_literal("{" + _key(name))
        cases.append(f"WHEN {text_literal(name)} THEN concat({key}, {member}, '}}')")
    return f"CASE CAST(union_tag({value}) AS VARCHAR) {' '.join(cases)} END"
