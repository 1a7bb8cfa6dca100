"""The database process: started, told, heard, asked, watched, and started again when it ends."""

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
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vercel_sql.errors import OperationalError
from vercel_sql.logger import logger
from vercel_sql.server.bounds import MEBIBYTE, PLENTY, Bounds, is_full, resident

log = logger("server")

_TICK = 0.02  # seconds
_LONGEST_LINE = 1 << 20
_NO_THREAD = 127
"""How glibc ends a process that has no memory for what belongs to a thread."""
_START_SECONDS = 60.0
# How often memory is looked at, and how often where more than half of it is taken.
_WATCH_SECONDS, _CLOSE_WATCH_SECONDS = 0.1, 0.02
# Processes that have taken much for so long are replaced: they do not give their memory back.
_PLENTY_SECONDS = 1.0
# Of all memory, what ends the largest: it may go on growing until that is seen.
_MOST = 0.9
# Processes at the same time, of which all but one are being drained.
_MOST_PROCESSES = 3
# Request ids that were carried out and answered.
_MOST_CLAIMS = 100_000
# How long statements may go on in a process that is replaced, and writes that are under way.
_DRAIN_SECONDS, _WRITE_SECONDS = 10.0, 60.0
# How long a process gets to end after the writes that it waits for.
_LAST_SECONDS = 15.0
# How often a short statement is begun again where another one ended its process, and for how long
# after requests were side by side it may have been another one.
_MOST_REPEATS, _SHARED_SECONDS = 10, 5.0
# How long a start is put off at most, where the last process never came to serve.
_LONGEST_DELAY = 30.0

_SEE = "Run vercel-sql recover on the server's machine to see the outcome"
_CARRIED_OUT = (
    "this request_id was carried out before the server's database process was started again, so "
    "nothing was sent now. What it gave is not shown again; its secrets are in the server's "
    "secrets file"
)
_UNKNOWN = (
    "the server's database process ended while this request_id was carried out: the outcome is "
    f"unknown, and nothing was sent now. {_SEE}"
)
_REPLACED = (
    "the server's database process is being replaced, and nothing was sent; run the statement again"
)


class UnansweredError(Exception):
    """An error that a client is sent in place of Quack's answer.

    Attributes:
        repeats: how often a short statement may be begun again, which changed nothing and was
            ended because of another one.
    """

    def __init__(self, said: str, *, repeats: int = 0) -> None:
        super().__init__(said)
        self.repeats = repeats


@dataclass(eq=False)
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
        has_served: whether it ever did.
        is_ending: whether it is to end, and begins no more writes.
        is_over: set when it has ended.
        busy: how many requests are with it.
        shared: when there were several at a time, on the monotonic clock.
        claims: the request ids that it carries out, by session.
        stuck: the sessions whose statements don't end when they should, and why they should.
        heavy: the sessions whose statements compute much, so that they may be what ends it.
        flaw: why it should be replaced.
        problem: why it could not start.
        ended_well: whether all statements had ended when it did.
    """

    def __init__(self, children: Children) -> None:
        self._children = children
        self._address = ""
        self._process: asyncio.subprocess.Process | None = None
        self.token = secrets.token_urlsafe(32).encode()
        self.is_ready = self.has_served = self.is_ending = False
        self.is_over = asyncio.Event()
        self.busy = 0
        self.shared = 0.0
        self.claims: dict[str, set[_Claim]] = {}
        self.stuck: dict[str, str] = {}
        self.heavy: set[str] = set()
        self.flaw = ""
        self.problem: str | None = None
        self.ended_well = True

    @property
    def number(self) -> int:
        """The number of the process; 0 where there is none yet."""
        return 0 if self._process is None else self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and not self.is_over.is_set()

    async def run(self, command: Sequence[str], settings: dict[str, Any]) -> None:
        folder = Path(tempfile.mkdtemp(prefix="vercel-sql-"))
        directory = os.open(folder, os.O_RDONLY)
        try:
            # A socket's address has no more than a hundred characters.
            links = Path("/proc/self/fd")
            place = links / str(directory) if links.exists() else folder
            self._address = str(place / "quack")
            self._process = await self._started(command, settings, str(folder))
            assert self._process.stdout is not None  # noqa: S101 - it is a pipe
            while line := await self._process.stdout.readline():
                self._hear(json.loads(line))
            await self._process.wait()
        finally:
            self.is_over.set()
            self.kill()
            os.close(directory)
            shutil.rmtree(folder, ignore_errors=True)

    async def _started(
        self, command: Sequence[str], settings: dict[str, Any], folder: str
    ) -> asyncio.subprocess.Process:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self._address)
            listener.listen(1024)
            number = listener.fileno()
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[number],
                env={**os.environ, "TMPDIR": folder},
                limit=_LONGEST_LINE,
            )
        token = self.token.decode()
        self.tell(**settings, listener=number, inner_token=token, folder=folder)
        if self._children.is_stopping:
            self.kill()
        return self._process

    def _hear(self, said: dict[str, Any]) -> None:
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
        if self.is_running and self._process and self._process.stdin:
            with suppress(OSError, RuntimeError):
                self._process.stdin.write(json.dumps(words).encode() + b"\n")

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            # Not its kill(), which may take the exit code from asyncio's own watcher.
            if self._process is not None and self._process.returncode is None:
                os.kill(self._process.pid, signal.SIGKILL)

    @property
    def _code(self) -> int | None:
        return None if self._process is None else self._process.returncode

    @property
    def has_crashed(self) -> bool:
        """Whether a statement ended it: by a signal that nobody sent, or DuckDB gave up."""
        crashes = (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, _NO_THREAD)
        return self._code in crashes or (self.has_served and self.problem is not None)

    def how_it_ended(self) -> str:
        if self.problem is None and self._code is not None and self._code < 0:
            with suppress(ValueError):
                return signal.Signals(-self._code).name
        return self.problem or f"exit code {self._code}"

    async def begin(self, body: bytes) -> tuple[int, asyncio.StreamReader, Callable[[], None]]:
        """Sends a request to Quack: the answer's length, the answer, and what closes it."""
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
        session = body[6:38].decode("latin-1")
        if self.claims.get(session):
            return UnansweredError(
                "the server's database process ended while this statement wrote: the outcome is "
                f"unknown. The same request_id will not act again. {_SEE}"
            )
        if self._children.is_stopping:
            return UnansweredError("the server is stopping, and the statement was cut off")
        if session in self.stuck:
            return UnansweredError(f"the statement was cancelled: {self.stuck[session]}")
        advice = ", or ask for less if it needs much memory" if session in self.heavy else ""
        return UnansweredError(
            "the server's database process ended while this statement ran, and is started again. "
            f"The statement changed nothing; run it again{advice}",
            repeats=self._repeats(session),
        )

    def _repeats(self, session: str) -> int:
        """How often a statement may be begun again that lost its process."""
        if session in self.heavy or not (self.flaw or self.has_crashed):
            return 0
        was_shared = self.busy > 0 or time.monotonic() < self.shared + _SHARED_SECONDS
        # One that was alone may have crashed it itself, and is not to do so for long.
        return _MOST_REPEATS if self.flaw or was_shared else 1

    def answered(self, session: str) -> None:
        for claim in self.claims.pop(session, ()):
            claim.is_over = True
        self.heavy.discard(session)


class Children:
    """The database process, and those that it has replaced as long as they are needed.

    Attributes:
        newest: the one that new statements go to.
        has_started: whether there was one that took requests.
        is_stopping: whether all are to end.
    """

    def __init__(self, command: Sequence[str], settings: dict[str, Any], bounds: Bounds) -> None:
        self._command = command
        self._settings = settings
        self._bounds = bounds
        self._claims: OrderedDict[str, _Claim] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: list[Child] = []
        # What takes the newest's place: kept ready as soon as one was needed.
        self._next: Child | None = None
        self._wants_next = False
        self._replacing: Child | None = None
        self.is_stopping = False
        self.has_started = False
        self.newest = Child(self)

    async def start(self) -> None:
        first = self._live(self.newest)
        self._later(self._watch())
        await until(lambda: first.is_ready or first.is_over.is_set())
        if not first.is_ready:
            raise OperationalError(
                first.problem or f"the database process ended ({first.how_it_ended()})"
            )

    async def current(self) -> Child:
        """The process that new statements go to, when it takes them."""
        await until(lambda: self.newest.is_ready and self.newest.is_running, _START_SECONDS)
        if self.newest.is_ready and self.newest.is_running:
            return self.newest
        raise UnansweredError("the server's database process doesn't start; see the server's log")

    async def stop(self, patience: float | None) -> bool:
        """Ends all processes: writes that are under way are waited for; None ends them at once."""
        self.is_stopping = True
        running = list(self._running)
        for child in running:
            if patience is not None and (child.is_ready or child.flaw):
                child.tell(stop=patience)
            else:
                child.kill()
        await until(lambda: not self._running, (patience or 0.0) + _LAST_SECONDS)
        for child in list(self._running):
            child.kill()
            await child.is_over.wait()
        return all(child.ended_well for child in running)

    def claimed(self, child: Child, request_id: str, session: str) -> str | None:
        """Lets a process carry out a request id, unless another one had it."""
        if child.is_ending:
            return _REPLACED
        claim = self._claims.setdefault(request_id, _Claim(child, session))
        if claim.child is not child:
            return _CARRIED_OUT if claim.is_over else _UNKNOWN
        child.claims.get(claim.session, set()).discard(claim)
        child.claims.setdefault(session, set()).add(claim)
        claim.session, claim.is_over = session, False
        if len(self._claims) > _MOST_CLAIMS:
            oldest = next(iter(self._claims))
            self._claims.move_to_end(oldest)
            if self._claims[oldest].is_over:
                del self._claims[oldest]
        return None

    def _live(self, child: Child, delay: float = 0.0) -> Child:
        self._running.append(child)
        self._later(self._lives(child, delay))
        return child

    async def _lives(self, child: Child, delay: float) -> None:
        await until(lambda: self.is_stopping, delay)
        try:
            if not self.is_stopping:
                await child.run(self._command, self._settings)
        except Exception as error:
            child.problem = f"running it failed: {type(error).__name__}"
        finally:
            child.is_over.set()
            self._running.remove(child)
            if child is self._next:
                self._next, self._wants_next = None, False
        if child is not self.newest or self.is_stopping or not self.has_started:
            return
        ended = child.how_it_ended()
        log.warning("the database process ended (%s), and is started again", ended)
        delay = 0.0 if child.has_served else min(_LONGEST_DELAY, 2 * delay + 0.1)
        self.newest = self._next or self._live(Child(self), delay)
        self._next, self._wants_next = None, True

    async def _watch(self) -> None:
        memory = self._bounds.memory * MEBIBYTE
        had_room, taken = time.monotonic(), 0
        while not self.is_stopping:
            is_close = taken > memory // 2
            self._wants_next |= is_close
            await asyncio.sleep(_CLOSE_WATCH_SECONDS if is_close else _WATCH_SECONDS)
            self._renew()
            taken = resident(*(child.number for child in self._running))
            if taken > _MOST * memory:
                self._end_biggest()
            is_short = taken > PLENTY * memory
            if not is_short and not is_full(self.newest.number, self._bounds):
                had_room = time.monotonic()
            elif time.monotonic() > had_room + _PLENTY_SECONDS and not self._are_ending():
                self.newest.flaw = "it does not give memory back"
            if is_short:
                for child in self._running:
                    child.tell(shed=True)

    def _renew(self) -> None:
        """Begins to replace the newest process if it should be, or has another one kept ready."""
        has_room = len(self._running) < _MOST_PROCESSES
        is_flawed = bool(self.newest.flaw) and self._replacing is not self.newest
        if is_flawed and (self._next or has_room):
            self._replacing = self.newest
            self._later(self._replaced(self.newest))
        elif self._wants_next and not self._next and has_room and self.newest.is_ready:
            self._next = self._live(Child(self))

    async def _replaced(self, old: Child) -> None:
        """Has new statements go to another process as soon as it takes them, and ends the old."""
        log.warning("%s: the database process is replaced", old.flaw)
        new = self._next = self._next or self._live(Child(self))
        await until(lambda: new.is_ready or new.is_over.is_set())
        if self.newest is old and self._next is new:
            self.newest, self._next, self._wants_next = new, None, True
        await until(lambda: old.busy <= len(old.stuck), _DRAIN_SECONDS)
        old.is_ending = True
        await until(lambda: not old.claims, _WRITE_SECONDS)
        old.kill()

    def _end_biggest(self) -> None:
        # Those to which new statements go come last.
        kept = (self.newest, self._next)
        biggest = max(self._running, key=lambda c: (c not in kept, resident(c.number)))
        biggest.flaw = "it takes more memory than it may"
        log.warning("%s: the database process is ended", biggest.flaw)
        biggest.kill()

    def _are_ending(self) -> bool:
        return any(child not in (self.newest, self._next) for child in self._running)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def until(condition: Callable[[], bool], seconds: float = float("inf")) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        await asyncio.sleep(_TICK)


def python_command(entry: str) -> list[str]:
    """What starts this Python on a function of a module, with the same path for imports."""
    module, function = entry.split(":")
    code = f"import sys; sys.path[:] = {sys.path!r}; from {module} import {function}; {function}()"
    return [sys.executable, "-P", "-c", code]
