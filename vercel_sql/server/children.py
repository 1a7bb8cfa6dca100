"""The process that DuckDB runs in: started, watched, and started again when it ends."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vercel_sql.api.logger import logger
from vercel_sql.errors import OperationalError
from vercel_sql.server.bounds import MEBIBYTE, Bounds

log = logger("server")

_START_SECONDS = 60.0
_TICK = 0.02  # seconds
_WATCH_SECONDS = 0.1
# Of its memory, what a process may take before it ends statements.
_PLENTY = 0.8
# How long other statements may go on in a process that has one which can't be interrupted.
_DRAIN_SECONDS = 120.0
_LONGEST_LINE = 1 << 20
# How long a process gets to end after the writes that it waits for.
_LAST_SECONDS = 15.0
# A process that ended sooner than this after its start is started again with a delay.
_SOON = 10.0
_LONGEST_DELAY = 30.0

_CARRIED_OUT = (
    "this request_id was carried out before the server's database process was started again, so "
    "nothing was sent now. What it gave is not shown again; its secrets are in the server's "
    "secrets file"
)
_UNKNOWN = (
    "the server's database process ended while this request_id was carried out: the outcome is "
    "unknown, and nothing was sent now. On the server's machine, vercel-sql recover says what came "
    "of it"
)


class GoneError(Exception):
    """What a client is told where the process ended before it gave an answer."""


@dataclass
class _Claim:
    """A request id that was given to a process to carry out.

    Attributes:
        child: the process.
        session: the session there.
        is_over: whether its client got an answer.
    """

    child: Child
    session: str
    is_over: bool = False


class Child:
    """One database process, as seen from the one that started it.

    Attributes:
        token: what the front has to bring.
        is_ready: whether it takes requests.
        is_running: whether it runs.
        is_over: set when it has ended.
        busy: how many requests are with it.
        stuck: how many of them do not end when they should.
        problem: why it could not start.
        ended_well: whether all statements had ended when it did.
    """

    def __init__(self, children: Children) -> None:
        self._children = children
        self._folder = Path()
        self._address = ""
        self._process: asyncio.subprocess.Process | None = None
        self.token = secrets.token_urlsafe(32).encode()
        self.is_ready = self.is_running = False
        self.is_over = asyncio.Event()
        self.busy = self.stuck = 0
        self.problem: str | None = None
        self.ended_well = False
        self.started = time.monotonic()

    @property
    def memory(self) -> int:
        """How many bytes of it are resident; 0 where the system does not say."""
        with suppress(OSError, ValueError, IndexError):
            if self._process is not None:
                fields = Path(f"/proc/{self._process.pid}/statm").read_text().split()
                return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
        return 0

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
            self.is_over.set()
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
            )

    def _hear(self, said: dict[str, Any]) -> None:
        """Takes in what the process says."""
        if "ready" in said:
            self._children.has_started = True
            self.is_ready = True
        elif "problem" in said:
            self.problem = said["problem"]
        elif "stuck" in said:
            self.stuck += 1
            self._children.replace(self)
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
            if self._process is not None:
                self._process.kill()

    def how_it_ended(self) -> str:
        """The exit of the process, in words."""
        code = None if self._process is None else self._process.returncode
        if code is not None and code < 0:
            with suppress(ValueError):
                return signal.Signals(-code).name
        return f"exit code {code}"

    async def begin(self, body: bytes) -> tuple[int, asyncio.StreamReader, Callable[[], None]]:
        """Sends a request to Quack.

        Args:
            body: the message.

        Returns:
            The length of the answer, where to read it, and what to call then.

        Raises:
            GoneError: the process ended.
        """
        self.busy += 1
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
        except BaseException as error:
            self._end(writer)
            if isinstance(error, OSError | EOFError | ValueError):
                raise await self._gone(body) from None
            raise
        return length, reader, lambda: self._end(writer)

    def _end(self, writer: asyncio.StreamWriter | None) -> None:
        self.busy -= 1
        if writer is not None:
            writer.close()

    async def answer(self, body: bytes) -> bytes:
        """Sends a request to Quack and reads the whole answer, which is short.

        Raises:
            GoneError: the process ended.
        """
        length, reader, close = await self.begin(body)
        try:
            return await reader.readexactly(length)
        except (OSError, EOFError):
            raise await self._gone(body) from None
        finally:
            close()

    async def _gone(self, body: bytes) -> GoneError:
        """The error for a request that was cut off; the process has ended then, or is about to."""
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self.is_over.wait()
        return GoneError(self._children.said_of(self, body))


class Children:
    """The database process, and those that it has replaced as long as they are needed.

    Args:
        command: what starts one.
        settings: what it is told first; it may hold secrets.
        bounds: how much memory it may take.

    Attributes:
        newest: the one that new statements go to.
        has_started: whether there was one that took requests.
    """

    def __init__(self, command: Sequence[str], settings: dict[str, Any], bounds: Bounds) -> None:
        self._command = command
        self._settings = settings
        self._memory = bounds.memory * MEBIBYTE
        self._claims: dict[str, _Claim] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: list[Child] = []
        self._is_stopping = False
        self.has_started = False
        self.newest = Child(self)

    def start(self) -> None:
        """Starts the first process."""
        self._live(self.newest)
        self._later(self._watch_memory())

    async def current(self) -> Child:
        """The process that new statements go to, when it takes them.

        Raises:
            GoneError: none does.
        """
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            if self.newest.is_ready and self.newest.is_running:
                return self.newest
            await asyncio.sleep(_TICK)
        raise GoneError("the server's database process does not start; its log says why")

    async def require(self) -> None:
        """Waits for the first process.

        Raises:
            OperationalError: it can't start.
        """
        first = self.newest
        while not (first.is_ready or first.is_over.is_set()):
            await asyncio.sleep(_TICK)
        if not first.is_ready:
            raise OperationalError(
                first.problem or f"the database process ended ({first.how_it_ended()})"
            )

    def replace(self, child: Child) -> None:
        """Has new statements go to another process, and ends this one when the others are done."""
        if child is self.newest and len(self._running) == 1 and not self._is_stopping:
            log.warning(
                "a statement can't be interrupted: the database process is replaced, and ended "
                "when all other statements in it are over"
            )
            self.newest = self._live(Child(self))
            self._later(self._drained(child))

    async def stop(self, patience: float) -> bool:
        """Ends all processes: writes that are under way are waited for.

        Args:
            patience: for how many seconds.

        Returns:
            Whether all statements had ended.
        """
        self._is_stopping = True
        running = list(self._running)
        for child in running:
            child.tell(stop=patience)
        end = time.monotonic() + patience + _LAST_SECONDS
        while self._running and time.monotonic() < end:
            await asyncio.sleep(_TICK)
        await self.kill()
        return all(child.ended_well for child in running)

    async def kill(self) -> None:
        """Ends all processes at once."""
        self._is_stopping = True
        running = list(self._running)
        for child in running:
            child.kill()
        for child in running:
            await child.is_over.wait()

    def claimed(self, child: Child, request_id: str, session: str) -> str | None:
        """Lets a process carry out a request id, unless another one had it.

        Returns:
            Why it may not.
        """
        claim = self._claims.setdefault(request_id, _Claim(child, session))
        if claim.child is child:
            claim.session, claim.is_over = session, False
            return None
        return _CARRIED_OUT if claim.is_over else _UNKNOWN

    def answered(self, child: Child, session: str) -> None:
        """Notes that a client got the answer of its statement."""
        for claim in self._open_claims(child, session):
            claim.is_over = True

    def said_of(self, child: Child, body: bytes) -> str:
        """What the client is told whose request was with a process that ended."""
        session = body[6:38].decode("latin-1")
        if self._open_claims(child, session):
            return (
                "the server's database process ended while this statement wrote: the outcome is "
                "unknown. The same request_id will not act again. On the server's machine, "
                "vercel-sql recover says what came of it"
            )
        if self._is_stopping:
            return "the server is stopping, and the statement was cut off"
        return (
            "the server's database process ended while this statement ran, and is started again. "
            "The statement changed nothing; run it again"
        )

    def _open_claims(self, child: Child, session: str) -> list[_Claim]:
        return [
            claim
            for claim in self._claims.values()
            if claim.child is child and claim.session == session and not claim.is_over
        ]

    def _live(self, child: Child, delay: float = 0.0) -> Child:
        self._running.append(child)
        self._later(self._lives(child, delay))
        return child

    async def _lives(self, child: Child, delay: float) -> None:
        await asyncio.sleep(delay)
        child.started = time.monotonic()
        try:
            await child.run(self._command, self._settings)
        except (OSError, ValueError) as error:
            child.problem = f"the database process can't be run: {type(error).__name__}"
        self._running.remove(child)
        if child is not self.newest or self._is_stopping or not self.has_started:
            return
        log.warning(
            "the database process ended (%s), and is started again",
            child.problem or child.how_it_ended(),
        )
        lived = time.monotonic() - child.started
        delay = 0.0 if lived > _SOON else min(_LONGEST_DELAY, 2 * delay + 0.1)
        self.newest = self._live(Child(self), delay)

    async def _drained(self, child: Child) -> None:
        end = time.monotonic() + _DRAIN_SECONDS
        while child.is_running and child.busy > child.stuck and time.monotonic() < end:
            await asyncio.sleep(0.1)
        child.tell(stop=_LAST_SECONDS)
        await asyncio.sleep(2 * _LAST_SECONDS)
        child.kill()

    async def _watch_memory(self) -> None:
        while not self._is_stopping:
            await asyncio.sleep(_WATCH_SECONDS)
            taken = sum(child.memory for child in self._running)
            if taken > self._memory:
                biggest = max(self._running, key=lambda child: child.memory)
                log.warning("the database process takes more memory than it may, and is ended")
                biggest.kill()
            elif taken > _PLENTY * self._memory:
                for child in self._running:
                    child.tell(shed=True)

    def _later(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _address(folder: Path, directory: int) -> str:
    """Where to listen in a folder: a socket's address has no more than a hundred characters."""
    links = Path("/proc/self/fd")
    return str((links / str(directory) if links.exists() else folder) / "quack")


def python_command(entry: str) -> list[str]:
    """What starts this Python on a function of a module, with the same path for imports.

    Args:
        entry: as in ``module:function``.
    """
    module, function = entry.split(":")
    code = f"import sys; sys.path[:] = {sys.path!r}; from {module} import {function}; {function}()"
    return [sys.executable, "-P", "-c", code]
