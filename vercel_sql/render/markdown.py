"""GitHub's Markdown tables: a value stays in its cell, and reads as it is, not as markup."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TextIO

from vercel_sql.escapes import visible
from vercel_sql.render.json_text import plain_text
from vercel_sql.render.kinds import is_number
from vercel_sql.render.options import Options
from vercel_sql.render.result import Result

# An underscore inside a word is no markup, and escaped it would spoil a token that is copied from
# the source.
_MARKUP = re.compile(r"[\\|`*\[\]~$]|(?<![^\W_])_|_(?![^\W_])")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def write(result: Result, out: TextIO, options: Options) -> int:
    """Write the header and the rows; give the number of rows."""
    null = "NULL" if options.null is None else cell(options.null)
    out.write(_row(cell(name) for name in result.names))
    out.write(_row("---:" if is_number(dtype) else "---" for dtype in result.types))
    rows = 0
    for total, texts in result.texts(plain_text):
        for row in texts:
            out.write(_row(null if text is None else cell(text) for text in row))
        out.flush()
        rows += total
    out.flush()
    return rows


def cell(text: str) -> str:
    """A value as the content of one cell."""
    text = re.sub("[&<>]", lambda found: _HTML[found[0]], text)
    text = _MARKUP.sub(r"\\\g<0>", text)
    return "<br>".join(visible(line) for line in text.split("\n"))


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"
