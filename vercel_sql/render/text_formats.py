"""JSON, CSV and Markdown: all values exactly.

JSON is one array of objects per result, or one object per line. DuckDB's own `to_json` rounds
decimals, FLOAT and the numbers inside JSON values, and writes a bare NaN; so only strings are left
to it, and the rest is put together from DuckDB's casts.

CSV is as in RFC 4180: a header, quotes where needed, NULL empty and the empty string `""`. Lines
end in a bare line feed, since a shell that reads a secret from the last field would keep the
carriage return. In a result of one column NULL is an empty line, as the RFC has it.

Markdown is GitHub's: a value stays in its cell, and reads as it is, not as markup. In both, lists,
structs and maps are JSON.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, TextIO, cast

from duckdb.sqltypes import DuckDBPyType

from vercel_sql.render.result import Options, Result, is_number, text_literal
from vercel_sql.text import json_without_commands, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# The types whose text is a JSON number or boolean.
_INTEGERS = ("tinyint", "smallint", "integer", "bigint", "hugeint", "bignum")
_BARE = frozenset((*_INTEGERS, *(f"u{name}" for name in _INTEGERS), "decimal", "boolean"))
NESTED = frozenset(("list", "array", "struct", "map", "union", "variant"))
"""The types whose values are JSON in the formats that have text for all else."""


def write_objects(result: Result, out: TextIO, _: Options) -> int:
    rows = 0
    for lines in result.lines(json_object(result.names, result.columns())):
        out.write(json_without_commands("\n".join(lines)) + "\n")
        out.flush()
        rows += len(lines)
    return rows


def write_array(result: Result, out: TextIO, _: Options) -> int:
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
    """SQL for a row as a JSON object; for each name, its column's SQL name and type."""
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
    Each of the `depth` lists and maps around it has a variable of its own.
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


# Spaces at the ends are data, but many readers trim them unless they are quoted. A line must not
# begin with what GitHub takes for a command, blanks before it or not.
_QUOTED = r"""'[",\r\n]|^\s|\s$|^[\s\x85\p{Z}]*::'"""
# An underscore inside a word is no markup, and escaped it would spoil a token that is copied from
# the source.
_MARKUP = re.compile(r"[\\|`*\[\]~$]|(?<![^\W_])_|_(?![^\W_])")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def write_csv(result: Result, out: TextIO, options: Options) -> int:
    rows = 0
    header = ",".join(map(_field, result.names)) + "\n" if options.headers else ""
    missing = text_literal(_field(options.null) if options.null else "")
    fields = [_sql_field(plain_text(*column), missing) for column in result.columns()]
    for lines in result.lines("concat(" + ", ',', ".join(fields) + ")"):
        out.write(("" if rows else header) + "\n".join(lines) + "\n")
        out.flush()
        rows += len(lines)
    if rows == 0:
        out.write(header)
        out.flush()
    return rows


def _sql_field(text: str, missing: str) -> str:
    quoted = f"""'"' || replace({text}, '"', '""') || '"'"""
    return (
        f"CASE WHEN {text} IS NULL THEN {missing}"
        f" WHEN {text} = '' OR regexp_matches({text}, {_QUOTED}) THEN {quoted} ELSE {text} END"
    )


def _field(name: str) -> str:
    plain = name and name == name.strip() and not name.startswith("::")
    plain = plain and not any(mark in name for mark in '",\r\n')
    return name if plain else '"' + name.replace('"', '""') + '"'


def write_markdown(result: Result, out: TextIO, options: Options) -> int:
    null = "NULL" if options.null is None else _cell(options.null)
    out.write(_row(map(_cell, result.names)))
    out.write(_row("---:" if is_number(dtype) else "---" for dtype in result.types))
    count = 0
    for rows in result.texts(plain_text):
        for row in rows:
            out.write(_row(null if text is None else _cell(text) for text in row))
        out.flush()
        count += len(rows)
    out.flush()
    return count


def _cell(text: str) -> str:
    text = re.sub("[&<>]", lambda found: _HTML[found[0]], text)
    text = _MARKUP.sub(r"\\\g<0>", text)
    return "<br>".join(visible(line) for line in text.split("\n"))


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"
