"""How long a statement may go on, and who may end it: all that it waits for is a future."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, InvalidStateError, wait
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from queue import SimpleQueue
from typing import Any, TypeVar

from vercel_sql.errors import (
    ParameterError,
    StatementCancelledError,
    StatementTimeoutError,
    WaitTooLongError,
)
from vercel_sql.text import spelled

T = TypeVar("T")
# How many seconds a write that was sent is waited for when its statement is stopped: its answer
# may hold a secret that is shown only once.
GRACE = 1.0
# How many threads without work are kept; beyond that, one ends with its work.
_MOST_IDLE = 16
_task: ContextVar[Future[Any] | None] = ContextVar("vercel_sql_task", default=None)
_own: ContextVar[CancelScope | None] = ContextVar("vercel_sql_scope", default=None)


class AbandonedError(StatementCancelledError):
    """Work abandoned by a cancelled scope keeps running, detached."""


class LimitWaits:
    """How long a statement waits for rate limits; threads that wait side by side count once."""

    def __init__(self, most: float | None = None, *, adds_up: bool = True) -> None:
        self._most, self._adds_up = most, adds_up
        self._total = self._until = 0.0
        self._lock = threading.Lock()

    def begin(self, seconds: float, what: str) -> None:
        """Counts a wait that begins now; raises `WaitTooLongError` where it would be too long."""
        now = time.monotonic()
        with self._lock:
            until = max(now + seconds, self._until)
            total = self._total + until - max(now, self._until) if self._adds_up else seconds
            if self._most is not None and total > self._most:
                raise WaitTooLongError(
                    f"{what} only in {spelled(seconds)}, and max_wait allows "
                    f"{self._most:g} s of waiting for rate limits",
                    wait=total,
                    limit=self._most,
                )
            self._total, self._until = total, until


class CancelScope:
    """One statement: it ends when its time is over, or when somebody cancels it.

    Threads may share a scope. Blocking work runs on a thread of its own, so that its caller
    returns at once even in the middle of a request, a name lookup or a TLS handshake; the result
    of abandoned work is dropped.

    Attributes:
        timeout: how many seconds it may take altogether; None does not limit it.
        interruption: the Ctrl-C that cancelled it, where one did.
    """

    def __init__(self, timeout: float | None = None, waits: LimitWaits | None = None) -> None:
        self.timeout = timeout
        self.interruption: KeyboardInterrupt | None = None
        self._waits = waits or LimitWaits()
        self._end = None if timeout is None else time.monotonic() + timeout
        self._cancelled: Future[None] = Future()

    def __repr__(self) -> str:
        limit = "no limit" if self.timeout is None else f"{self.timeout:g} s"
        return f"<CancelScope: {limit}{', cancelled' if self.is_cancelled else ''}>"

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody cancelled it; a scope whose time is over isn't cancelled."""
        return self._cancelled.done()

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be begun."""
        return self.is_cancelled or self.remaining() == 0

    def remaining(self) -> float | None:
        """The seconds that are left; None where there is no limit."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def within(self, seconds: float) -> float:
        """So many seconds, or what is left, where that is less; never quite 0."""
        left = self.remaining()
        return seconds if left is None else max(0.001, min(seconds, left))

    def cancel(self) -> None:
        """Ends it: whoever waits, on any thread, returns at once."""
        with suppress(InvalidStateError):
            self._cancelled.set_result(None)

    def interrupt(self, signal: KeyboardInterrupt) -> None:
        """Ends it because of a Ctrl-C, which is raised when the statement has ended."""
        self.interruption = self.interruption or signal
        self.cancel()

    def child(self) -> CancelScope:
        """A scope with the same end that can be cancelled alone; cancelling this doesn't."""
        child = CancelScope()
        child.timeout, child._end, child._waits = self.timeout, self._end, self._waits
        return child

    def successor(self) -> CancelScope:
        """A fresh scope with the same limits, for what comes after this one is cancelled."""
        return CancelScope(self.timeout, self._waits)

    def check(self) -> None:
        """Raises where it is over: `StatementCancelledError` or `StatementTimeoutError`."""
        if self.is_cancelled:
            raise StatementCancelledError("the statement was interrupted")
        if self.remaining() == 0:
            raise self.timed_out()

    def timed_out(self) -> StatementTimeoutError:
        """The error for a statement whose time is over."""
        return StatementTimeoutError(
            f"the statement was stopped after {self.timeout:g} s (timeout)"
        )

    def wait(self, *futures: Future[Any], most: float | None = None) -> None:
        """Waits until a future is done, the scope is over, or `most` seconds have passed."""
        seconds = self.remaining() if most is None else self.within(most)
        wait([*futures, self._cancelled], seconds, FIRST_COMPLETED)

    def sleep(
        self,
        seconds: float,
        until: Future[None] | None = None,
        what: str = "the next thing to do is",
    ) -> None:
        """Sleeps, or until `until` is done; raises at once where there isn't the time."""
        self._require_time(seconds, what)
        seconds = min(max(0.0, seconds), threading.TIMEOUT_MAX)
        wait([self._cancelled, *filter(None, [until])], seconds, FIRST_COMPLETED)
        if self.is_cancelled:
            self.check()

    def begin_limit_wait(self, seconds: float, what: str) -> None:
        """Counts a wait for a rate limit that begins now; raises if it is too long."""
        self._require_time(seconds, what)
        self._waits.begin(seconds, what)

    def _require_time(self, seconds: float, what: str) -> None:
        left = self.remaining()
        if left is not None and left < seconds:
            # Waiting for nothing would only make the answer late.
            raise StatementTimeoutError(
                f"the statement may take {self.timeout:g} s (timeout), and {what} only in "
                f"{seconds:.1f} s"
            )

    def run(self, act: Callable[[], T], most: float | None = None) -> T:
        """Does blocking work on another thread, and returns at once when the scope ends.

        The work itself goes on. Raises TimeoutError if it takes longer than `most` seconds.
        """
        self.check()
        return self.result(workers.submit(act), most)

    def result(self, task: Future[T], most: float | None = None) -> T:
        """The result of a task, as for `run`."""
        self.wait(task, most=most)
        if not task.done():
            self.check()
            raise TimeoutError if most is not None else self.timed_out()
        return task.result()

    def run_to_end(self, act: Callable[[], T], grace: float, overtime: float = 0.0) -> T:
        """Does work that can't be repeated: it is waited for a little longer when the scope ends.

        That is `grace` in seconds, or `overtime` where its time is over, nobody cancelled it, and
        that is more. A Ctrl-C meanwhile cancels the scope and is not raised here; a second one is.

        Raises:
            StatementCancelledError: the scope was over before.
            AbandonedError: the scope ended, and so did the grace. The work goes on.
            KeyboardInterrupt: the second Ctrl-C.
        """
        self.check()
        task = workers.submit(act)
        try:
            self.wait(task)
            either: list[Future[Any]] = [task, self._cancelled]
            wait(either, max(grace, overtime), FIRST_COMPLETED)
        except KeyboardInterrupt as first:
            self.interrupt(first)
        if self.is_cancelled:
            wait([task], grace)
        if not task.done():
            raise AbandonedError(self.why_over())
        return task.result()

    def why_over(self) -> str:
        """Why nothing is waited for any more, in words."""
        return "it was interrupted" if self.is_cancelled else str(self.timed_out())


@contextmanager
def scoped(scope: CancelScope) -> Iterator[None]:
    """Limits what this thread does by a scope of its own, whatever becomes of the statement."""
    token = _own.set(scope)
    try:
        yield
    finally:
        _own.reset(token)


def own_scope() -> CancelScope | None:
    """The scope of its own that limits this thread, if one does."""
    return _own.get()


def current_task() -> Future[Any] | None:
    """The task that this worker carries out; None on any other thread."""
    return _task.get()


def checked_seconds(name: str, seconds: float, *, zero: bool = False) -> float:
    """A number of seconds above 0 (or of at least 0), else a `ParameterError`."""
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not (0 < seconds <= threading.TIMEOUT_MAX or (zero and seconds == 0)):
        allowed = "of at least 0" if zero else "above 0"
        raise ParameterError(f"{name} must be a number of seconds {allowed}, not {seconds!r}")
    return seconds


class _Workers:
    """Daemon threads for blocking work, kept for reuse; unlike an executor's, never joined."""

    def __init__(self) -> None:
        self._idle: list[SimpleQueue[Any]] = []

    def submit(self, act: Callable[[], T], future: Future[T] | None = None) -> Future[T]:
        """Has a thread do something in a copy of this thread's context."""
        future = future or Future()
        try:
            work = self._idle.pop()
        except IndexError:
            work = SimpleQueue()
            threading.Thread(
                target=self._serve, args=(work,), name="vercel-sql-request", daemon=True
            ).start()
        context = copy_context()
        context.run(_task.set, future)
        work.put((context, act, future))
        return future

    def _serve(self, work: SimpleQueue[Any]) -> None:
        is_kept = True
        while is_kept:
            context, act, future = work.get()
            result: Any = None
            failure: BaseException | None = None
            try:
                result = context.run(act)
            except BaseException as error:
                failure = error
            # Free before the result is out: whoever gets it may have the next thing to do.
            is_kept = len(self._idle) < _MOST_IDLE
            if is_kept:
                self._idle.append(work)
            # Nothing that the work needed is held by this thread once it counts as done.
            del context, act
            if failure is None:
                future.set_result(result)
            else:
                future.set_exception(failure)
            del future, result, failure


workers = _Workers()
if hasattr(os, "register_at_fork"):
    # The threads do not come along.
    os.register_at_fork(after_in_child=workers.__init__)  # type: ignore[misc]
