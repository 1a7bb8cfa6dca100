"""Colours for what is typed: Pygments' SQL with DuckDB's strings and the words of this dialect."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from prompt_toolkit.lexers import Lexer, PygmentsLexer
from prompt_toolkit.styles import BaseStyle, DummyStyle, Style
from pygments import token
from pygments.lexer import inherit, words
from pygments.lexers.sql import PostgresLexer

_WORDS = """
    ASOF DESCRIBE EXEC EXTENDED GLOB INSTALL METHOD METHODS PIVOT PRAGMA QUALIFY RESOURCES SERVICES
    SUMMARIZE UNPIVOT USE
"""

# Names of the terminal's own colours, which its theme keeps readable on light and on dark.
_COLOURS = {
    "pygments.keyword": "bold ansiblue",
    "pygments.literal.string": "ansigreen",
    "pygments.literal.number": "ansicyan",
    "pygments.comment": "italic ansibrightblack",
    "pygments.name.variable": "ansimagenta",
    "pygments.name.builtin": "ansicyan",
    "pygments.name.builtin.pseudo": "bold ansimagenta",
}


class VercelSqlLexer(PostgresLexer):
    """PostgreSQL's lexer, which knows ``$$`` and nested comments, with what else DuckDB reads."""

    name = "vercel-sql"
    aliases: ClassVar[list[str]] = []
    filenames: ClassVar[list[str]] = []

    tokens: ClassVar[dict[str, Any]] = {
        "root": [
            (r"(?m)^[ \t]*\.[a-z]+\b", token.Name.Builtin.Pseudo),
            (r"\{\{\s*\w+\s*\}\}", token.Name.Variable),
            (r"@@?[^\W\d]\w*", token.Name.Variable),
            (r"(?s)\$((?:[^\W\d]\w*)?)\$.*?(?:\$\1\$|\Z)", token.String),
            (r"(?s)e'(?:\\.|''|[^'\\])*(?:'|\Z)", token.String),
            (r"\$\w+", token.Name.Variable),
            (r"\.(?!\d)", token.Punctuation),
            (words(_WORDS.split(), suffix=r"\b"), token.Keyword),
            inherit,
        ],
    }


def lexer() -> Lexer:
    """Highlights the shell's text."""
    return PygmentsLexer(VercelSqlLexer)


def style() -> BaseStyle:
    """The colours; none where ``NO_COLOR`` is set or the terminal is a dumb one."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return DummyStyle()
    return Style.from_dict(_COLOURS)
