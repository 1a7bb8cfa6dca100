"""Completion of what is typed, from DuckDB's catalog and the manifest; no request is ever sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from vercel_sql import Connection
from vercel_sql.cli.shell.candidates import candidates
from vercel_sql.cli.shell.context import read_context
from vercel_sql.cli.shell.reading import split
from vercel_sql.cli.shell.suggestions import Candidate
from vercel_sql.cli.shell.vocabulary import Vocabulary


class DotCommand(Protocol):
    """What is completed of a command of the shell itself."""

    @property
    def name(self) -> str:
        """The name, with its dot."""

    @property
    def help(self) -> str:
        """What it does, in one line."""

    @property
    def choices(self) -> Sequence[str]:
        """The words that its first argument may be; empty where it may be anything."""


class ShellCompleter(Completer):
    """Completes statements and dot commands; it may be asked from any thread."""

    def __init__(self, connection: Connection, dot_commands: Sequence[DotCommand]) -> None:
        self._vocabulary = Vocabulary(connection.native)
        self._dot_commands = dot_commands

    def refresh(self) -> None:
        """Looks at the session anew: its search path, temporary tables and open transaction.

        Call it from the session's own thread after each statement, when its result was read.
        Without it, only what every connection of the database sees is completed.
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
            yield from _of_command(document.current_line_before_cursor, self._dot_commands)
            return
        context = read_context(document.text, document.cursor_position)
        if context is None:
            return
        catalog, words = self._vocabulary.now()
        length = len(context.typed) + context.is_quoted
        for candidate in _unique(candidates(context, catalog, words)):
            if not context.is_quoted:
                yield Completion(candidate.text, -length, display_meta=candidate.about)
            elif candidate.is_name:
                yield Completion(_in_quotes(candidate.text), -length, display_meta=candidate.about)


def _is_command(before: str) -> bool:
    """Whether the cursor's line is a dot command so far."""
    line = before.rpartition("\n")[2].strip()
    if not line.startswith("."):
        return False
    entries = split(before)
    return bool(entries) and entries[-1].is_command and entries[-1].text == line


def _of_command(line: str, commands: Iterable[DotCommand]) -> Iterator[Completion]:
    name, blank, argument = line.lstrip().partition(" ")
    if not blank:
        for command in commands:
            if command.name.startswith(name.casefold()):
                yield Completion(command.name, -len(name), display_meta=command.help)
        return
    argument = argument.lstrip()
    for command in commands:
        if command.name == name.casefold():
            for choice in command.choices:
                if choice.startswith(argument.casefold()):
                    yield Completion(choice, -len(argument))


def _unique(found: Iterable[Candidate]) -> Iterator[Candidate]:
    seen: set[str] = set()
    for candidate in found:
        if candidate.text not in seen:
            seen.add(candidate.text)
            yield candidate


def _in_quotes(name: str) -> str:
    """A name in quotes, as the one that was opened wants it."""
    return name if name.startswith('"') else f'"{name}"'
