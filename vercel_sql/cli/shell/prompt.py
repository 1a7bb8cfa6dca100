"""Reads entries: with editing, history, completion and colours if the terminal is capable."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, ClassVar

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import Completer
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.history import History
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import Lexer, PygmentsLexer
from prompt_toolkit.styles import BaseStyle, DummyStyle, Style
from prompt_toolkit.utils import is_dumb_terminal
from pygments import token
from pygments.lexer import inherit, words
from pygments.lexers.sql import PostgresLexer

from vercel_sql.cli.shell.commands import LeaveShell
from vercel_sql.cli.shell.entries import is_finished

TERMINATED = 128 + signal.SIGTERM


class EditingReader:
    """Reads with multi-line editing, history and completion."""

    def __init__(
        self, prompt: Callable[[], str], *, history: History, completer: Completer
    ) -> None:
        self._is_terminated = False
        self._session: PromptSession[str] = PromptSession(
            message=prompt,
            multiline=True,
            prompt_continuation=lambda width, _number, is_soft: (
                "" if is_soft else _continuation(width)
            ),
            history=history,
            completer=completer,
            complete_while_typing=False,
            complete_in_thread=True,
            lexer=lexer(),
            style=style(),
            include_default_pygments_style=False,
            key_bindings=_bindings(),
            enable_suspend=True,
            search_ignore_case=True,
        )

    def read(self) -> str:
        """The next entry; EOFError at the end, KeyboardInterrupt to discard what was typed."""
        before = signal.signal(signal.SIGTERM, self._end)
        try:
            entry = self._session.prompt()
        finally:
            signal.signal(signal.SIGTERM, before)
        if self._is_terminated:
            raise LeaveShell(TERMINATED)
        return entry

    def redraw(self) -> None:
        """Show the prompt again; from any thread."""
        self._session.app.invalidate()

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        app = self._session.app
        if app.loop is None or not app.is_running:
            raise LeaveShell(TERMINATED)
        self._is_terminated = True
        app.loop.call_soon_threadsafe(self._exit)

    def _exit(self) -> None:
        """End the application, which restores the terminal, unless an entry has ended it."""
        app = self._session.app
        if app.is_running and not app.is_done:
            app.exit(exception=LeaveShell(TERMINATED))


class PlainReader:
    """Reads line by line, on terminals that can't move the cursor."""

    def __init__(self, prompt: Callable[[], str]) -> None:
        self._prompt = prompt

    def read(self) -> str:
        """The next entry; EOFError at the end, KeyboardInterrupt to discard what was typed."""
        prompt, lines = self._prompt(), list[str]()
        while True:
            sys.stdout.write(_continuation(len(prompt)) if lines else prompt)
            sys.stdout.flush()
            line = sys.stdin.readline()
            if not line:
                raise EOFError
            lines.append(line.rstrip("\r\n"))
            if is_finished("\n".join(lines)):
                return "\n".join(lines)


@contextmanager
def unechoed_controls() -> Iterator[None]:
    """Keep the terminal from showing ``^C`` before the message about an interrupted statement."""
    try:
        import termios
    except ImportError:  # Windows
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    quiet = termios.tcgetattr(sys.stdin)
    quiet[3] &= ~termios.ECHOCTL
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def can_edit() -> bool:
    """Whether the terminal can move its cursor."""
    return not is_dumb_terminal(os.environ.get("TERM", ""))


def _continuation(width: int) -> str:
    return "… ".rjust(width) if width > 1 else ""


def _bindings() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("enter", filter=has_focus(DEFAULT_BUFFER))
    def _enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state is not None and buffer.complete_state.current_completion:
            buffer.complete_state = None  # the choice from the menu is in the text already
        elif is_finished(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.newline(copy_margin=False)

    return bindings


_WORDS = """
    ASOF DESCRIBE EXEC EXTENDED GLOB INSTALL METHOD METHODS PIVOT PRAGMA QUALIFY RESOURCES SERVICES
    SUMMARIZE UNPIVOT USE
"""

# The terminal's own colours, which its theme keeps readable.
_COLOURS = {
    "pygments.keyword": "bold ansiblue",
    "pygments.literal.string": "ansigreen",
    "pygments.literal.number": "ansicyan",
    "pygments.comment": "italic ansibrightblack",
    "pygments.name.variable": "ansimagenta",
    "pygments.name.builtin": "ansicyan",
    "pygments.name.builtin.pseudo": "bold ansimagenta",
}


class VercelSqlLexer(PostgresLexer):
    """PostgreSQL's lexer, which knows ``$$`` and nested comments, plus DuckDB's syntax."""

    name = "vercel-sql"
    aliases: ClassVar[list[str]] = []
    filenames: ClassVar[list[str]] = []

    tokens: ClassVar[dict[str, Any]] = {
        "root": [
            (r"(?m)^[ \t]*\.[a-z]+\b", token.Name.Builtin.Pseudo),
            (r"\{\{\s*\w+\s*\}\}", token.Name.Variable),
            (r"@@?[^\W\d]\w*", token.Name.Variable),
            (r"(?s)\$((?:[^\W\d]\w*)?)\$.*?(?:\$\1\$|\Z)", token.String),
            (r"(?s)e'(?:\\.|''|[^'\\])*(?:'|\Z)", token.String),
            (r"\$\w+", token.Name.Variable),
            (r"\.(?!\d)", token.Punctuation),
            (words(_WORDS.split(), suffix=r"\b"), token.Keyword),
            inherit,
        ],
    }


def lexer() -> Lexer:
    """The highlighting of entries."""
    return PygmentsLexer(VercelSqlLexer)


def style() -> BaseStyle:
    """The colours; none if ``NO_COLOR`` is set or the terminal is dumb."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return DummyStyle()
    return Style.from_dict(_COLOURS)
