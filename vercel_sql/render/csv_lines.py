"""CSV as in RFC 4180: a header, quotes where needed, NULL empty and the empty string `""`.

Lists, structs and maps are JSON. Lines end in a bare line feed, since a shell that reads a secret
from the last field would keep the carriage return. In a result of one column NULL is an empty
line, as the RFC has it.
"""

from __future__ import annotations

from typing import TextIO

from vercel_sql.render.json_text import plain_text
from vercel_sql.render.options import Options
from vercel_sql.render.result import Result
from vercel_sql.render.sql_text import text_literal

# Spaces at the ends are data, but many readers trim them unless they are quoted. A line must not
# begin with what GitHub takes for a command, blanks before it or not.
_QUOTED = r"""'[",\r\n]|^\s|\s$|^[\s\x85\p{Z}]*::'"""


def write(result: Result, out: TextIO, options: Options) -> int:
    """Write the header and the rows; give the number of rows."""
    rows = 0
    header = ",".join(_field(name) for name in result.names) + "\n" if options.headers else ""
    for lines in result.lines(_line(result, options.null)):
        out.write(("" if rows else header) + "\n".join(lines) + "\n")
        out.flush()
        rows += len(lines)
    if rows == 0:
        out.write(header)
        out.flush()
    return rows


def _line(result: Result, null: str | None) -> str:
    missing = text_literal(_field(null) if null else "")
    fields = [_sql_field(plain_text(*column), missing) for column in result.columns()]
    return "concat(" + ", ',', ".join(fields) + ")"


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
