"""What clients of the server may name, beside the tables and functions of the catalog."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import ascii_lowercase, ascii_uppercase

_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


@dataclass(frozen=True)
class Allowed:
    """Names that may stand in a client's query; all in lower case.

    Attributes:
        functions: scalar, aggregate and window functions of DuckDB's.
        table_functions: table functions, by schema and name; DuckDB's own have no schema.
        tables: tables and views, by schema and name.
        types: types, as in a cast.
    """

    functions: frozenset[str]
    table_functions: frozenset[tuple[str, str]]
    tables: frozenset[tuple[str, str]]
    types: frozenset[str]

    def extended(
        self, *, tables: Iterable[tuple[str, str]], table_functions: Iterable[tuple[str, str]]
    ) -> Allowed:
        """The same, with tables and table functions of a catalog added."""
        return Allowed(
            self.functions,
            self.table_functions | {(lower(s), lower(n)) for s, n in table_functions},
            self.tables | {(lower(s), lower(n)) for s, n in tables},
            self.types,
        )


def lower(name: str) -> str:
    """A name in lower case, as DuckDB compares names: only the letters A to Z have two cases.

    Two names that another folding takes for equal (`ß` and `ss`) are two for DuckDB, and the second
    may be the name of a file.
    """
    return name.translate(_LOWER)


@cache
def builtin() -> Allowed:
    """What DuckDB has and clients may use, from ``allowed.toml``."""
    data = tomllib.loads(files(__package__).joinpath("allowed.toml").read_text("utf-8"))
    return Allowed(
        frozenset(lower(name) for names in data["functions"].values() for name in names),
        frozenset(("", lower(n)) for names in data["table_functions"].values() for n in names),
        frozenset((schema, name) for schema, names in data["tables"].items() for name in names),
        frozenset(name for names in data["types"].values() for name in names),
    )
