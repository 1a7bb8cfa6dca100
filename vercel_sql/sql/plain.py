"""Texts that are DuckDB's alone, told from others without reading them into tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable

from vercel_sql.sql.fragments import Fragment, Script
from vercel_sql.sql.parameters import half_character
from vercel_sql.sql.statements import Native

_OPENING = re.compile(r"[\s(]*([A-Za-z]+)\b")
_OURS = frozenset(["BEGIN", "DESC", "DESCRIBE", "EXEC", "EXECUTE", "EXPLAIN", "SHOW", "START"])
"""What begins statements of ours, or some that we have to look into."""
_ANYWHERE = (
    # Placeholders and dollar quotes.
    *("$", "?", "{{"),
    # What writes files, or tells what there is.
    *("copy", "describe", "duckdb_", "information_schema", "pg_", "show", "sqlite_"),
)
_LATER = tuple(word.casefold() for word in _OURS)
_COLON = re.compile(r"(?<!:):[^\W\d]")


class Plain:
    """Knows the texts in which nothing can be ours.

    Args:
        names: the catalogs and resources: a text that speaks of none of them names no table of
            ours, whatever it does.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._anywhere = (*_ANYWHERE, *(name.casefold() for name in names))

    def read(self, text: str, *, whole: bool) -> Native | None:
        """A text as one statement of DuckDB's; None where it has to be read into tokens.

        Args:
            text: the script.
            whole: whether a script of several statements may be run as one.
        """
        opening = _OPENING.match(text)
        if opening is None or opening[1].upper() in _OURS or half_character(text) is not None:
            return None
        folded = text.casefold()
        for part in self._anywhere:
            if part in folded:
                return None
        if _COLON.search(text):
            return None
        several = ";" in text.rstrip().removesuffix(";")
        if several and not (whole and not any(word in folded for word in _LATER)):
            return None
        keyword = "" if several else opening[1].upper()
        return Native(fragment=Fragment(Script(text, ()), 0, 0), first_keyword=keyword)
