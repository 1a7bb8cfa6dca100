"""The words and names that can be completed, kept for a moment."""

from __future__ import annotations

import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

import duckdb

from vercel_sql.cli.shell.places import Catalog, Named, read_catalog
from vercel_sql.sql.queries import rows_of
from vercel_sql.tables.catalog import quoted

_SECONDS = 1.0
_PLAIN = re.compile(r"(?a)[A-Za-z_]\w*")


@dataclass
class Words:
    """DuckDB's own words.

    Attributes:
        keywords: its keywords in lower case.
        reserved: those that can't be a name without quotes.
        types: its types.
        functions: functions of values.
        table_functions: functions that give tables.
        settings: what SET and PRAGMA take.
        pragmas: functions of PRAGMA alone.
    """

    keywords: list[str] = field(default_factory=list)
    reserved: frozenset[str] = frozenset()
    types: list[str] = field(default_factory=list)
    functions: list[Named] = field(default_factory=list)
    table_functions: list[Named] = field(default_factory=list)
    settings: list[Named] = field(default_factory=list)
    pragmas: list[Named] = field(default_factory=list)

    def written(self, name: str) -> str:
        """A name as SQL: in quotes where it needs them."""
        plain = _PLAIN.fullmatch(name) and name.casefold() not in self.reserved
        return name if plain else quoted(name)


def _read_words(con: duckdb.DuckDBPyConnection) -> Words:
    keywords = rows_of(con, "SELECT keyword_name, keyword_category FROM duckdb_keywords()")
    types = rows_of(con, "SELECT DISTINCT lower(type_name) FROM duckdb_types() ORDER BY 1")
    functions = rows_of(
        con,
        "SELECT function_name, any_value(function_type), any_value(description), "
        "any_value(parameters) FROM duckdb_functions() "
        "WHERE schema_name = 'main' AND regexp_matches(function_name, '^[a-z]\\w*$') "
        "GROUP BY function_name ORDER BY function_name",
    )
    settings = rows_of(con, "SELECT name, description FROM duckdb_settings() ORDER BY name")
    calls = [
        (kind, Named(name, text or f"({', '.join(p or '' for p in parameters or [])})"))
        for name, kind, text, parameters in functions
    ]
    return Words(
        keywords=sorted({name for name, _ in keywords}),
        reserved=frozenset(n for n, kind in keywords if kind in ("reserved", "type_function")),
        types=[name for (name,) in types],
        functions=[each for kind, each in calls if kind not in ("pragma", "table", "table_macro")],
        table_functions=[each for kind, each in calls if kind in ("table", "table_macro")],
        settings=[Named(name, text or "") for name, text in settings],
        pragmas=[named for kind, named in calls if kind == "pragma"],
    )


class Vocabulary:
    """What can be completed now, kept for a moment; any thread may ask.

    What every connection sees is read on a connection of its own, so that neither a transaction
    nor an unread result of the user's is touched. What the user's alone sees (the search path,
    temporary tables, what an open transaction made) is known from `refresh`.

    Args:
        con: the user's connection.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con
        self._lock = threading.Lock()
        self._own: Catalog | None = None
        self._shared = Catalog([], {}, {}, [])
        self._words = Words()
        self._read_at = float("-inf")

    def refresh(self) -> None:
        """Reads the catalog on the user's connection, which must be idle, with no result unread."""
        # What DuckDB refuses, as in a transaction that failed, leaves what was known before.
        with suppress(duckdb.Error):
            own = read_catalog(self._con)
            with self._lock:
                self._own, self._read_at = own, float("-inf")

    def now(self) -> tuple[Catalog, Words]:
        """What there is."""
        with self._lock:
            if time.monotonic() - self._read_at > _SECONDS:
                with suppress(duckdb.Error):
                    self._read()
                self._read_at = time.monotonic()
            return self._own or self._shared, self._words

    def _read(self) -> None:
        with self._con.cursor() as con:
            self._words = _read_words(con)
            if self._own is None:
                self._shared = read_catalog(con)
