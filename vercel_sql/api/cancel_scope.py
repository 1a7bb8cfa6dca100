"""How long a statement may go on, and who may end it: all that it waits for, it waits for here."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import partial
from queue import Empty, Queue, SimpleQueue
from typing import Any, TypeAlias, TypeVar, cast

from vercel_sql.api.durations import spelled
from vercel_sql.errors import (
    ParameterError,
    StatementCancelledError,
    StatementTimeoutError,
    WaitTooLongError,
)

T = TypeVar("T")
Box: TypeAlias = Queue[Any] | SimpleQueue[Any]
# How many seconds a write that was sent is waited for when its statement is stopped: its answer
# may hold a secret that is shown only once.
GRACE = 1.0
_CANCELLED = object()
_work_done: ContextVar[threading.Event | None] = ContextVar("vercel_sql_work_done", default=None)
_waited_for: ContextVar[bool] = ContextVar("vercel_sql_waited_for", default=False)
# How many threads without work are kept; beyond that, one ends with its work.
_MOST_IDLE = 16


@contextmanager
def waited_for() -> Iterator[None]:
    """Says that this thread may block: whoever waits for it comes back by `CancelScope.take`."""
    token = _waited_for.set(True)
    try:
        yield
    finally:
        _waited_for.reset(token)


class AbandonedError(StatementCancelledError):
    """What was under way when a scope ended goes on without anybody who waits for it."""


class LimitWaits:
    """How long a statement waits for rate limits; threads that wait side by side count once."""

    def __init__(self, most: float | None = None, *, adds_up: bool = True) -> None:
        self._most = most
        self._adds_up = adds_up
        self._total = self._until = 0.0
        self._lock = threading.Lock()

    def begin(self, seconds: float, what: str) -> None:
        """Counts a wait that begins now."""
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

    Threads may share a scope. What blocks runs on a thread of its own, so that whoever waits for
    it comes back at once, in the middle of a request, a name lookup or a TLS handshake too; what
    comes of it afterwards is dropped.

    Attributes:
        interruption: the Ctrl-C that cancelled it, where one did.
    """

    def __init__(self, timeout: float | None = None, waits: LimitWaits | None = None) -> None:
        self.timeout = timeout
        self._waits = waits or LimitWaits()
        self._end = None if timeout is None else time.monotonic() + timeout
        self._waiting: set[Box] = set()
        self._lock = threading.Lock()
        self._is_cancelled = False
        self.interruption: KeyboardInterrupt | None = None

    def __repr__(self) -> str:
        limit = "no limit" if self.timeout is None else f"{self.timeout:g} s"
        return f"<CancelScope: {limit}{', cancelled' if self._is_cancelled else ''}>"

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody cancelled it; that its time is over is another thing."""
        return self._is_cancelled

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be begun."""
        left = self.remaining()
        return self._is_cancelled or (left is not None and left <= 0)

    def remaining(self) -> float | None:
        """The seconds that are left; None where there is no limit."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def within(self, seconds: float) -> float:
        """So many seconds, or what is left, where that is less; never quite 0."""
        left = self.remaining()
        return seconds if left is None else max(0.001, min(seconds, left))

    def cancel(self) -> None:
        """Ends it: whoever waits, on any thread, comes back at once."""
        with self._lock:
            self._is_cancelled = True
            for box in self._waiting:
                box.put(_CANCELLED)

    def interrupt(self, signal: KeyboardInterrupt) -> None:
        """Ends it because of a Ctrl-C, which is raised when the statement has ended."""
        self.interruption = self.interruption or signal
        self.cancel()

    def part(self) -> CancelScope:
        """A scope that is over no later by time, and that can be cancelled without this one.

        Who cancels this one is not heard in it: whoever made it passes that on.
        """
        part = CancelScope()
        part.timeout, part._end, part._waits = self.timeout, self._end, self._waits
        return part

    def successor(self) -> CancelScope:
        """A scope for what comes when this one is cancelled."""
        return CancelScope(self.timeout, self._waits)

    def check(self) -> None:
        """Goes on only where it is not over."""
        if self._is_cancelled:
            raise StatementCancelledError("the statement was interrupted")
        if self._end is not None and time.monotonic() >= self._end:
            raise self.timed_out()

    def timed_out(self) -> StatementTimeoutError:
        """The error for a statement whose time is over."""
        return StatementTimeoutError(
            f"the statement was stopped after {self.timeout:g} s (timeout)"
        )

    def sleep(
        self,
        seconds: float,
        box: Box | None = None,
        what: str = "the next thing to do is",
    ) -> bool:
        """Waits, unless the scope ends before."""
        self._require_time(seconds, what)
        with self.told(Queue() if box is None else box) as told:
            try:
                told.get(timeout=min(max(0.0, seconds), threading.TIMEOUT_MAX))
            except Empty:
                return False
        self.check()
        return True

    def begin_limit_wait(self, seconds: float, what: str) -> None:
        """Counts a wait for a rate limit, which begins now."""
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
        """Carries out what blocks, on another thread, and comes back at once when the scope ends."""
        if _waited_for.get():
            self.check()
            return act()
        with self._begun(act) as box:
            return cast(T, _result(self._take(box, most)))

    def take(self, box: Box) -> Any:
        """The next of what another thread puts into a box, unless the scope ends before."""
        with self.told(box):
            return self._take(box)

    def _take(self, box: Box, most: float | None = None) -> Any:
        try:
            found = box.get(timeout=self.remaining() if most is None else self.within(most))
        except Empty:
            self.check()
            if most is None:
                raise self.timed_out() from None
            raise TimeoutError from None
        if found is _CANCELLED:
            self.check()
        return found

    def run_to_end(self, act: Callable[[], T], grace: float, overtime: float = 0.0) -> T:
        """Carries out what can't be had again: waits a little longer for it when the scope ends.

        A Ctrl-C that comes meanwhile cancels the scope and is not raised here; a second one is.
        """
        with self._begun(act) as box:
            try:
                outcome = self._until_over(box)
                if outcome is _CANCELLED:
                    outcome = self._until_late(box, grace, max(grace, overtime))
            except KeyboardInterrupt as first:
                self.interrupt(first)
                outcome = self._until_late(box, grace, grace)
            return cast(T, _result(outcome))

    def _until_over(self, box: Queue[Any]) -> Any:
        """What came of the work, or word that the scope ended."""
        try:
            return box.get(timeout=self.remaining())
        except Empty:
            return _CANCELLED

    def _until_late(self, box: Queue[Any], grace: float, overtime: float) -> Any:
        """What came of the work after the scope ended."""
        end = time.monotonic() + (grace if self._is_cancelled else overtime)
        while True:
            try:
                outcome = box.get(timeout=max(0.0, end - time.monotonic()))
            except Empty:
                reason = "it was interrupted" if self._is_cancelled else str(self.timed_out())
                raise AbandonedError(reason) from None
            if outcome is not _CANCELLED:
                return outcome
            end = min(end, time.monotonic() + grace)

    @contextmanager
    def _begun(self, act: Callable[[], object]) -> Iterator[Queue[Any]]:
        """What comes of some work is put into the box, and so is word that the scope ended."""
        self.check()
        with self._box() as box:
            workers.begin(act, box)
            yield box

    @contextmanager
    def _box(self) -> Iterator[Queue[Any]]:
        # No SimpleQueue: after a Ctrl-C within its get, the next get may miss what is put.
        box: Queue[Any] = Queue()
        with self.told(box):
            yield box

    @contextmanager
    def told(self, box: Box) -> Iterator[Box]:
        """Puts word into a box when the scope is cancelled."""
        with self._lock:
            self._waiting.add(box)
            if self._is_cancelled:
                box.put(_CANCELLED)
        try:
            yield box
        finally:
            with self._lock:
                self._waiting.discard(box)


def work_done() -> threading.Event | None:
    """What is set when this worker has done what it does now; None on any other thread."""
    return _work_done.get()


def checked_seconds(name: str, seconds: float, *, zero: bool = False) -> float:
    """A number of seconds that somebody who is not type-checked gave."""
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not (0 < seconds <= threading.TIMEOUT_MAX or (zero and seconds == 0)):
        allowed = "from 0 on" if zero else "above 0"
        raise ParameterError(f"{name} is {seconds!r}, and takes a number of seconds {allowed}")
    return seconds


def _result(outcome: Any) -> Any:
    result, error = outcome
    if error is not None:
        raise error
    return result


class _Workers:
    """Threads that carry out what blocks; they are kept for the next, and hold up no exit."""

    def __init__(self) -> None:
        self._idle: list[Queue[Any]] = []
        self._lock = threading.Lock()

    def begin(self, act: Callable[[], Any], box: Queue[Any]) -> None:
        """Has a thread do something and put result and error into a box."""
        with self._lock:
            work = self._idle.pop() if self._idle else None
        if work is None:
            work = Queue()
            threading.Thread(
                target=self._serve, args=(work,), name="vercel-sql-request", daemon=True
            ).start()
        # What the thread that asks knows about itself, such as its cause, holds there too; but
        # nobody waits for that thread as for this one.
        context = copy_context()
        context.run(_waited_for.set, False)
        done = threading.Event()
        context.run(_work_done.set, done)
        work.put((partial(context.run, act), box, done))

    def _serve(self, work: Queue[Any]) -> None:
        while True:
            act, box, done = work.get()
            outcome: tuple[Any, BaseException | None]
            try:
                outcome = act(), None
            except BaseException as error:
                outcome = None, error
            # Free before the result is out: whoever gets it may have the next thing to do.
            with self._lock:
                kept = len(self._idle) < _MOST_IDLE
                if kept:
                    self._idle.append(work)
            box.put(outcome)
            del act, box, outcome
            done.set()
            if not kept:
                return


workers = _Workers()
if hasattr(os, "register_at_fork"):
    # The threads do not come along.
    os.register_at_fork(after_in_child=workers.__init__)  # type: ignore[misc]
