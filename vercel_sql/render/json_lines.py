"""JSON: one array of objects a result, or one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TextIO

from duckdb.sqltypes import DuckDBPyType

from vercel_sql.escapes import json_without_commands
from vercel_sql.render.json_text import json_text
from vercel_sql.render.result import Result
from vercel_sql.render.sql_text import text_literal


def write_objects(result: Result, out: TextIO) -> int:
    """Write one object a line; give the number of rows."""
    rows = 0
    for lines in result.lines(json_object(result.names, result.columns())):
        out.write(json_without_commands("\n".join(lines)) + "\n")
        out.flush()
        rows += len(lines)
    return rows


def write_array(result: Result, out: TextIO) -> int:
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
