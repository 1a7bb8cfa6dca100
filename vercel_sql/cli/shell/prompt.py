"""Reads entries: editing, completion, colours, and a history that never contains a secret."""

from __future__ import annotations

import os
import re
import signal
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import Completer
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus
from prompt_toolkit.history import FileHistory, History
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import Lexer, PygmentsLexer
from prompt_toolkit.styles import BaseStyle, DummyStyle, Style
from prompt_toolkit.utils import is_dumb_terminal
from pygments import token
from pygments.lexer import inherit, words
from pygments.lexers.sql import PostgresLexer

from vercel_sql.cli.shell.commands import LeaveShell
from vercel_sql.files import (
    READABLE,
    make_private,
    make_unreadable,
    open_for_appending,
    open_private,
    remove,
    replace,
)
from vercel_sql.sql import complete
from vercel_sql.sql.masking import masked_statement
from vercel_sql.sql.tokens import scan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_ENTRIES = 10_000
_LONGEST = 50_000
_LOCK_SECONDS = 2.0


class MaskedHistory(FileHistory):
    """The entries in a file of mode 0600, with their secrets masked.

    The entries of the current session are masked as well, so that no secret can be recalled to the
    screen. If the file can't be read or written, the shell continues without it. Shells may share
    a file. It keeps the last 10,000 entries, and none of more than 50,000 characters. It is created
    at the first entry, in a folder of mode 0700.
    """

    def __init__(self, path: str | os.PathLike[str], mask: Callable[[str], str]) -> None:
        super().__init__(path)
        self._path = Path(path)
        self._mask = mask

    def append_string(self, string: str) -> None:
        if len(string) > _LONGEST:
            return
        try:
            masked = self._masked(string)
        except Exception:
            # What can't be masked is not kept; an error here would end the prompt.
            return
        super().append_string(masked)

    def store_string(self, string: str) -> None:
        lines = "".join(f"+{line}\n" for line in self._masked(string).split("\n"))
        entry = f"\n# {datetime.now()}\n{lines}".encode("utf-8", "replace")
        with suppress(OSError), self._locked():
            handle = open_for_appending(self._path, forbidden=READABLE)
            with open(handle, "wb", buffering=0) as file:
                make_unreadable(handle)
                file.write(entry)

    def load_history_strings(self) -> Iterable[str]:
        with suppress(OSError):
            self._drop_oldest()
            return super().load_history_strings()
        return []

    def _masked(self, string: str) -> str:
        return self._mask(masked_statement(string))

    def _drop_oldest(self) -> None:
        """Rewrite the file without its oldest entries if it has too many."""
        if not self._path.exists():
            return
        with self._locked():
            with open(open_private(self._path, os.O_RDONLY, forbidden=READABLE), "rb") as file:
                content = file.read()
            starts = [found.start() for found in re.finditer(rb"(?m)^# ", content)]
            if len(starts) <= _ENTRIES:
                return
            shorter = self._path.with_name(f"{self._path.name}.new")
            remove(shorter)
            with open(open_for_appending(shorter, new=True), "wb") as file:
                file.write(content[starts[-_ENTRIES] :])
            replace(shorter, self._path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Lock out other shells; OSError if one holds the lock for too long."""
        from filelock import FileLock

        make_private(self._path.parent)
        lock = self._path.with_name(f"{self._path.name}.lock")
        # The library opens any file there, and empties it.
        os.close(open_for_appending(lock, forbidden=READABLE))
        with FileLock(lock, timeout=_LOCK_SECONDS, mode=0o600):
            yield


_BARE: Mapping[str, str] = MappingProxyType(
    {"exit": ".exit", "quit": ".quit", "help": ".help", "\\q": ".quit", "\\?": ".help"}
)
"""Habits from other shells, accepted as a whole entry."""


@dataclass(frozen=True)
class Entry:
    """A dot command, or the SQL between two of them.

    Attributes:
        text: the text; SQL begins with empty lines, so that its lines keep their numbers.
        is_command: whether it is a dot command.
    """

    text: str
    is_command: bool


def is_finished(text: str) -> bool:
    """Whether the last statement has its semicolon, and no quote is open."""
    entries = split(text)
    return not entries or entries[-1].is_command or _is_whole(entries[-1].text)


def split(text: str) -> list[Entry]:
    """Split a text into its dot commands and SQL, in order, without blank SQL.

    A line that begins with a dot is a command unless it is inside a statement.
    """
    bare = _BARE.get(text.strip().rstrip(";").casefold())
    if bare is not None:
        return [Entry(bare, is_command=True)]
    entries: list[Entry] = []
    pending: list[str] = []
    for number, line in enumerate(text.split("\n")):
        if line.lstrip().startswith(".") and _is_whole("\n".join(pending)):
            _flush(pending, entries)
            entries.append(Entry(line.strip(), is_command=True))
            pending = [""] * (number + 1)
        else:
            pending.append(line)
    _flush(pending, entries)
    return entries


def _flush(pending: list[str], entries: list[Entry]) -> None:
    text = "\n".join(pending)
    if not _is_blank(text):
        entries.append(Entry(text, is_command=False))


def _is_whole(sql: str) -> bool:
    return complete(sql) or _is_blank(sql)


def _is_blank(sql: str) -> bool:
    if not sql.strip():
        return True
    found = scan(sql)
    return found.unfinished is None and not found.lexemes


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
    return PygmentsLexer(VercelSqlLexer)


def style() -> BaseStyle:
    """The colours; none if ``NO_COLOR`` is set or the terminal is dumb."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return DummyStyle()
    return Style.from_dict(_COLOURS)
