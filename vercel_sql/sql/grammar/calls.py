"""EXEC and its arguments."""

from __future__ import annotations

from vercel_sql.errors import SQLSyntaxError
from vercel_sql.sql.dialect import Kind
from vercel_sql.sql.exec_json import JSONArgument, read_json
from vercel_sql.sql.fragments import Fragment
from vercel_sql.sql.grammar.reader import Reader
from vercel_sql.sql.statements import Argument, Exec


def read_exec(reader: Reader) -> Exec | None:
    """Read EXEC, a method and its arguments.

    Raises:
        SQLSyntaxError: they are malformed.
    """
    if not reader.take("EXEC"):
        return None
    name = reader.name()
    if name is None:
        raise reader.expected("the name of a method after EXEC")
    arguments: dict[str, Argument] = {}
    json: JSONArgument | None = None
    while not reader.at_end:
        _expect_argument(reader, first=not arguments and json is None)
        at = reader.index
        if _begins_json(reader):
            json = _json(reader, json)
        else:
            _add_argument(reader, arguments)
        if json and arguments:
            position = reader.since(at).position
            raise SQLSyntaxError(
                f"@@json stands for all arguments, so none can join it at {position}."
            )
        _separator(reader)
    given = tuple(arguments.values())
    return Exec(fragment=reader.statement, name=name, arguments=given, json=json)


def _expect_argument(reader: Reader, *, first: bool) -> None:
    if reader.symbol() != "@":
        what = "an argument such as @name = value"
        raise reader.expected(f"{what}, or the end of the statement," if first else what)


def _begins_json(reader: Reader) -> bool:
    sign, other = reader.peek(), reader.peek(1)
    return bool(sign and other and sign.raw == other.raw == "@" and sign.end == other.start)


def _json(reader: Reader, earlier: JSONArgument | None) -> JSONArgument:
    if earlier:
        again = reader.statement.slice(reader.index, reader.index + 1)
        raise SQLSyntaxError(f"@@json is given twice, at {again.position}.")
    reader.index += 2
    if not reader.take("JSON"):
        raise reader.expected("json after @@")
    return read_json(_value(reader, "@@json"))


def _add_argument(reader: Reader, earlier: dict[str, Argument]) -> None:
    """Read an argument, and put it to those that are there, by its name in lower case."""
    start = reader.index
    reader.take_symbol("@")
    name = reader.identifier()
    if name is None:
        raise reader.expected("the name of an argument after @")
    if name.lower() in earlier:
        raise SQLSyntaxError(f"@{name} is given twice, at {reader.since(start).position}.")
    earlier[name.lower()] = Argument(name, _value(reader, f"@{name}"))


def _value(reader: Reader, name: str) -> Fragment:
    """Read ``= expression``."""
    if not reader.take_symbol("="):
        raise reader.expected(f"= after {name}")
    first = reader.index
    if _begins_argument(reader) and _on_new_line(reader):
        raise reader.expected(f"a value for {name}")
    value = reader.until(lambda at: at.symbol() == "," or (at.index > first and _begins_next(at)))
    if value is None:
        raise reader.expected(f"a value for {name}")
    return value


def _begins_argument(reader: Reader) -> bool:
    """Whether ``@name =`` or ``@@name =`` stands here."""
    if reader.symbol() != "@":
        return False
    ahead = 2 if reader.symbol(1) == "@" else 1
    name = reader.peek(ahead)
    named = name is not None and name.kind in (Kind.WORD, Kind.QUOTED)
    return named and reader.symbol(ahead + 1) == "="


def _begins_next(reader: Reader) -> bool:
    """Whether the next argument begins here, with or without its comma.

    ``@`` is also DuckDB's absolute value, which can only stand where a value is still missing.
    """
    before = reader.peek(-1)
    if before is None or not _begins_argument(reader):
        return False
    return before.kind is not Kind.SYMBOL or before.raw in (")", "]", "}", "?")


def _on_new_line(reader: Reader) -> bool:
    """Whether what comes next is the first on its line."""
    before, here = reader.peek(-1), reader.peek()
    if before is None or here is None:
        return False
    between = reader.statement.script.source[before.end : here.start]
    return "\n" in between or "\r" in between


def _separator(reader: Reader) -> None:
    """Read what stands between two arguments: a comma, or the beginning of a line."""
    if reader.at_end:
        return
    if reader.take_symbol(","):
        if reader.at_end:
            raise reader.expected("another argument after the comma")
    elif not _on_new_line(reader):
        raise reader.expected("a comma between two arguments on one line")
