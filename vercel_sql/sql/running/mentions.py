"""Which services a statement names, so that their tables are made and no others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from vercel_sql.sql.dialect import STRINGS, Kind, Lexeme

_LISTS = frozenset(
    [
        *("duckdb_columns", "duckdb_constraints", "duckdb_functions", "duckdb_schemas"),
        *("duckdb_tables", "duckdb_views", "information_schema", "pg_attribute", "pg_catalog"),
        *("pg_class", "pg_namespace", "pg_proc", "pg_tables", "pg_views", "show_tables"),
        *("show_tables_expanded", "sqlite_master", "sqlite_schema"),
    ]
)
"""Names of what lists tables or functions."""
_SHOWN = frozenset(["ALL", "FUNCTIONS", "SCHEMAS", "TABLES"])
_SHOWS = frozenset(["DESC", "DESCRIBE", "SHOW"])
_MOVES = frozenset(["USE", "SET"])
_NAMES = frozenset([Kind.WORD, Kind.QUOTED])


class Mentions:
    """What one statement says of a catalog.

    Args:
        lexemes: its tokens.
        catalog: the catalog's name.
        inside: whether names may lead into the catalog that do not begin with its name.
    """

    def __init__(self, lexemes: Sequence[Lexeme], catalog: str, inside: bool) -> None:
        self._lexemes = lexemes
        self._catalog = catalog.casefold()
        self._words = self._inner_words()
        self._names = frozenset(each.value.casefold() for each in lexemes if each.kind in _NAMES)
        if inside:
            self._words |= self._names

    @property
    def moves(self) -> bool:
        """Whether names may lead into the catalog from now on without naming it."""
        opening = self._lexemes[0].upper if self._lexemes else ""
        return opening in _MOVES and bool(self._words or self._catalog in self._names)

    @property
    def everything(self) -> bool:
        """Whether it lists what there is."""
        return (
            bool(_LISTS & self._names)
            or (len(self._lexemes) == 1 and self._lexemes[0].upper in _SHOWS)
            or any(a.upper in _SHOWS and b.upper in _SHOWN for a, b in pairwise(self._lexemes))
        )

    def services(self, missing: Iterable[str], views: Mapping[str, Iterable[str]]) -> list[str]:
        """The services among the missing ones whose tables, functions or views it names.

        Args:
            missing: the services that are not there yet.
            views: for each schema of views the services that they are made of.
        """
        wanted = {
            service
            for schema, services in views.items()
            if schema.casefold() in self._words
            for service in services
        }
        return [name for name in missing if name in wanted or name.casefold() in self._words]

    def _inner_words(self) -> frozenset[str]:
        """What stands after the catalog's name and a dot, in names and in strings with names."""
        found: set[str] = set()
        for one, dot, two in zip(self._lexemes, self._lexemes[1:], self._lexemes[2:], strict=False):
            if dot.raw == "." and one.kind in _NAMES and one.value.casefold() == self._catalog:
                found.add(two.value.casefold())
        for lexeme in self._lexemes:
            text = lexeme.value.casefold() if lexeme.kind in STRINGS else ""
            if f"{self._catalog}." in text:
                found.update(text.replace('"', "").replace(",", ".").replace(" ", ".").split("."))
        return frozenset(found)
