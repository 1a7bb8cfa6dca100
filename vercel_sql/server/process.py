"""A database process, as the one that started it sees it: told, heard, asked and ended."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vercel_sql.server.bounds import Bounds, is_full

if TYPE_CHECKING:
    from vercel_sql.server.children import Children

TICK = 0.02  # seconds
_LONGEST_LINE = 1 << 20
_NO_THREAD = 127
"""How glibc ends a process that has no memory for what belongs to a thread."""


class UnansweredError(Exception):
    """What a client is told in place of an answer.

    Attributes:
        repeats: how often a short statement may be begun again, which changed nothing and was
            ended because of another one.
    """

    def __init__(self, said: str, *, repeats: int = 0) -> None:
        super().__init__(said)
        self.repeats = repeats


class Child:
    """One database process, as seen from the one that started it.

    Attributes:
        token: what the front has to bring.
        is_ready: whether it takes requests.
        has_served: whether it ever did.
        is_ending: whether it is to end, and begins no more writes.
        is_running: whether it runs.
        is_over: set when it has ended.
        busy: how many requests are with it.
        shared: when there were several at a time, on the monotonic clock.
        stuck: the sessions whose statements don't end when they should, and why they should.
        heavy: the sessions whose statements compute much, so that they may be what ends it.
        flaw: why it should be replaced.
        problem: why it could not start.
        ended_well: whether all statements had ended when it did.
    """

    def __init__(self, children: Children) -> None:
        self._children = children
        self._folder = Path()
        self._address = ""
        self._process: asyncio.subprocess.Process | None = None
        self.token = secrets.token_urlsafe(32).encode()
        self.is_ready = self.has_served = self.is_running = self.is_ending = False
        self.is_over = asyncio.Event()
        self.busy = 0
        self.shared = 0.0
        self.stuck: dict[str, str] = {}
        self.heavy: set[str] = set()
        self.flaw = ""
        self.problem: str | None = None
        self.ended_well = True

    @property
    def number(self) -> int:
        """The number of the process; 0 where there is none yet."""
        return 0 if self._process is None else self._process.pid

    def is_full(self, bounds: Bounds) -> bool:
        """Whether it has hardly any memory left that it may ask for."""
        return self._process is not None and is_full(self._process.pid, bounds)

    async def run(self, command: Sequence[str], settings: dict[str, Any]) -> None:
        """Runs the process until it ends."""
        self._folder = Path(tempfile.mkdtemp(prefix="vercel-sql-"))
        directory = os.open(self._folder, os.O_RDONLY)
        try:
            await self._started(command, settings, _address(self._folder, directory))
            assert self._process is not None and self._process.stdout is not None  # noqa: PT018, S101
            while line := await self._process.stdout.readline():
                self._hear(json.loads(line))
            await self._process.wait()
        finally:
            self.is_running = False
            self.kill()
            os.close(directory)
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _started(
        self, command: Sequence[str], settings: dict[str, Any], address: str
    ) -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            self._address = address
            listener.bind(address)
            listener.listen(1024)
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[listener.fileno()],
                env={**os.environ, "TMPDIR": str(self._folder)},
                limit=_LONGEST_LINE,
            )
            self.is_running = True
            self.tell(
                **settings,
                listener=listener.fileno(),
                inner_token=self.token.decode(),
                folder=str(self._folder),
            )
            if self._children.is_stopping:
                self.kill()

    def _hear(self, said: dict[str, Any]) -> None:
        """Takes in what the process says."""
        if "ready" in said:
            self._children.has_started = True
            self.is_ready = self.has_served = True
            self.ended_well = False
        elif "problem" in said:
            self.problem = said["problem"]
        elif "stuck" in said:
            self.stuck[said["stuck"]] = said["why"]
            self.flaw = "a statement can't be interrupted"
        elif "heavy" in said:
            self.heavy.add(said["heavy"])
        elif "stopped" in said:
            self.ended_well = said["stopped"]
        elif "claim" in said:
            refused = self._children.claimed(self, said["claim"], said["session"])
            self.tell(claim=said["claim"], refused=refused)

    def tell(self, **words: Any) -> None:
        """Says something to the process."""
        if self._process is not None and self._process.stdin is not None and self.is_running:
            with suppress(OSError, RuntimeError):
                self._process.stdin.write(json.dumps(words).encode() + b"\n")

    def kill(self) -> None:
        """Ends the process at once."""
        with suppress(ProcessLookupError):
            # Not its kill(), which may take the exit code from asyncio's own watcher.
            if self._process is not None and self._process.returncode is None:
                os.kill(self._process.pid, signal.SIGKILL)

    @property
    def has_crashed(self) -> bool:
        """Whether a statement ended it: by a signal that nobody sent, or DuckDB gave up."""
        code = None if self._process is None else self._process.returncode
        is_killed = code in (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, _NO_THREAD)
        return is_killed or (self.has_served and self.problem is not None)

    def how_it_ended(self) -> str:
        """The exit of the process, in words."""
        code = None if self._process is None else self._process.returncode
        if code is not None and code < 0:
            with suppress(ValueError):
                return signal.Signals(-code).name
        return f"exit code {code}"

    async def begin(self, body: bytes) -> tuple[int, asyncio.StreamReader, Callable[[], None]]:
        """Sends a request to Quack."""
        self.busy += 1
        self._note_shared()
        writer = None
        try:
            reader, writer = await asyncio.open_unix_connection(self._address)
            writer.write(
                b"POST /quack HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                b"Content-Type: application/octet-stream\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body) + body
            )
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
            if not head.startswith(b"http/1.1 200"):  # it had no memory for an answer
                length = 0
        except BaseException as error:
            self._end(writer)
            if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
                raise UnansweredError(
                    "the server has too many open files, and nothing was run; try again"
                ) from None
            if isinstance(error, FileNotFoundError | ConnectionRefusedError) and self.is_running:
                self.is_ready, self.flaw = False, "its socket is gone"
            if isinstance(error, OSError | EOFError | ValueError):
                raise await self.gone(body) from None
            raise
        return length, reader, lambda: self._end(writer)

    def _note_shared(self) -> None:
        if self.busy > 1:
            self.shared = time.monotonic()

    def _end(self, writer: asyncio.StreamWriter | None) -> None:
        self._note_shared()
        self.busy -= 1
        if writer is not None:
            writer.close()

    async def answer(self, body: bytes) -> bytes:
        """Sends a request to Quack and reads the whole answer, which is short."""
        length, reader, close = await self.begin(body)
        try:
            return await reader.readexactly(length)
        except (OSError, EOFError):
            raise await self.gone(body) from None
        finally:
            close()

    async def gone(self, body: bytes) -> UnansweredError:
        """The error for a request that was cut off; the process has ended then, or is about to."""
        with suppress(TimeoutError):
            async with asyncio.timeout(1 if self.flaw else 5):
                await self.is_over.wait()
        return self._children.said_of(self, body)


async def until(condition: Callable[[], bool], seconds: float) -> None:
    """Waits for something, but no longer than so many seconds."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        await asyncio.sleep(TICK)


def _address(folder: Path, directory: int) -> str:
    """Where to listen in a folder: a socket's address has no more than a hundred characters."""
    links = Path("/proc/self/fd")
    return str((links / str(directory) if links.exists() else folder) / "quack")
