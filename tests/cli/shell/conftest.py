"""The shell as a person has it: on a terminal, with a screen that can be read."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pyte
import pytest

from vercel_sql.simulator import Simulator

from ..conftest import COMMAND, environment
from ..forks import FORKS, Popen

PATIENCE = 30.0  # seconds: the machine may be busy
PROMPT = re.compile(r"\S.*> ")
CONTINUATION = re.compile(r" *… ")


class _Screen(pyte.Screen):
    """A screen that answers what a terminal is asked, such as where its cursor is."""

    answer: Callable[[str], object] = staticmethod(lambda _data: None)

    def write_process_input(self, data: str) -> None:
        self.answer(data)


class _OnTerminal(subprocess.Popen):
    """A process whose standard input is its terminal."""

    def __init__(self, arguments: list[str], **options: Any) -> None:
        def control() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        super().__init__(arguments, start_new_session=True, preexec_fn=control, **options)


class Terminal:
    """The command on a terminal of its own, which is driven and read.

    Attributes:
        raw: every byte that the terminal received, as text.
    """

    def __init__(self, arguments: list[str], env: dict[str, str], columns: int, rows: int) -> None:
        self._master, slave = pty.openpty()
        self.resize_window(columns, rows)
        options = {"env": env, **dict.fromkeys(("stdin", "stdout", "stderr"), slave)}
        if FORKS:
            self._child: Any = Popen(["vercel-sql", *arguments], **options)
        else:
            self._child = _OnTerminal([*COMMAND, *arguments], **options)
        os.close(slave)
        self._screen = _Screen(columns, rows)
        self._screen.answer = self.press
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
        os.write(self._master, keys.encode())

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
        self.resize_window(columns, rows)

    def resize_window(self, columns: int, rows: int) -> None:
        """Tells the command only, by SIGWINCH."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def signal(self, number: int) -> None:
        """Sends the command a signal."""
        self._child.send_signal(number)

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
        return self._child.wait(PATIENCE)

    def wait(self, is_so: Callable[[], bool], what: str) -> None:
        """Waits for a condition."""
        deadline = time.monotonic() + PATIENCE
        while not is_so():
            assert time.monotonic() < deadline, f"waited for {what} on\n{self.screen}"

    def close(self) -> None:
        """Ends the command, however it is."""
        self._child.kill()
        self._child.wait(PATIENCE)
        if self._master >= 0:
            os.close(self._master)
        self._master = -1

    def _is_at(self, prompt: re.Pattern[str]) -> bool:
        self._take()
        line, x = self._screen.display[self._screen.cursor.y], self._screen.cursor.x
        return prompt.fullmatch(line[:x]) is not None and not line[x:].strip()

    def _has_ended(self) -> bool:
        self._take()
        return self._child.poll() is not None

    def _take(self) -> None:
        """Shows what the command has written meanwhile; waits a little where it has not."""
        if self._master < 0 or not select.select([self._master], [], [], 0.05)[0]:
            return
        try:
            received = os.read(self._master, 65536)
        except OSError:  # the command has ended
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
