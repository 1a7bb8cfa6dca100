"""CSV and Markdown: all values exactly, with lists, structs and maps as JSON.

CSV is as in RFC 4180: a header, quotes where needed, NULL empty and the empty string `""`. Lines
end in a bare line feed, since a shell that reads a secret from the last field would keep the
carriage return. In a result of one column NULL is an empty line, as the RFC has it.

Markdown is GitHub's: a value stays in its cell, and reads as it is, not as markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TextIO

from vercel_sql.escapes import visible
from vercel_sql.render.json_text import plain_text
from vercel_sql.render.result import Options, Result, is_number, text_literal

# Spaces at the ends are data, but many readers trim them unless they are quoted. A line must not
# begin with what GitHub takes for a command, blanks before it or not.
_QUOTED = r"""'[",\r\n]|^\s|\s$|^[\s\x85\p{Z}]*::'"""
# An underscore inside a word is no markup, and escaped it would spoil a token that is copied from
# the source.
_MARKUP = re.compile(r"[\\|`*\[\]~$]|(?<![^\W_])_|_(?![^\W_])")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def write_csv(result: Result, out: TextIO, options: Options) -> int:
    """Write the header and the rows; give the number of rows."""
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
    """Write the header and the rows; give the number of rows."""
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
