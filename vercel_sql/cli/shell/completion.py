"""Completion of what is typed, from DuckDB's catalog and the manifest; no request is ever sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import NamedTuple

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from vercel_sql import Connection
from vercel_sql.cli.shell.commands import DotCommand
from vercel_sql.cli.shell.names import (
    Catalog,
    Named,
    Path,
    Relation,
    Vocabulary,
    Words,
    folded,
    methods,
    resource_at,
    resources,
)
from vercel_sql.cli.shell.prompt import split
from vercel_sql.manifest import Method, Parameter
from vercel_sql.redaction.names import word_set
from vercel_sql.sql.tokens import STRINGS, Kind, Lexeme, TokenError, flat, scan, tokenize

_STARTS = [
    *("SELECT", "FROM", "WITH", "INSERT INTO", "DELETE FROM", "UPDATE", "EXEC", "EXPLAIN"),
    *("SHOW", "DESCRIBE", "SUMMARIZE", "USE", "SET", "RESET", "PRAGMA", "CALL", "COPY"),
    *("CREATE", "ALTER", "DROP", "ATTACH", "DETACH", "BEGIN", "COMMIT", "ROLLBACK", "VALUES"),
    *("PIVOT", "UNPIVOT", "PREPARE", "EXECUTE", "LOAD", "INSTALL", "VACUUM", "CHECKPOINT"),
    *("EXPORT", "IMPORT", "MERGE INTO", "TRUNCATE", "ANALYZE", "COMMENT ON", "DEALLOCATE"),
]
_PHRASES = ["GROUP BY", "ORDER BY", "PARTITION BY"]
_SHOWS = ["SERVICES IN", "RESOURCES IN", "METHODS IN", "INSERT INTO", "EXTENDED"]
_SHOWS += ["TABLES", "ALL TABLES", "DATABASES"]  # DuckDB's
_SYSTEM = frozenset(["information_schema", "pg_catalog"])
_NAMES = (Kind.WORD, Kind.QUOTED)
_BEFORE_TABLES = word_set("FROM JOIN INTO UPDATE TABLE USING SUMMARIZE DESCRIBE DESC")
_AFTER_TABLES = word_set("""
    EXCEPT HAVING INTERSECT LIMIT QUALIFY RETURNING SELECT SET TABLESAMPLE UNION VALUES WHERE
""") | {"GROUP BY", "ORDER BY"}
_NO_ALIASES = _AFTER_TABLES | word_set("""
    ANTI ASOF CROSS FULL INNER JOIN LEFT NATURAL ON POSITIONAL RIGHT SEMI USING
""")
_BEFORE_VALUES = word_set("BETWEEN BY DISTINCT ESCAPE IF RETURNING SET VALUES")


class Mention(NamedTuple):
    """A table that a statement names, qualified or not, and its alias or else its own name."""

    parts: Path
    alias: str


@dataclass(frozen=True)
class Context:
    """The cursor's place in its statement."""

    before: Sequence[Lexeme]  # the statement's tokens before what is being typed
    whole: Sequence[Lexeme]  # and those after the cursor
    qualifiers: Path = ()  # the parts of a name before a dot at the cursor
    typed: str = ""  # the word so far
    is_quoted: bool = False  # whether it is a name with an open quote

    def word(self, back: int = 1) -> str:
        """The last token before the cursor, or an earlier one; words in upper case."""
        if back > len(self.before):
            return ""
        lexeme = self.before[-back]
        return lexeme.upper or lexeme.raw

    @property
    def statement(self) -> tuple[str, ...]:
        """The words before the cursor, without a leading EXPLAIN."""
        words = tuple(each.upper or each.raw for each in self.before)
        while words[:1] in (("EXPLAIN",), ("ANALYZE",)):
            words = words[1:]
        return words

    def names_table(self) -> bool:
        return len(self.before) - 1 in _before_tables(self.before)

    def insert_target(self) -> tuple[Path, frozenset[str]] | None:
        """The table and the columns so far, if the cursor is in INSERT's list of columns."""
        for index, lexeme in enumerate(self.before):
            if lexeme.upper != "INTO" or index == 0 or self.before[index - 1].upper != "INSERT":
                continue
            parts, after = name_at(self.before, index + 1)
            if after < len(self.before) and self.before[after].upper == "AS":
                after += 2
            inside = self.before[after + 1 :]
            opened = after < len(self.before) and self.before[after].raw == "("
            if parts and opened and all(e.kind in _NAMES or e.raw == "," for e in inside):
                if self.word() not in ("(", ","):
                    return None
                return parts, frozenset(e.value.casefold() for e in inside if e.kind in _NAMES)
        return None

    def common_tables(self) -> list[str]:
        here = self.whole if "WITH" in self.statement else ()
        return [
            name.value
            for name, word, opening in zip(here, here[1:], here[2:], strict=False)
            if name.kind in _NAMES and word.upper == "AS" and opening.raw == "("
        ]

    def mentions(self) -> list[Mention]:
        found = [name_at(self.whole, index + 1) for index in _before_tables(self.whole)]
        return [Mention(p, _alias(self.whole, after) or p[-1]) for p, after in found if p]


def _before_tables(lexemes: Sequence[Lexeme]) -> list[int]:
    """The indices of the words and commas that a table's name may follow."""
    found: list[int] = []
    listing: set[int] = set()  # the depths of brackets at which a comma continues a list of tables
    for index, (depth, lexeme) in enumerate(flat(lexemes)):
        listing = {each for each in listing if each <= depth}
        if lexeme.upper in _BEFORE_TABLES:
            listing.add(depth)
            found.append(index)
        elif lexeme.raw == "," and depth in listing:
            found.append(index)
        elif lexeme.upper in _AFTER_TABLES:
            listing.discard(depth)
    return found


def name_at(lexemes: Sequence[Lexeme], index: int) -> tuple[Path, int]:
    """The parts of the name at an index, which may be none, and the index after it."""
    parts: list[str] = []
    while (
        index < len(lexemes) and lexemes[index].kind in _NAMES and " " not in lexemes[index].upper
    ):
        parts.append(lexemes[index].value)
        index += 1
        if index >= len(lexemes) or lexemes[index].raw != ".":
            break
        index += 1
    return tuple(parts), index


def _alias(lexemes: Sequence[Lexeme], index: int) -> str | None:
    if index < len(lexemes) and lexemes[index].raw == "(":
        depths = flat(lexemes[index:])
        index += next((at + 1 for at, (d, e) in enumerate(depths) if at and d == 0), len(lexemes))
    if index < len(lexemes) and lexemes[index].upper == "AS":
        index += 1
    if index < len(lexemes) and lexemes[index].kind in _NAMES:
        lexeme = lexemes[index]
        return None if lexeme.upper in _NO_ALIASES or " " in lexeme.upper else lexeme.value
    return None


def read_context(text: str, position: int) -> Context | None:
    """The cursor's place; None if nothing can be completed, as in a string or comment."""
    before = text[:position]
    quoting = scan(before)
    opened = ""
    if quoting.unfinished == "a quoted name":
        opened = before[quoting.opened + 1 :]
        before = before[: quoting.opened]
    elif quoting.unfinished:
        return None
    lexemes = _tokens(before)
    if lexemes is None or _in_comment(before):
        return None
    typed = opened
    if not opened and lexemes and lexemes[-1].end == len(before):
        last = lexemes[-1]
        if last.kind is Kind.WORD and " " not in last.upper:
            typed = last.raw
            lexemes = lexemes[:-1]
            if _touches_value(lexemes, last.start):
                return None
        elif last.kind is not Kind.SYMBOL:
            return None
    start = max((at + 1 for at, each in enumerate(lexemes) if each.raw == ";"), default=0)
    here = lexemes[start:]
    everything = _tokens(before + text[position:]) or lexemes  # the rest may be broken
    parts: list[str] = []
    while len(here) >= 2 and here[-1].raw == "." and here[-2].kind in _NAMES:
        parts.insert(0, here[-2].value)
        here = here[:-2]
    if here and (
        here[-1].raw in (".", "$", ":", "?") or [each.raw for each in here[-2:]] == ["{", "{"]
    ):
        return None
    return Context(
        before=tuple(here),
        whole=tuple(takewhile(lambda each: each.raw != ";", everything[start:])),
        qualifiers=tuple(parts),
        typed=typed,
        is_quoted=quoting.unfinished is not None,
    )


def _tokens(text: str) -> list[Lexeme] | None:
    try:
        return tokenize(text)
    except TokenError:
        return None


def _in_comment(before: str) -> bool:
    longer = _tokens(before + "x")
    return not longer or longer[-1].end != len(before) + 1


def _touches_value(lexemes: Sequence[Lexeme], start: int) -> bool:
    values = (*STRINGS, Kind.NUMBER, Kind.QUOTED)
    return bool(lexemes) and lexemes[-1].end == start and lexemes[-1].kind in values


def is_operand_next(context: Context, reserved: frozenset[str]) -> bool:
    """Whether a value is next, and not an operator or clause."""
    if not context.before:
        return False
    last = context.before[-1]
    if last.kind in STRINGS or last.kind in (Kind.NUMBER, Kind.QUOTED):
        return False
    if last.raw == "*":
        return context.word(2) not in ("SELECT", "DISTINCT", ",", "(", ".")
    if last.kind is Kind.SYMBOL:
        return last.raw not in (")", "]", "}")
    return " " in last.upper or last.raw.casefold() in reserved or last.upper in _BEFORE_VALUES


class ShellCompleter(Completer):
    """Completes statements and dot commands, the likeliest first; any thread may ask."""

    def __init__(self, connection: Connection, dot_commands: Sequence[DotCommand]) -> None:
        self._vocabulary = Vocabulary(connection.native)
        self._dot_commands = dot_commands

        self.refresh = self._vocabulary.refresh

    def get_completions(
        self,
        document: Document,
        complete_event: CompleteEvent,  # noqa: ARG002 - the base class has it
    ) -> Iterator[Completion]:
        before = document.text_before_cursor
        if _is_command(before):
            yield from self._of_command(document.current_line_before_cursor)
            return
        context = read_context(document.text, document.cursor_position)
        if context is None:
            return
        seen: set[str] = set()
        for text, about, is_name in _Suggestions(context, *self._vocabulary.now()).all():
            begins = text.strip("'\"").casefold().startswith(context.typed.casefold())
            if not begins or text in seen or (context.is_quoted and not is_name):
                continue
            seen.add(text)
            if context.is_quoted and not text.startswith('"'):
                text = f'"{text}"'
            length = len(context.typed) + context.is_quoted
            yield Completion(text, -length, display_meta=about)

    def _of_command(self, line: str) -> Iterator[Completion]:
        name, blank, argument = line.lstrip().partition(" ")
        argument = argument.lstrip()
        for command in self._dot_commands:
            if not blank and command.name.startswith(name.casefold()):
                yield Completion(command.name, -len(name), display_meta=command.help)
            for choice in command.choices if blank and command.name == name.casefold() else ():
                if choice.startswith(argument.casefold()):
                    yield Completion(choice, -len(argument))


def _is_command(before: str) -> bool:
    line = before.rpartition("\n")[2].strip()
    if not line.startswith("."):
        return False
    entries = split(before)
    return bool(entries) and entries[-1].is_command and entries[-1].text == line


class _Suggestions:
    """What may stand at the cursor."""

    def __init__(self, context: Context, catalog: Catalog, words: Words) -> None:
        self._context = context
        self._typed = context.typed
        self._qualifiers = context.qualifiers
        self._catalog = catalog
        self._words = words

    def all(self) -> Iterator[Named]:
        context = self._context
        statement = context.statement
        first = statement[0] if statement else ""
        if not statement:  # whose EXPLAIN may stand before
            yield from self._keywords([*_STARTS, *(["ANALYZE"] if context.before else [])])
        elif first == "EXEC":
            yield from self._exec()
            if context.word() not in ("@", "EXEC") and not self._qualifiers:
                yield from self._functions()
        elif first == "SHOW":
            yield from self._show()
        elif first == "USE":
            yield from self._use()
        elif first in ("DESC", "DESCRIBE") and len(statement) <= 2:
            yield from self._describe()
        elif first in ("SET", "RESET", "PRAGMA"):
            yield from self._settings()
        else:
            yield from self._in_query()

    def _in_query(self) -> Iterator[Named]:
        context = self._context
        if context.names_table():
            yield from self._tables()
        elif target := context.insert_target():
            yield from self._columns_to_insert(*target)
        elif context.word() == "::":
            yield from self._keywords(self._words.types, "type")
        elif self._qualifiers:
            yield from self._qualified_columns()
        else:
            if is_operand_next(context, self._words.reserved):
                mentions = context.mentions()
                yield from self._names(c for each in mentions for c in self._columns_of(each))
                yield from self._names(Named(each.alias, "table") for each in mentions)
                yield from self._functions()
            if self._typed:
                yield from self._keywords([*self._words.keywords, *_PHRASES])

    def _exec(self) -> Iterator[Named]:
        context = self._context
        start = next(at for at, each in enumerate(context.before) if each.upper == "EXEC") + 1
        if start == len(context.before):
            yield from self._paths((path, method.description) for path, method in methods())
            return
        method = self._catalog.method(name_at(context.before, start)[0])
        if method is None or self._qualifiers:
            return
        left = [Named(each.name, _about(each)) for each in self._parameters_left(method)]
        if context.word() == "@":
            is_json = context.word(2) == "@"
            whole = [Named("json", "all arguments as one JSON object")]
            yield from whole if is_json else left
        elif context.word() == "=":
            yield from self._values(method.parameter(context.before[-2].value))
        elif not self._typed:
            yield from (Named(f"@{each.name}", each.about) for each in left)

    def _parameters_left(self, method: Method) -> list[Parameter]:
        context = self._context
        # What is being typed is not an argument yet.
        after = context.whole[len(context.before) + bool(self._typed) :]
        given = _arguments(context.before) | _arguments(after)
        return [p for p in (*method.required, *method.optional) if p.name.casefold() not in given]

    def _values(self, parameter: Parameter | None) -> Iterator[Named]:
        if parameter is None:
            return
        values = [f"'{value}'" for value in parameter.allowed]
        values += ["true", "false"] if parameter.type == "BOOLEAN" else []
        yield from (Named(value, parameter.description) for value in values)

    def _show(self) -> Iterator[Named]:
        match [word for word in self._context.statement[1:] if word != "EXTENDED"]:
            case []:
                yield from self._keywords(_SHOWS)
            case ["INSERT"]:
                yield from self._keywords(["INTO"])
            case ["SERVICES" | "RESOURCES" | "METHODS"]:
                yield from self._keywords(["IN"])
            case ["SERVICES", "IN"]:
                yield from self._paths((path[:1], "catalog") for path, _ in resources())
            case ["RESOURCES", "IN"]:
                yield from self._paths((path[:2], "service") for path, _ in resources())
            case ["METHODS", "IN"] | ["INSERT", "INTO"]:
                yield from self._paths((path, each.description) for path, each in resources())

    def _describe(self) -> Iterator[Named]:
        if self._context.word() == "METHOD":
            yield from self._paths((path, method.description) for path, method in methods())
            return
        yield from self._tables()
        if self._context.word() != "EXTENDED" and not self._qualifiers:
            yield from self._keywords(["EXTENDED", "METHOD"])

    def _settings(self) -> Iterator[Named]:
        first, *said = self._context.statement
        if self._qualifiers or said not in ([], ["GLOBAL"], ["SESSION"], ["LOCAL"]):
            return
        if not said and first != "PRAGMA":
            yield from self._keywords(["VARIABLE", "GLOBAL", "SESSION"])
        yield from self._names(self._words.settings)
        if first == "PRAGMA":
            yield from self._names(self._words.pragmas)

    def _use(self) -> Iterator[Named]:
        if len(self._context.statement) == 1:
            yield from self._databases()
            yield from self._names(self._catalog.schemas_in(self._qualifiers))

    def _tables(self) -> Iterator[Named]:
        """Tables, databases and schemas, and if they may stand here table functions."""
        context, catalog = self._context, self._catalog
        with_functions = context.word() in ("FROM", "JOIN", ",") and context.word(2) != "DELETE"
        scopes = catalog.scopes(self._qualifiers)
        relations = catalog.tables | (catalog.functions if with_functions else {})
        found = [Named(r.path[2], r.about) for path, r in relations.items() if path[:2] in scopes]
        if not self._qualifiers:
            found += [Named(name, "WITH") for name in context.common_tables()]
        # Names with a leading underscore are seldom wanted.
        found.sort(key=lambda each: (each.name.startswith("_"), each.name.casefold()))
        yield from self._names(found)
        yield from self._databases()
        schemas = self._catalog.schemas_in(self._qualifiers)
        yield from self._names(each for each in schemas if each.name not in _SYSTEM)
        if with_functions and self._typed and not self._qualifiers:
            yield from self._names(self._words.table_functions)

    def _databases(self) -> Iterator[Named]:
        if not self._qualifiers:
            yield from self._names(Named(name, "database") for name in self._catalog.databases)

    def _columns_to_insert(self, parts: Path, given: frozenset[str]) -> Iterator[Named]:
        relation = self._catalog.find(parts)
        if relation is None:
            return
        if (resource := resource_at(relation.path)) is None:
            found = [each for each in relation.columns if each.name.casefold() not in given]
        else:
            creators = resource.of_verb("insert")
            parameters = [p for method in creators for p in method.required]
            parameters += [p for method in creators for p in method.optional]
            found = [
                Named(each.name, _about(each))
                for each in parameters
                if given.isdisjoint(folded([each.name, f"data__{each.name}"]))
            ]
        yield from self._names(found)

    def _columns_of(self, mention: Mention) -> list[Named]:
        relation = self._catalog.find(mention.parts)
        return [] if relation is None else [*self._written_columns(relation), *relation.columns]

    def _written_columns(self, relation: Relation) -> Iterator[Named]:
        """What a created row also returns, and what a DELETE also takes."""
        resource, said = resource_at(relation.path), self._context.statement
        if resource is None:
            return
        if "RETURNING" in said and "INSERT" in said:
            for method in resource.of_verb("insert"):
                yield from (Named(each.name, each.description) for each in method.returns)
        elif "DELETE" in said:
            for method in resource.of_verb("delete"):
                yield from (Named(each.name, each.description) for each in method.given)

    def _qualified_columns(self) -> Iterator[Named]:
        wanted = folded(self._qualifiers)
        for mention in self._context.mentions():
            if wanted in (folded([mention.alias]), folded(mention.parts)[-len(wanted) :]):
                yield from self._names(self._columns_of(mention))

    def _functions(self) -> Iterator[Named]:
        if self._typed and not self._context.is_quoted:  # there are too many otherwise
            yield from self._names(self._words.functions)

    def _keywords(self, keywords: Iterable[str], about: str = "keyword") -> Iterator[Named]:
        """Keywords, in the case of what was typed."""
        for each in keywords:
            text = each.lower() if self._typed.islower() else each.upper()
            yield Named(text, about, is_name=False)

    def _names(self, names: Iterable[Named]) -> Iterator[Named]:
        yield from (Named(self._words.written(each.name), each.about) for each in names)

    def _paths(self, paths: Iterable[tuple[Path, str]]) -> Iterator[Named]:
        """Full names, without what is typed already or what the search path adds."""
        before = folded(self._qualifiers)
        for path, about in dict.fromkeys(paths):
            for left in self._catalog.shortened(path):
                rest = left[len(before) :]
                if rest and folded(left[: len(before)]) == before:
                    yield Named(".".join(map(self._words.written, rest)), about)


def _arguments(lexemes: Sequence[Lexeme]) -> set[str]:
    return {
        name.value.casefold()
        for sign, name in pairwise(lexemes)
        if sign.raw == "@" and name.kind in (Kind.WORD, Kind.QUOTED)
    }


def _about(parameter: Parameter) -> str:
    required = "required " if parameter.required else ""
    return f"{required}{parameter.type}: {parameter.description}"
