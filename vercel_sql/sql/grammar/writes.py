"""INSERT, DELETE and the writes that only need to be refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from vercel_sql.errors import SQLSyntaxError
from vercel_sql.sql.dialect import Kind
from vercel_sql.sql.fragments import Fragment
from vercel_sql.sql.grammar.reader import Reader
from vercel_sql.sql.statements import (
    CopyFrom,
    Delete,
    Insert,
    Merge,
    Statement,
    Truncate,
    Update,
    Write,
)

_W = TypeVar("_W", bound=Write)


def read_write(reader: Reader, with_clause: Fragment | None = None) -> Statement | None:
    """Read a statement that writes to a table; None if it is none, or names no table."""
    if reader.take("INSERT"):
        return _insert(reader, with_clause)
    if reader.take("DELETE", "FROM"):
        return _delete(reader, with_clause)
    if reader.take("UPDATE"):
        return _other(reader, Update)
    if reader.take("MERGE", "INTO"):
        return _other(reader, Merge)
    if reader.take("TRUNCATE"):
        _skip_before_name(reader, "TABLE")
        return _other(reader, Truncate)
    if reader.take("COPY"):
        return _copy(reader)
    return None


def read_with(reader: Reader) -> Statement | None:
    """Read WITH and the write after it; None if it is not a write that comes after it."""
    start = reader.index
    if not reader.take("WITH"):
        return None
    reader.take("RECURSIVE")
    while _table_expression(reader):
        if not reader.take_symbol(","):
            return read_write(reader, reader.since(start))
    return None


def _table_expression(reader: Reader) -> bool:
    """Read ``name (columns) USING KEY (columns) AS [NOT] MATERIALIZED (query)``."""
    if reader.identifier() is None:
        return False
    reader.brackets()
    if reader.take("USING", "KEY"):
        reader.brackets()
    if not reader.take("AS"):
        return False
    reader.take("NOT")
    reader.take("MATERIALIZED")
    return reader.brackets()


def _insert(reader: Reader, with_clause: Fragment | None) -> Insert | None:
    or_action: Literal["REPLACE", "IGNORE"] | None = None
    if reader.take("OR", "REPLACE"):
        or_action = "REPLACE"
    elif reader.take("OR", "IGNORE"):
        or_action = "IGNORE"
    target = reader.name() if reader.take("INTO") else None
    if target is None:
        return None

    def make(**clauses: Any) -> Insert:
        return Insert(
            fragment=reader.statement,
            target=target,
            with_clause=with_clause,
            or_action=or_action,
            **clauses,
        )

    return _well_formed_or_not(reader, _insert_clauses, make)


def _insert_clauses(reader: Reader) -> dict[str, Any]:
    clauses: dict[str, Any] = {}
    if reader.take("AS"):
        clauses["alias"] = _expect_identifier(reader, "an alias after AS")
    if reader.take("BY", "NAME"):
        clauses["by_name"] = True
    else:
        reader.take("BY", "POSITION")
    clauses["columns"] = _columns(reader)
    if reader.take("DEFAULT", "VALUES"):
        clauses["default_values"] = True
    else:
        source = reader.until(_after_source)
        if source is None or source.lexemes[0].upper == "OVERRIDING":
            raise _expected_at(reader, source, "a query or VALUES")
        clauses["source"] = source
    if reader.clause("ON", "CONFLICT"):
        clauses["on_conflict"] = True
        reader.until(lambda at: at.clause("RETURNING"))
    clauses["returning"] = _returning(reader)
    return clauses


def _after_source(reader: Reader) -> bool:
    return reader.clause("RETURNING") or reader.clause("ON", "CONFLICT")


def _columns(reader: Reader) -> tuple[str, ...] | None:
    """Read a list of columns; None, and nothing is read, if it is a query in parentheses."""
    start = reader.index
    columns: list[str] = []
    if reader.take_symbol("("):
        while (column := reader.identifier()) is not None:
            columns.append(column)
            if not reader.take_symbol(","):
                break
        if columns and reader.take_symbol(")"):
            if reader.at_end or _after_source(reader):
                raise reader.expected("a query or VALUES")
            return tuple(columns)
    reader.index = start
    return None


def _delete(reader: Reader, with_clause: Fragment | None) -> Delete | None:
    _skip_before_name(reader, "ONLY")
    target = reader.name()
    if target is None:
        return None

    def make(**clauses: Any) -> Delete:
        return Delete(fragment=reader.statement, target=target, with_clause=with_clause, **clauses)

    return _well_formed_or_not(reader, _delete_clauses, make)


def _delete_clauses(reader: Reader) -> dict[str, Any]:
    clauses: dict[str, Any] = {}
    if reader.take("AS"):
        clauses["alias"] = _expect_identifier(reader, "an alias after AS")
    elif reader.word() not in ("USING", "WHERE", "RETURNING"):
        clauses["alias"] = reader.identifier()
    if reader.take("USING"):
        clauses["using"] = reader.until(lambda at: at.clause("WHERE") or at.clause("RETURNING"))
        if clauses["using"] is None:
            raise reader.expected("a table after USING")
    if reader.take("WHERE"):
        clauses["where"] = reader.until(lambda at: at.clause("RETURNING"))
        if clauses["where"] is None:
            raise reader.expected("a predicate after WHERE")
    clauses["returning"] = _returning(reader)
    return clauses


def _returning(reader: Reader) -> Fragment | None:
    """Read RETURNING and all that follows, or else the end of the statement."""
    if reader.take("RETURNING"):
        returning = reader.rest()
        if returning is None:
            raise reader.expected("a column or expression after RETURNING")
        return returning
    if not reader.at_end:
        raise reader.expected("WHERE, RETURNING or the end of the statement")
    return None


def _other(reader: Reader, kind: type[Write]) -> Write | None:
    target = reader.name()
    return kind(fragment=reader.statement, target=target) if target else None


def _copy(reader: Reader) -> CopyFrom | None:
    target = reader.name()
    if target is None:
        return None
    reader.brackets()
    return CopyFrom(fragment=reader.statement, target=target) if reader.take("FROM") else None


def _skip_before_name(reader: Reader, word: str) -> None:
    """Read a word that is optional before a name, unless it is the name itself."""
    after = reader.peek(1)
    names_follow = after is not None and after.kind in (Kind.WORD, Kind.QUOTED)
    if names_follow and reader.word(1) not in ("USING", "WHERE", "RETURNING", "AS"):
        reader.take(word)


def _well_formed_or_not(
    reader: Reader, read: Callable[[Reader], dict[str, Any]], make: Callable[..., _W]
) -> _W:
    """The statement with its clauses, or with what is wrong with them."""
    try:
        return make(**read(reader))
    except SQLSyntaxError as error:
        return make(malformed=str(error))


def _expect_identifier(reader: Reader, what: str) -> str:
    identifier = reader.identifier()
    if identifier is None:
        raise reader.expected(what)
    return identifier


def _expected_at(reader: Reader, found: Fragment | None, what: str) -> SQLSyntaxError:
    """The error that something else was expected where `found` begins."""
    if found:
        reader.index = found.first
    return reader.expected(what)
