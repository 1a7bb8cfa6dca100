"""Reads what a person enters: with editing, history and completion where the terminal can."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import Completer
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.history import History
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import Lexer
from prompt_toolkit.styles import BaseStyle
from prompt_toolkit.utils import is_dumb_terminal

from vercel_sql.cli.shell.commands import LeaveShell
from vercel_sql.cli.shell.reading import is_finished

TERMINATED = 128 + signal.SIGTERM


class Reader(Protocol):
    """Where entries come from."""

    def read(self) -> str:
        """The next entry."""

    def redraw(self) -> None:
        """Shows the prompt again, which may say something else by now; from any thread."""


class EditingReader:
    """Reads with editing of several lines, history and completion."""

    def __init__(
        self,
        prompt: Callable[[], str],
        *,
        history: History,
        completer: Completer,
        lexer: Lexer,
        style: BaseStyle,
    ) -> None:
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
            lexer=lexer,
            style=style,
            include_default_pygments_style=False,
            key_bindings=_bindings(),
            enable_suspend=True,
            search_ignore_case=True,
        )

    def read(self) -> str:
        """The next entry; see `Reader`."""
        before = signal.signal(signal.SIGTERM, self._end)
        try:
            return self._session.prompt()
        finally:
            signal.signal(signal.SIGTERM, before)

    def redraw(self) -> None:
        """Shows the prompt again; from any thread."""
        self._session.app.invalidate()

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        app = self._session.app
        if app.loop is None or not app.is_running:
            raise LeaveShell(TERMINATED)
        # The terminal is put back as it was by the application's own end.
        app.loop.call_soon_threadsafe(lambda: app.exit(exception=LeaveShell(TERMINATED)))


class PlainReader:
    """Reads line by line, for terminals that can't move their cursor."""

    def __init__(self, prompt: Callable[[], str]) -> None:
        self._prompt = prompt

    def read(self) -> str:
        """The next entry; see `Reader`."""
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

    def redraw(self) -> None:
        """Nothing: what was written stays."""


@contextmanager
def unechoed_controls() -> Iterator[None]:
    """Keeps the terminal from writing ``^C`` before what is said about a statement's end."""
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
    """Whether the terminal can do more than write line after line."""
    return not is_dumb_terminal(os.environ.get("TERM", ""))


def _continuation(width: int) -> str:
    return "… ".rjust(width) if width > 1 else ""


def _bindings() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("enter", filter=has_focus(DEFAULT_BUFFER))
    def _enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state is not None and buffer.complete_state.current_completion:
            buffer.complete_state = None  # what was chosen from the menu stands there already
        elif is_finished(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.newline(copy_margin=False)

    return bindings
