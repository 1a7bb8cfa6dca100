"""The process that DuckDB runs in: started, watched, and started again when it ends."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from vercel_sql.errors import OperationalError
from vercel_sql.logger import logger
from vercel_sql.server.bounds import MEBIBYTE, PLENTY, Bounds, resident
from vercel_sql.server.process import TICK, Child, UnansweredError, until

if TYPE_CHECKING:
    from vercel_sql.server.front import Front

log = logger("server")

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

_CARRIED_OUT = (
    "this request_id was carried out before the server's database process was started again, so "
    "nothing was sent now. What it gave is not shown again; its secrets are in the server's "
    "secrets file"
)
_UNKNOWN = (
    "the server's database process ended while this request_id was carried out: the outcome is "
    "unknown, and nothing was sent now. Run vercel-sql recover on the server's machine to see the "
    "outcome"
)


_REPLACED = (
    "the server's database process is being replaced, and nothing was sent; run the statement again"
)


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
        self._memory = bounds.memory * MEBIBYTE
        self._claims: OrderedDict[str, _Claim] = OrderedDict()
        # Those that are not over, by process and session.
        self._open: dict[tuple[Child, str], set[_Claim]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: list[Child] = []
        # What takes the newest's place: kept ready as soon as one was needed.
        self._next: Child | None = None
        self._wants_next = False
        self._replacing: Child | None = None
        self.is_stopping = False
        self.has_started = False
        self.newest = Child(self)

    def start(self) -> None:
        """Starts the first process."""
        self._live(self.newest)
        self._later(self._watch())

    async def current(self) -> Child:
        """The process that new statements go to, when it takes them."""
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            if self.newest.is_ready and self.newest.is_running:
                return self.newest
            await asyncio.sleep(TICK)
        raise UnansweredError("the server's database process does not start; its log says why")

    async def require(self) -> None:
        """Waits for the first process."""
        first = self.newest
        while not (first.is_ready or first.is_over.is_set()):
            await asyncio.sleep(TICK)
        if not first.is_ready:
            raise OperationalError(
                first.problem or f"the database process ended ({first.how_it_ended()})"
            )

    async def _replaced(self, old: Child) -> None:
        """Has new statements go to another process as soon as it takes them, and ends the old."""
        log.warning("%s: the database process is replaced", old.flaw)
        new = self._next = self._next or self._live(Child(self))
        while not (new.is_ready or new.is_over.is_set()):
            await asyncio.sleep(TICK)
        if self.newest is old and self._next is new:
            self.newest, self._next, self._wants_next = new, None, True
        await until(lambda: old.busy <= len(old.stuck), _DRAIN_SECONDS)
        old.is_ending = True
        await until(lambda: all(child is not old for child, _ in self._open), _WRITE_SECONDS)
        old.kill()

    async def stop(self, patience: float) -> bool:
        """Ends all processes: writes that are under way are waited for."""
        self.is_stopping = True
        running = list(self._running)
        for child in running:
            if child.is_ready or child.flaw:
                child.tell(stop=patience)
            else:
                child.kill()
        end = time.monotonic() + patience + _LAST_SECONDS
        while self._running and time.monotonic() < end:
            await asyncio.sleep(TICK)
        await self.kill()
        return all(child.ended_well for child in running)

    async def kill(self) -> None:
        """Ends all processes at once."""
        self.is_stopping = True
        running = list(self._running)
        for child in running:
            child.kill()
        for child in running:
            await child.is_over.wait()

    def claimed(self, child: Child, request_id: str, session: str) -> str | None:
        """Lets a process carry out a request id, unless another one had it."""
        if child.is_ending:
            return _REPLACED
        claim = self._claims.setdefault(request_id, _Claim(child, session))
        if claim.child is child:
            self._open.get((child, claim.session), set()).discard(claim)
            self._open.setdefault((child, session), set()).add(claim)
            claim.session, claim.is_over = session, False
            if len(self._claims) > _MOST_CLAIMS:
                self._forget_claim()
            return None
        return _CARRIED_OUT if claim.is_over else _UNKNOWN

    def _forget_claim(self) -> None:
        oldest = next(iter(self._claims))
        if self._claims[oldest].is_over:
            del self._claims[oldest]
        else:
            self._claims.move_to_end(oldest)

    def answered(self, child: Child, session: str) -> None:
        """Notes that a client got the answer of its statement."""
        for claim in self._open.pop((child, session), ()):
            claim.is_over = True
        child.heavy.discard(session)

    def said_of(self, child: Child, body: bytes) -> UnansweredError:
        """What the client is told whose request was with a process that ended."""
        session = body[6:38].decode("latin-1")
        if self._open.get((child, session)):
            return UnansweredError(
                "the server's database process ended while this statement wrote: the outcome is "
                "unknown. The same request_id will not act again. Run vercel-sql recover on the "
                "server's machine to see the outcome"
            )
        if self.is_stopping:
            return UnansweredError("the server is stopping, and the statement was cut off")
        if session in child.stuck:
            return UnansweredError(f"the statement was cancelled: {child.stuck[session]}")
        advice = ", or ask for less if it needs much memory" if session in child.heavy else ""
        return UnansweredError(
            "the server's database process ended while this statement ran, and is started again. "
            f"The statement changed nothing; run it again{advice}",
            repeats=self._repeats(child, session),
        )

    def _repeats(self, child: Child, session: str) -> int:
        """How often a statement may be begun again that lost its process."""
        if session in child.heavy or not (child.flaw or child.has_crashed):
            return 0
        was_shared = child.busy > 0 or time.monotonic() < child.shared + _SHARED_SECONDS
        # One that was alone may have crashed it itself, and is not to do so for long.
        return _MOST_REPEATS if child.flaw or was_shared else 1

    def _live(self, child: Child, delay: float = 0.0) -> Child:
        self._running.append(child)
        self._later(self._lives(child, delay))
        return child

    async def _lives(self, child: Child, delay: float) -> None:
        begin = time.monotonic() + delay
        while time.monotonic() < begin and not self.is_stopping:
            await asyncio.sleep(TICK)
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
        log.warning(
            "the database process ended (%s), and is started again",
            child.problem or child.how_it_ended(),
        )
        delay = 0.0 if child.has_served else min(_LONGEST_DELAY, 2 * delay + 0.1)
        self.newest = self._next or self._live(Child(self), delay)
        self._next, self._wants_next = None, True

    async def _watch(self) -> None:
        had_room, taken = time.monotonic(), 0
        while not self.is_stopping:
            is_close = taken > self._memory // 2
            self._wants_next |= is_close
            await asyncio.sleep(_CLOSE_WATCH_SECONDS if is_close else _WATCH_SECONDS)
            has_room = len(self._running) < _MOST_PROCESSES
            is_flawed = bool(self.newest.flaw) and self._replacing is not self.newest
            if is_flawed and (self._next or has_room):
                self._replacing = self.newest
                self._later(self._replaced(self.newest))
            elif self._wants_next and not self._next and has_room and self.newest.is_ready:
                self._next = self._live(Child(self))
            taken = resident(*(child.number for child in self._running))
            if taken > _MOST * self._memory:
                # Those to which new statements go come last.
                kept = (self.newest, self._next)
                biggest = max(self._running, key=lambda c: (c not in kept, resident(c.number)))
                biggest.flaw = "it takes more memory than it may"
                log.warning("%s: the database process is ended", biggest.flaw)
                biggest.kill()
            is_short = taken > PLENTY * self._memory
            if not is_short and not self.newest.is_full(self._bounds):
                had_room = time.monotonic()
            elif time.monotonic() > had_room + _PLENTY_SECONDS and not self._are_ending():
                self.newest.flaw = "it does not give memory back"
            if is_short:
                for child in self._running:
                    child.tell(shed=True)

    def _are_ending(self) -> bool:
        """Whether there are processes that others have taken the place of."""
        return any(child not in (self.newest, self._next) for child in self._running)

    def _later(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def python_command(entry: str) -> list[str]:
    """What starts this Python on a function of a module, with the same path for imports."""
    module, function = entry.split(":")
    code = f"import sys; sys.path[:] = {sys.path!r}; from {module} import {function}; {function}()"
    return [sys.executable, "-P", "-c", code]


T = TypeVar("T")
_FLUSH_SECONDS = 2.0


class Supervisor:
    """Serves until it is closed."""

    def __init__(self, children: Children, front: Front) -> None:
        self._children = children
        self._front = front
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        started = asyncio.run_coroutine_threadsafe(self._start(), self._loop)
        try:
            started.result()
        except BaseException:
            started.cancel()
            self.kill()
            raise

    async def _start(self) -> None:
        self._children.start()
        await self._children.require()
        await self._front.start()

    def close(self, patience: float = 60.0) -> bool:
        """Ends it: clients are told, and writes that are under way are waited for."""
        ended = self._run(self._stop(patience))
        self._end()
        return ended

    async def _stop(self, patience: float) -> bool:
        ended = await self._children.stop(patience)
        await self._front.end(_FLUSH_SECONDS)
        return ended

    def kill(self) -> None:
        """Ends it at once."""
        self._run(self._kill())
        self._end()

    async def _kill(self) -> None:
        await self._children.kill()
        await self._front.end(_FLUSH_SECONDS)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
