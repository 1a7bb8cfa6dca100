"""SHOW and DESCRIBE of services, resources and methods."""

from __future__ import annotations

from typing import Literal

from vercel_sql.sql.grammar.reader import Reader
from vercel_sql.sql.statements import Describe, Show

_KINDS: dict[str, Literal["services", "resources", "methods"]] = {
    "SERVICES": "services",
    "RESOURCES": "resources",
    "METHODS": "methods",
}


def read_show(reader: Reader) -> Show | None:
    """Read a SHOW of ours; None if it is DuckDB's.

    Raises:
        SQLSyntaxError: it is ours, and malformed.
    """
    if not reader.take("SHOW"):
        return None
    extended = reader.word(1) in (*_KINDS, "INSERT") and reader.take("EXTENDED")
    kind: Literal["services", "resources", "methods", "insert_into"]
    if reader.take("INSERT", "INTO"):
        kind, example = "insert_into", "vercel.authentication.user_tokens"
    elif reader.word() in _KINDS and reader.word(1) == "IN":
        kind, example = _KINDS[reader.word()], "vercel"
        reader.index += 2
    else:
        return None
    name = reader.name()
    if name is None:
        raise reader.expected(f"a name such as {example}")
    if not reader.at_end:
        raise reader.expected("the end of the statement")
    return Show(fragment=reader.statement, kind=kind, name=name, extended=extended)


def read_describe(reader: Reader) -> Describe | None:
    """Read DESCRIBE of a name; None if it is of anything else, which DuckDB can do."""
    if not (reader.take("DESCRIBE") or reader.take("DESC")):
        return None
    extended = _takes_before_name(reader, "EXTENDED")
    method = _takes_before_name(reader, "METHOD")
    name = reader.name()
    if name is None or not reader.at_end:
        return None
    return Describe(fragment=reader.statement, name=name, extended=extended, method=method)


def _takes_before_name(reader: Reader, word: str) -> bool:
    """Read a word, unless it is itself the name that is described."""
    is_name = reader.peek(1) is None or reader.symbol(1) == "."
    return not is_name and reader.take(word)
