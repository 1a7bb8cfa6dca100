"""Scripts, read into their statements: our own from their tokens, DuckDB's as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeVar

from vercel_sql.errors import ParameterError, SQLSyntaxError
from vercel_sql.redaction.names import word_set
from vercel_sql.sql.fragments import Finder, Fragment, Name, Script
from vercel_sql.sql.parameters import JSONArgument, half_character, read_json
from vercel_sql.sql.statements import (
    Argument,
    CopyFrom,
    Delete,
    Describe,
    Exec,
    Explain,
    Insert,
    Merge,
    Native,
    Show,
    Statement,
    Truncate,
    Update,
    Write,
)
from vercel_sql.sql.tokens import Kind, Lexeme, TokenError, scan, tokenize

_T = TypeVar("_T")
_W = TypeVar("_W", bound=Write)
_DEPTH = {**dict.fromkeys("([{", 1), **dict.fromkeys(")]}", -1)}
_NAMES = (Kind.WORD, Kind.QUOTED)


def parse(text: str) -> list[Statement]:
    """Read a script into its statements, in order; comments alone are not a statement.

    A text that can't be read into tokens is one statement, for DuckDB to refuse.
    """
    if (at := half_character(text)) is not None:
        # DuckDB has no error for it: a command line that isn't UTF-8 has such characters.
        where = Script(text).position(at)
        raise SQLSyntaxError(f"The text has half a character (a lone surrogate) at {where}.")
    try:
        lexemes = tokenize(text)
    except TokenError:
        return [Native(fragment=Fragment(Script(text)), first_keyword="")]
    finder = Finder(lexemes)
    script = Script(text, lexemes, finder.placeholders, finder.templates)
    fragments = [Fragment(script, first, stop) for first, stop in _bounds(lexemes)]
    for fragment in fragments:
        # What PREPARE leaves open is for EXECUTE to fill.
        words = [lexeme.upper for lexeme in fragment.lexemes[:2]]
        prepares = "PREPARE" in (words[:1] if words[0] != "EXPLAIN" else words)
        finder.scan(fragment.first, fragment.stop, braces_only=prepares)
        for placeholder in fragment.placeholders if prepares else ():
            raise ParameterError(
                f"The placeholder {placeholder.written} can't stand in PREPARE: write "
                f"${placeholder.name} there, and give its value to EXECUTE."
            )
    return [_read(fragment) for fragment in fragments]


def complete(text: str) -> bool:
    """Whether a text ends with a semicolon that ends a statement: none in quotes or a comment."""
    found = scan(text)
    return found.unfinished is None and bool(found.lexemes) and found.lexemes[-1].raw == ";"


def _bounds(lexemes: Sequence[Lexeme]) -> Iterator[tuple[int, int]]:
    """The first token of each statement, and the one after it; there are no empty statements."""
    first = 0
    for index, lexeme in enumerate(lexemes):
        if lexeme.raw == ";":
            if first < index:
                yield first, index
            first = index + 1
    if first < len(lexemes):
        yield first, len(lexemes)


def _read(fragment: Fragment) -> Statement:
    reader = Reader(fragment)
    found = _explain(reader) if reader.take("EXPLAIN") else None
    return found or _read_plain(fragment)


def _read_plain(fragment: Fragment) -> Statement:
    """Read a statement that is not EXPLAIN, or that EXPLAIN can't explain."""
    keyword = fragment.lexemes[0].upper
    read = _READERS.get(keyword)
    found = read(Reader(fragment)) if read else None
    return found or Native(fragment=fragment, first_keyword=keyword)


class Reader:
    """Reads the tokens of a statement from first to last."""

    def __init__(self, statement: Fragment) -> None:
        self.statement = statement
        self.index = statement.first

    @property
    def at_end(self) -> bool:
        return self.index >= self.statement.stop

    def peek(self, ahead: int = 0) -> Lexeme | None:
        """The next token, or one after it; None where there is none."""
        index = self.index + ahead
        inside = self.statement.first <= index < self.statement.stop
        return self.statement.script.lexemes[index] if inside else None

    def word(self, ahead: int = 0) -> str:
        lexeme = self.peek(ahead)
        return lexeme.upper if lexeme else ""

    def symbol(self, ahead: int = 0) -> str:
        lexeme = self.peek(ahead)
        return lexeme.raw if lexeme and lexeme.kind is Kind.SYMBOL else ""

    def has(self, *words: str) -> bool:
        return all(self.word(ahead) == word for ahead, word in enumerate(words))

    def take(self, *words: str) -> bool:
        found = self.has(*words)
        self.index += len(words) if found else 0
        return found

    def take_symbol(self, symbol: str) -> bool:
        found = self.symbol() == symbol
        self.index += found
        return found

    def identifier(self) -> str | None:
        """Read one part of a name; None, and nothing is read, if none comes next."""
        lexeme = self.peek()
        if lexeme is None or lexeme.kind not in _NAMES or " " in lexeme.upper:
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
        return self.statement.slice(start, self.index)

    def until(self, stop: Callable[[Reader], bool]) -> Fragment | None:
        """Read up to where `stop` says so outside of brackets, or to the end."""
        start, depth = self.index, 0
        while not self.at_end and (depth > 0 or not stop(self)):
            depth += _DEPTH.get(self.symbol(), 0)
            self.index += 1
        return self.since(start) if self.index > start else None

    def rest(self) -> Fragment | None:
        return self.until(lambda _: False)

    def brackets(self) -> bool:
        """Read a pair of parentheses and what is in them if it comes next."""
        if not self.take_symbol("("):
            return False
        self.until(lambda reader: reader.symbol() == ")")
        return self.take_symbol(")")

    def clause(self, *words: str) -> bool:
        """Whether a clause of these words begins here, rather than that they name something."""
        return self.has(*words) and self.word(-1) != "AS" and self.symbol(-1) != "."

    def required(self, found: _T | None, what: str) -> _T:
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


def _explain(reader: Reader) -> Explain | None:
    analyze = reader.take("ANALYZE") or reader.take("ANALYSE")
    options = ""
    if reader.symbol() == "(" and reader.word(1) and reader.word(1) not in _QUERIES:
        start = reader.index
        if not reader.brackets():
            return None
        written = reader.since(start)
        options = written.text
        analyze = analyze or any(each.upper in ("ANALYZE", "ANALYSE") for each in written.lexemes)
    inner = reader.rest()
    if inner is None:
        return None
    return Explain(
        fragment=reader.statement,
        inner=_read_plain(inner),
        options_text=options,
        analyze=analyze,
    )


def _write(reader: Reader, with_clause: Fragment | None = None) -> Statement | None:
    """Read a statement that writes to a table; None if it isn't one, or names no table."""
    if reader.take("INSERT"):
        return _insert(reader, with_clause)
    if reader.take("DELETE", "FROM"):
        _skip_before_name(reader, "ONLY")
        return _clauses(reader, Delete, _delete_clauses, with_clause=with_clause)
    if reader.take("UPDATE"):
        return _clauses(reader, Update)
    if reader.take("MERGE", "INTO"):
        return _clauses(reader, Merge)
    if reader.take("TRUNCATE"):
        _skip_before_name(reader, "TABLE")
        return _clauses(reader, Truncate)
    if reader.take("COPY"):
        copied = _clauses(reader, CopyFrom)
        reader.brackets()
        return copied if reader.has("FROM") else None
    return None


def _clauses(
    reader: Reader,
    kind: type[_W],
    read: Callable[[Reader], dict[str, Any]] | None = None,
    **known: Any,
) -> _W | None:
    """A write with its target and clauses, or with the error in them; None without a target."""
    target = reader.name()
    if target is None:
        return None
    try:
        clauses = read(reader) if read else {}
    except SQLSyntaxError as error:
        clauses = {"malformed": str(error)}
    return kind(fragment=reader.statement, target=target, **known, **clauses)


def _with(reader: Reader) -> Statement | None:
    """Read WITH and the write after it; None if it is not a write that comes after it."""
    start = reader.index
    reader.take("WITH")
    reader.take("RECURSIVE")
    while _table_expression(reader):
        if not reader.take_symbol(","):
            return _write(reader, reader.since(start))
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
    actions = (action for action in ("REPLACE", "IGNORE") if reader.take("OR", action))
    known = {"with_clause": with_clause, "or_action": next(actions, None)}
    return _clauses(reader, Insert, _insert_clauses, **known) if reader.take("INTO") else None


def _insert_clauses(reader: Reader) -> dict[str, Any]:
    clauses: dict[str, Any] = {}
    if reader.take("AS"):
        clauses["alias"] = reader.required(reader.identifier(), "an alias after AS")
    clauses["by_name"] = reader.take("BY", "NAME")
    if not clauses["by_name"]:
        reader.take("BY", "POSITION")
    clauses["columns"] = _columns(reader)
    if not reader.take("DEFAULT", "VALUES"):
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


def _skip_before_name(reader: Reader, word: str) -> bool:
    """Read a word that is optional before a name, unless it is the name itself."""
    after = reader.peek(1)
    names_follow = after is not None and after.kind in _NAMES
    is_word = names_follow and reader.word(1) not in ("USING", "WHERE", "RETURNING", "AS")
    return is_word and reader.take(word)


_SHOWN: dict[str, Literal["services", "resources", "methods"]] = {
    "SERVICES": "services",
    "RESOURCES": "resources",
    "METHODS": "methods",
}


def _show(reader: Reader) -> Show | None:
    """Read one of our SHOW statements; None if it is DuckDB's."""
    reader.take("SHOW")
    extended = reader.word(1) in (*_SHOWN, "INSERT") and reader.take("EXTENDED")
    kind: Literal["services", "resources", "methods", "insert_into"]
    if reader.take("INSERT", "INTO"):
        kind, example = "insert_into", "vercel.authentication.user_tokens"
    elif reader.word() in _SHOWN and reader.word(1) == "IN":
        kind, example = _SHOWN[reader.word()], "vercel"
        reader.index += 2
    else:
        return None
    name = reader.required(reader.name(), f"a name such as {example}")
    if not reader.at_end:
        raise reader.expected("the end of the statement")
    return Show(fragment=reader.statement, kind=kind, name=name, extended=extended)


def _describe(reader: Reader) -> Describe | None:
    """Read DESCRIBE of a name; None if it is of anything else, which DuckDB can do."""
    reader.index += 1
    extended = _skip_before_name(reader, "EXTENDED")
    method = _skip_before_name(reader, "METHOD")
    name = reader.name()
    if name is None or not reader.at_end:
        return None
    return Describe(fragment=reader.statement, name=name, extended=extended, method=method)


def _exec(reader: Reader) -> Exec:
    reader.take("EXEC")
    name = reader.required(reader.name(), "the name of a method after EXEC")
    arguments: dict[str, Argument] = {}
    json: JSONArgument | None = None
    while not reader.at_end:
        start = reader.index
        if not reader.take_symbol("@"):
            end = "" if arguments or json else ", or the end of the statement,"
            raise reader.expected(f"an argument such as @name = value{end}")
        if reader.symbol() == "@" and not _gap(reader):
            json = _json(reader, json)
        else:
            _add_argument(reader, arguments)
        if json and arguments:
            position = reader.since(start).position
            raise SQLSyntaxError(
                f"@@json stands for all arguments, so none can join it at {position}."
            )
        _separator(reader)
    given = tuple(arguments.values())
    return Exec(fragment=reader.statement, name=name, arguments=given, json=json)


def _json(reader: Reader, earlier: JSONArgument | None) -> JSONArgument:
    if earlier:
        again = reader.statement.slice(reader.index - 1, reader.index)
        raise SQLSyntaxError(f"@@json is given twice, at {again.position}.")
    reader.take_symbol("@")
    if not reader.take("JSON"):
        raise reader.expected("json after @@")
    return read_json(_value(reader, "@@json"))


def _add_argument(reader: Reader, earlier: dict[str, Argument]) -> None:
    """Read an argument, and put it to those that are there, by its name in lower case."""
    sign = reader.index - 1
    name = reader.required(reader.identifier(), "the name of an argument after @")
    if name.lower() in earlier:
        raise SQLSyntaxError(f"@{name} is given twice, at {reader.since(sign).position}.")
    earlier[name.lower()] = Argument(name, _value(reader, f"@{name}"))


def _value(reader: Reader, name: str) -> Fragment:
    if not reader.take_symbol("="):
        raise reader.expected(f"= after {name}")
    first = reader.index
    if _begins_argument(reader) and _begins_line(reader):
        raise reader.expected(f"a value for {name}")
    value = reader.until(lambda at: at.symbol() == "," or (at.index > first and _begins_next(at)))
    return reader.required(value, f"a value for {name}")


def _begins_argument(reader: Reader) -> bool:
    """Whether ``@name =`` or ``@@name =`` stands here."""
    ahead = 2 if reader.symbol(1) == "@" else 1
    name = reader.peek(ahead)
    is_name = name is not None and name.kind in _NAMES
    return reader.symbol() == "@" and is_name and reader.symbol(ahead + 1) == "="


def _begins_next(reader: Reader) -> bool:
    """Whether the next argument begins here, with or without its comma.

    ``@`` is also DuckDB's absolute value, which can only stand where a value is still missing.
    """
    before = reader.peek(-1)
    if before is None or not _begins_argument(reader):
        return False
    return before.kind is not Kind.SYMBOL or before.raw in (")", "]", "}", "?")


def _gap(reader: Reader) -> str:
    """What stands between the last token and the next: blanks and comments."""
    before, here = reader.peek(-1), reader.peek()
    if before is None or here is None:
        return ""
    return reader.statement.script.source[before.end : here.start]


def _begins_line(reader: Reader) -> bool:
    return not {"\n", "\r"}.isdisjoint(_gap(reader))


def _separator(reader: Reader) -> None:
    """Read what stands between two arguments: a comma, or the beginning of a line."""
    if reader.at_end:
        return
    if reader.take_symbol(","):
        if reader.at_end:
            raise reader.expected("another argument after the comma")
    elif not _begins_line(reader):
        raise reader.expected("a comma between two arguments on one line")


_READERS: dict[str, Callable[[Reader], Statement | None]] = {
    **dict.fromkeys(["INSERT", "DELETE", "UPDATE", "MERGE", "TRUNCATE", "COPY"], _write),
    **dict.fromkeys(["DESCRIBE", "DESC"], _describe),
    "WITH": _with,
    "EXEC": _exec,
    "SHOW": _show,
}
_QUERIES = word_set("DESCRIBE FROM PIVOT SELECT SHOW SUMMARIZE TABLE UNPIVOT VALUES WITH")
"""Words that begin a query in parentheses, where EXPLAIN's options could stand."""
