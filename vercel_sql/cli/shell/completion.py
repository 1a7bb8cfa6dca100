"""Completion of what is typed, from DuckDB's catalog and the manifest; no request is ever sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from vercel_sql import Connection
from vercel_sql.cli.shell.commands import DotCommand
from vercel_sql.cli.shell.context import Context, Mention, is_operand_next, name_at, read_context
from vercel_sql.cli.shell.entries import split
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
from vercel_sql.manifest import Method, Parameter
from vercel_sql.sql.tokens import Kind, Lexeme

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


class ShellCompleter(Completer):
    """Completes statements and dot commands; any thread may ask.

    Args:
        connection: the connection whose catalog is completed from.
        dot_commands: the commands of the shell.
    """

    def __init__(self, connection: Connection, dot_commands: Sequence[DotCommand]) -> None:
        self._vocabulary = Vocabulary(connection.native)
        self._dot_commands = dot_commands

    def refresh(self) -> None:
        """Read the session's search path, temporary tables and open transaction.

        To be called from the session's own thread after each statement, once its result is read.
        """
        self._vocabulary.refresh()

    def get_completions(
        self,
        document: Document,
        complete_event: CompleteEvent,  # noqa: ARG002 - the base class has it
    ) -> Iterator[Completion]:
        """What may stand at the cursor, the likeliest first."""
        before = document.text_before_cursor
        if _is_command(before):
            yield from self._of_command(document.current_line_before_cursor)
            return
        context = read_context(document.text, document.cursor_position)
        if context is None:
            return
        seen: set[str] = set()
        for each in _Suggestions(context, *self._vocabulary.now()).all():
            if each.text in seen or (context.is_quoted and not each.is_name):
                continue
            seen.add(each.text)
            text = each.text
            if context.is_quoted and not text.startswith('"'):
                text = f'"{text}"'
            length = len(context.typed) + context.is_quoted
            yield Completion(text, -length, display_meta=each.about)

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
    """Whether the cursor's line is a dot command so far."""
    line = before.rpartition("\n")[2].strip()
    if not line.startswith("."):
        return False
    entries = split(before)
    return bool(entries) and entries[-1].is_command and entries[-1].text == line


@dataclass(frozen=True)
class _Suggestion:
    """A text that may replace what was typed; a name may stand in double quotes."""

    text: str
    about: str
    is_name: bool = True


_Suggested = Iterator[_Suggestion]


class _Suggestions:
    """What may stand at the cursor."""

    def __init__(self, context: Context, catalog: Catalog, words: Words) -> None:
        self._context = context
        self._typed = context.typed
        self._qualifiers = context.qualifiers
        self._catalog = catalog
        self._words = words

    def all(self) -> _Suggested:
        """All suggestions, the likeliest first."""
        context = self._context
        statement = context.statement
        first = statement[0] if statement else ""
        if not statement:
            is_explained = bool(context.before)
            yield from self._keywords([*_STARTS, *(["ANALYZE"] if is_explained else [])])
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

    # Statements

    def _in_query(self) -> _Suggested:
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

    def _exec(self) -> _Suggested:
        """A method, then its arguments."""
        context = self._context
        start = next(at for at, each in enumerate(context.before) if each.upper == "EXEC") + 1
        if start == len(context.before):
            yield from self._paths((path, method.description) for path, method in methods())
            return
        method = self._method(name_at(context.before, start)[0])
        if method is None or self._qualifiers:
            return
        left = [Named(each.name, _about(each)) for each in self._parameters_left(method)]
        if context.word() == "@":
            is_json = context.word(2) == "@"
            whole = [Named("json", "all arguments as one JSON object")]
            for each in filter(lambda each: self._begins(each.name), whole if is_json else left):
                yield _Suggestion(each.name, each.about)
        elif context.word() == "=":
            yield from self._values(method.parameter(context.before[-2].value))
        elif not self._typed:
            yield from (_Suggestion(f"@{each.name}", each.about) for each in left)

    def _method(self, parts: Path) -> Method | None:
        for path, method in methods():
            if folded(parts) in [folded(short) for short in self._catalog.shortened(path)]:
                return method
        return None

    def _parameters_left(self, method: Method) -> list[Parameter]:
        """The parameters that no argument gives yet, the required ones first."""
        context = self._context
        # What is being typed is not an argument yet.
        after = context.whole[len(context.before) + bool(self._typed) :]
        given = _arguments(context.before) | _arguments(after)
        return [p for p in (*method.required, *method.optional) if p.name.casefold() not in given]

    def _values(self, parameter: Parameter | None) -> _Suggested:
        if parameter is None:
            return
        values = [f"'{value}'" for value in parameter.allowed]
        values += ["true", "false"] if parameter.type == "BOOLEAN" else []
        for value in values:
            if self._begins(value) or self._begins(value.strip("'")):
                yield _Suggestion(value, parameter.description)

    def _show(self) -> _Suggested:
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

    def _describe(self) -> _Suggested:
        if self._context.word() == "METHOD":
            yield from self._paths((path, method.description) for path, method in methods())
            return
        yield from self._tables()
        if self._context.word() != "EXTENDED" and not self._qualifiers:
            yield from self._keywords(["EXTENDED", "METHOD"])

    def _settings(self) -> _Suggested:
        first, *said = self._context.statement
        if self._qualifiers or said not in ([], ["GLOBAL"], ["SESSION"], ["LOCAL"]):
            return
        if not said and first != "PRAGMA":
            yield from self._keywords(["VARIABLE", "GLOBAL", "SESSION"])
        yield from self._names(self._words.settings)
        if first == "PRAGMA":
            yield from self._names(self._words.pragmas)

    def _use(self) -> _Suggested:
        if len(self._context.statement) == 1:
            yield from self._databases()
            yield from self._names(self._schemas())

    # Names

    def _tables(self) -> _Suggested:
        """Tables, databases and schemas, and if they may stand here table functions."""
        context, catalog = self._context, self._catalog
        with_functions = context.word() in ("FROM", "JOIN", ",") and context.word(2) != "DELETE"
        scopes = catalog.scopes(self._qualifiers)
        kinds = [catalog.tables, *([catalog.functions] if with_functions else [])]
        found = [
            Named(relation.path[2], relation.about)
            for relations in kinds
            for path, relation in relations.items()
            if path[:2] in scopes
        ]
        if not self._qualifiers:
            found += [Named(name, "WITH") for name in context.common_tables()]
        # Names with a leading underscore are seldom wanted.
        found.sort(key=lambda each: (each.name.startswith("_"), each.name.casefold()))
        yield from self._names(found)
        yield from self._databases()
        yield from self._names(each for each in self._schemas() if each.name not in _SYSTEM)
        if with_functions and self._typed and not self._qualifiers:
            yield from self._names(self._words.table_functions)

    def _databases(self) -> _Suggested:
        if not self._qualifiers:
            yield from self._names(Named(name, "database") for name in self._catalog.databases)

    def _schemas(self) -> Iterator[Named]:
        """The schemas of the qualifying database, or of those in the search path."""
        if len(self._qualifiers) <= 1:
            searched = {database.casefold() for database, _ in self._catalog.search}
            databases = set(folded(self._qualifiers)) or searched
            for database, schema in self._catalog.schemas:
                if database.casefold() in databases:
                    yield Named(schema, "schema")

    def _columns_to_insert(self, parts: Path, given: frozenset[str]) -> _Suggested:
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

    def _qualified_columns(self) -> _Suggested:
        wanted = folded(self._qualifiers)
        for mention in self._context.mentions():
            if wanted in (folded([mention.alias]), folded(mention.parts)[-len(wanted) :]):
                yield from self._names(self._columns_of(mention))

    def _functions(self) -> _Suggested:
        if self._typed and not self._context.is_quoted:  # there are too many otherwise
            yield from self._names(self._words.functions)

    def _begins(self, name: str) -> bool:
        return name.casefold().startswith(self._typed.casefold())

    def _keywords(self, keywords: Iterable[str], about: str = "keyword") -> _Suggested:
        """Matching keywords, in the case of what was typed."""
        for keyword in filter(self._begins, keywords):
            text = keyword.lower() if self._typed.islower() else keyword.upper()
            yield _Suggestion(text, about, is_name=False)

    def _names(self, names: Iterable[Named]) -> _Suggested:
        for each in names:
            if self._begins(each.name):
                yield _Suggestion(self._words.written(each.name), each.about)

    def _paths(self, paths: Iterable[tuple[Path, str]]) -> _Suggested:
        """Full names, without what is typed already or what the search path adds."""
        before = folded(self._qualifiers)
        for path, about in dict.fromkeys(paths):
            for left in self._catalog.shortened(path):
                rest = left[len(before) :]
                if rest and folded(left[: len(before)]) == before and self._begins(rest[0]):
                    yield _Suggestion(".".join(map(self._words.written, rest)), about)


def _arguments(lexemes: Sequence[Lexeme]) -> set[str]:
    return {
        name.value.casefold()
        for sign, name in pairwise(lexemes)
        if sign.raw == "@" and name.kind in (Kind.WORD, Kind.QUOTED)
    }


def _about(parameter: Parameter) -> str:
    required = "required " if parameter.required else ""
    return f"{required}{parameter.type}: {parameter.description}"
