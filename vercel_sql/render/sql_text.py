"""Names and strings as SQL that runs wherever it is pasted."""

from __future__ import annotations

import re

from vercel_sql.escapes import respelt

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def text_literal(text: str) -> str:
    """A string as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def literal(text: str) -> str:
    """A string as an SQL expression on one line, without control and invisible characters."""
    quoted = text_literal(text)
    spelt = respelt(quoted, lambda character: f"', chr({ord(character)}), '")
    return quoted if spelt == quoted else f"concat({spelt})"


def identifier(name: str, keywords: frozenset[str]) -> str:
    """A name as DuckDB writes it: quoted where it is a keyword or not plain."""
    if _PLAIN.fullmatch(name) and name.lower() not in keywords:
        return name
    return '"' + name.replace('"', '""') + '"'
