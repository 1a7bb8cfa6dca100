"""The shell as a person has it: on a terminal, with a screen that can be read."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pexpect
import pyte
import pytest

from vercel_sql.simulator import Simulator

from ..conftest import COMMAND, environment

PATIENCE = 30.0  # seconds: the machine may be busy
PROMPT = re.compile(r"\S.*> ")
CONTINUATION = re.compile(r" *… ")


class _Screen(pyte.Screen):
    """A screen that answers what a terminal is asked, such as where its cursor is."""

    answer: Callable[[str], object] = staticmethod(lambda _data: None)

    def write_process_input(self, data: str) -> None:
        self.answer(data)


class Terminal:
    """The command on a terminal of its own, which is driven and read.

    Attributes:
        raw: every byte that the terminal received, as text.
    """

    def __init__(self, arguments: list[str], env: dict[str, str], columns: int, rows: int) -> None:
        self._child: Any = pexpect.spawn(
            COMMAND[0],
            [*COMMAND[1:], *arguments],
            env=env,
            dimensions=(rows, columns),
            timeout=PATIENCE,
        )
        self._child.delaybeforesend = None
        self._screen = _Screen(columns, rows)
        self._screen.answer = self._child.send
        self._stream = pyte.ByteStream(self._screen)
        self.raw = ""

    # What a person does

    def type(self, text: str) -> None:
        """Types a text, and waits until the screen shows it before the cursor."""
        self.press(text)
        wanted = _flat(text)
        self.wait(lambda: _flat(self.before_cursor).endswith(wanted), f"{text!r} to be shown")

    def press(self, keys: str) -> None:
        """Sends keys, whatever the screen does."""
        self._child.send(keys)

    def enter(self, *lines: str) -> str:
        """Types lines, each with Enter, and gives the screen when the prompt is back."""
        for line in lines:
            self.type(line)
            self.press("\r")
            self.wait(lambda: self._is_at(PROMPT) or self._is_at(CONTINUATION), "a prompt")
        return self.wait_for_prompt()

    def paste(self, text: str) -> None:
        """Pastes, as terminals do it."""
        self.press(f"\x1b[200~{text}\x1b[201~")

    def resize(self, columns: int, rows: int) -> None:
        """Makes the terminal another size."""
        self._screen.resize(rows, columns)
        self._child.setwinsize(rows, columns)  # which sends SIGWINCH

    def signal(self, number: int) -> None:
        """Sends the command a signal."""
        self._child.kill(number)

    # What a person sees

    @property
    def screen(self) -> str:
        """What stands on the screen now."""
        self._take()
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    @property
    def before_cursor(self) -> str:
        """What stands on the screen before the cursor."""
        self._take()
        lines, cursor = self._screen.display, self._screen.cursor
        return "\n".join([*lines[: cursor.y], lines[cursor.y][: cursor.x]])

    def wait_for(self, text: str) -> str:
        """Waits until the screen shows a text, wherever it breaks its lines; gives the screen."""
        self.wait(lambda: self.shows(text), f"{text!r}")
        return self.screen

    def shows(self, text: str) -> bool:
        """Whether the screen shows a text, wherever it breaks its lines."""
        return _flat(text) in _flat(self.screen)

    def wait_for_prompt(self) -> str:
        """Waits until there is a prompt with nothing after it, and gives the screen."""
        self.wait(lambda: self._is_at(PROMPT), "the prompt")
        return self.screen

    def wait_for_end(self) -> int:
        """Waits until the command has ended, and gives its exit code."""
        self.wait(lambda: self._has_ended(), "its end")
        self._child.close()
        return self._child.exitstatus

    def wait(self, is_so: Callable[[], bool], what: str) -> None:
        """Waits for a condition."""
        deadline = time.monotonic() + PATIENCE
        while not is_so():
            assert time.monotonic() < deadline, f"waited for {what} on\n{self.screen}"

    def close(self) -> None:
        """Ends the command, however it is."""
        self._child.close(force=True)

    def _is_at(self, prompt: re.Pattern[str]) -> bool:
        self._take()
        line, x = self._screen.display[self._screen.cursor.y], self._screen.cursor.x
        return prompt.fullmatch(line[:x]) is not None and not line[x:].strip()

    def _has_ended(self) -> bool:
        self._take()
        return not self._child.isalive()

    def _take(self) -> None:
        """Shows what the command has written meanwhile; waits a little where it has not."""
        try:
            received = self._child.read_nonblocking(65536, timeout=0.05)
        except (pexpect.TIMEOUT, pexpect.EOF, ValueError):  # the last once it is closed
            return
        self.raw += received.decode("utf-8", "replace")
        # Terminals show nothing for it; the screen here would drop what follows at once, too.
        self._stream.feed(received.replace(b"\x03", b""))


def _flat(text: str) -> str:
    return "".join(text.split())


@pytest.fixture
def open_terminal(tmp_path: Any) -> Iterator[Callable[..., Terminal]]:
    """Opens the command on a terminal: ``open_terminal("shell", sim=sim, columns=60)``."""
    with ExitStack() as stack:

        def start(
            *arguments: str,
            sim: Simulator | None = None,
            columns: int = 100,
            rows: int = 40,
            **more: str,
        ) -> Terminal:
            env = environment(sim, TERM="xterm", VERCEL_SQL_STATE_DIR=str(tmp_path / "state"))
            terminal = Terminal(list(arguments), env | more, columns, rows)
            stack.callback(terminal.close)
            return terminal

        yield start


@pytest.fixture
def shell(open_terminal: Callable[..., Terminal], sim: Simulator) -> Terminal:
    """The shell on the small account, at its first prompt with the account's name."""
    terminal = open_terminal(sim=sim)
    terminal.wait_for("simulated ada-example> ".rstrip())
    terminal.wait_for_prompt()
    return terminal


@pytest.fixture
def received(sim: Simulator) -> Callable[[str], list[str]]:
    """The paths of what the account received by one HTTP method."""
    return lambda method: [r.path for r in sim.requests() if r.method == method]
