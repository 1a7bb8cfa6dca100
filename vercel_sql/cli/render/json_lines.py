"""JSON: one array of objects a result, or one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TextIO

from vercel_sql.cli.render.json_text import json_text
from vercel_sql.cli.render.result import Result, text_literal


def write_objects(result: Result, out: TextIO) -> int:
    """Write one object a line; give the number of rows."""
    rows = 0
    for lines in result.lines(_object(result)):
        out.write("\n".join(lines) + "\n")
        out.flush()
        rows += len(lines)
    return rows


def write_array(result: Result, out: TextIO) -> int:
    """Write one array, with each object on a line of its own; give the number of rows."""
    rows = 0
    for lines in result.lines(_object(result)):
        # The bracket waits for the first row: an error before it leaves nothing behind.
        out.write(("[\n" if rows == 0 else ",\n") + ",\n".join(lines))
        out.flush()
        rows += len(lines)
    out.write("\n]\n" if rows else "[]\n")
    out.flush()
    return rows


def _object(result: Result) -> str:
    members = [
        f"{text_literal(json.dumps(name, ensure_ascii=False) + ':')}, {json_text(column, dtype)}"
        for name, (column, dtype) in zip(unique(result.names), result.columns(), strict=True)
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
