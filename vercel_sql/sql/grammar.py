"""Reads our own statements from their tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from vercel_sql.errors import SQLSyntaxError
from vercel_sql.sql.fragments import Fragment, Name
from vercel_sql.sql.json_arguments import JSONArgument, read_json
from vercel_sql.sql.statements import (
    Argument,
    CopyFrom,
    Delete,
    Describe,
    Exec,
    Insert,
    Merge,
    Show,
    Statement,
    Truncate,
    Update,
    Write,
)
from vercel_sql.sql.tokens import Kind, Lexeme

_T = TypeVar("_T")
_W = TypeVar("_W", bound=Write)
_DEPTH = {**dict.fromkeys("([{", 1), **dict.fromkeys(")]}", -1)}


class Reader:
    """Reads the tokens of a statement from first to last."""

    def __init__(self, statement: Fragment) -> None:
        self.statement = statement
        self.index = statement.first

    @property
    def at_end(self) -> bool:
        """Whether every token was read."""
        return self.index >= self.statement.stop

    def peek(self, ahead: int = 0) -> Lexeme | None:
        """The next token, or one after it; None where there is none."""
        index = self.index + ahead
        inside = self.statement.first <= index < self.statement.stop
        return self.statement.script.lexemes[index] if inside else None

    def word(self, ahead: int = 0) -> str:
        """The next token in upper case if it is a word, else nothing."""
        lexeme = self.peek(ahead)
        return lexeme.upper if lexeme else ""

    def symbol(self, ahead: int = 0) -> str:
        """The next token if it is a symbol, else nothing."""
        lexeme = self.peek(ahead)
        return lexeme.raw if lexeme and lexeme.kind is Kind.SYMBOL else ""

    def take(self, *words: str) -> bool:
        """Read these words if they are what comes next."""
        if any(self.word(ahead) != word for ahead, word in enumerate(words)):
            return False
        self.index += len(words)
        return True

    def take_symbol(self, symbol: str) -> bool:
        """Read this symbol if it is what comes next."""
        if self.symbol() != symbol:
            return False
        self.index += 1
        return True

    def identifier(self) -> str | None:
        """Read one part of a name; None, and nothing is read, if none comes next."""
        lexeme = self.peek()
        if lexeme is None or lexeme.kind not in (Kind.WORD, Kind.QUOTED) or " " in lexeme.upper:
            return None
        self.index += 1
        return lexeme.value

    def name(self) -> Name | None:
        """Read a name, qualified or not; None, and nothing is read, if none comes next."""
        start = self.index
        parts = [self.identifier()]
        while parts[-1] is not None and self.take_symbol("."):
            parts.append(self.identifier())
        found = tuple(part for part in parts if part is not None)
        if len(found) < len(parts):
            self.index = start
            return None
        return Name(found, self.since(start).text)

    def since(self, start: int) -> Fragment:
        """What was read since the token at an index."""
        return self.statement.slice(start, self.index)

    def until(self, stop: Callable[[Reader], bool]) -> Fragment | None:
        """Read up to where `stop` says so outside of brackets, or to the end."""
        start, depth = self.index, 0
        while not self.at_end and (depth > 0 or not stop(self)):
            depth += _DEPTH.get(self.symbol(), 0)
            self.index += 1
        return self.since(start) if self.index > start else None

    def rest(self) -> Fragment | None:
        """Read up to the end; None if nothing is left."""
        return self.until(lambda _: False)

    def brackets(self) -> bool:
        """Read a pair of parentheses and what is in them if it comes next."""
        if self.symbol() != "(":
            return False
        self.index += 1
        self.until(lambda reader: reader.symbol() == ")")
        return self.take_symbol(")")

    def clause(self, *words: str) -> bool:
        """Whether a clause of these words begins here, rather than that they name something."""
        if any(self.word(ahead) != word for ahead, word in enumerate(words)):
            return False
        return self.word(-1) != "AS" and self.symbol(-1) != "."

    def required(self, found: _T | None, what: str) -> _T:
        """What was read, or the error that it was expected."""
        if found is None:
            raise self.expected(what)
        return found

    def expected(self, what: str) -> SQLSyntaxError:
        """The error that something else was expected at the next token.

        The token itself is not shown: it may be a secret.
        """
        script = self.statement.script
        lexeme = self.peek()
        if lexeme is None:
            where = f"at the end of the statement, {script.position(self.statement.end)}"
        else:
            where = f"at {script.position(lexeme.start)}"
        return SQLSyntaxError(f"Expected {what} {where}.")


def read_write(reader: Reader, with_clause: Fragment | None = None) -> Statement | None:
    """Read a statement that writes to a table; None if it isn't one, or names no table."""
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

    known = {"target": target, "with_clause": with_clause, "or_action": or_action}
    return _write(reader, Insert, _insert_clauses, known)


def _insert_clauses(reader: Reader) -> dict[str, Any]:
    clauses: dict[str, Any] = {}
    if reader.take("AS"):
        clauses["alias"] = reader.required(reader.identifier(), "an alias after AS")
    if reader.take("BY", "NAME"):
        clauses["by_name"] = True
    else:
        reader.take("BY", "POSITION")
    clauses["columns"] = _columns(reader)
    if reader.take("DEFAULT", "VALUES"):
        clauses["default_values"] = True
    else:
        source = None if reader.word() == "OVERRIDING" else reader.until(_after_source)
        clauses["source"] = reader.required(source, "a query or VALUES")
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

    known = {"target": target, "with_clause": with_clause}
    return _write(reader, Delete, _delete_clauses, known)


def _delete_clauses(reader: Reader) -> dict[str, Any]:
    clauses: dict[str, Any] = {}
    if reader.take("AS"):
        clauses["alias"] = reader.required(reader.identifier(), "an alias after AS")
    elif reader.word() not in ("USING", "WHERE", "RETURNING"):
        clauses["alias"] = reader.identifier()
    if reader.take("USING"):
        using = reader.until(lambda at: at.clause("WHERE") or at.clause("RETURNING"))
        clauses["using"] = reader.required(using, "a table after USING")
    if reader.take("WHERE"):
        where = reader.until(lambda at: at.clause("RETURNING"))
        clauses["where"] = reader.required(where, "a predicate after WHERE")
    clauses["returning"] = _returning(reader)
    return clauses


def _returning(reader: Reader) -> Fragment | None:
    """Read RETURNING and all that follows, or else the end of the statement."""
    if reader.take("RETURNING"):
        return reader.required(reader.rest(), "a column or expression after RETURNING")
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


def _write(
    reader: Reader,
    kind: type[_W],
    read: Callable[[Reader], dict[str, Any]],
    known: dict[str, Any],
) -> _W:
    """A statement with its clauses, or with the error in them."""
    try:
        return kind(fragment=reader.statement, **known, **read(reader))
    except SQLSyntaxError as error:
        return kind(fragment=reader.statement, **known, malformed=str(error))


_KINDS: dict[str, Literal["services", "resources", "methods"]] = {
    "SERVICES": "services",
    "RESOURCES": "resources",
    "METHODS": "methods",
}


def read_show(reader: Reader) -> Show | None:
    """Read one of our SHOW statements; None if it is DuckDB's."""
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
    name = reader.required(reader.name(), f"a name such as {example}")
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


def read_exec(reader: Reader) -> Exec | None:
    """Read EXEC, a method and its arguments."""
    if not reader.take("EXEC"):
        return None
    name = reader.required(reader.name(), "the name of a method after EXEC")
    arguments: dict[str, Argument] = {}
    json: JSONArgument | None = None
    while not reader.at_end:
        if reader.symbol() != "@":
            end = "" if arguments or json else ", or the end of the statement,"
            raise reader.expected(f"an argument such as @name = value{end}")
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
    name = reader.required(reader.identifier(), "the name of an argument after @")
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
    return reader.required(value, f"a value for {name}")


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
