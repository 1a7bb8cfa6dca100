"""Does what can't be undone for each of many, so many at a time, and stops where one fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from vercel_sql.errors import StatementCancelledError, StatementTimeoutError
from vercel_sql.runtime.scope import AbandonedError, CancelScope, scoped, workers

T = TypeVar("T")


@dataclass(frozen=True)
class Ended(Generic[T]):
    """How one of many ended.

    Attributes:
        result: what it gave.
        error: why it gave nothing. An `AbandonedError` where its end was not waited for; any other
            `StatementCancelledError` where it was stopped before it sent anything.
    """

    result: T | None = None
    error: BaseException | None = None


class SideBySide(Generic[T]):
    """Does a thing for each of many; each is begun once, in order, and never again.

    Nothing is begun any more once one has failed, or the scope is over. What has not sent anything
    by then, since it waits for a rate limit, does not send it. What has is waited for: for as long
    as it takes where one failed, and for the grace where the scope is over.

    Args:
        scope: what stops them.
        act: does it for one, given its number. It runs on another thread.
        count: how many there are.
        most: how many may be under way at a time.
        grace: how many seconds to wait when the scope is over.
        settle: finds the outcome of one that failed, given its number and the error: gives its
            result, or raises the error to be told. None is begun meanwhile.
    """

    def __init__(
        self,
        scope: CancelScope,
        act: Callable[[int], T],
        count: int,
        *,
        most: int,
        grace: float,
        settle: Callable[[int, BaseException], T] | None = None,
    ) -> None:
        self._act, self._settle = act, settle
        self._count, self._most = count, most
        self._scope, self._grace = scope, grace
        # Ends with the first failure, which the statement's own scope does not.
        self._brake = scope.child()
        self._begun: list[Future[T]] = []
        self._started: set[int] = set()
        self._settling: set[int] = set()
        self._deadline: float | None = None
        self._lock = threading.Lock()
        self._first_error: BaseException | None = None

    @property
    def stopped_by(self) -> BaseException | None:
        """Why not all were done: what failed first, or what ended the scope; None if nothing."""
        stop = self._first_error or self._scope.interruption
        if stop is None and self._scope.is_over:
            try:
                self._scope.check()
            except StatementCancelledError as error:
                return error
        return stop

    def run(self) -> list[Ended[T] | None]:
        """How each of them ended; None for those that were never begun.

        A Ctrl-C ends the scope, and is not raised here; a second one ends the waiting.
        """
        interrupted = False
        while True:
            try:
                self._begin_more()
                if not self._wait():
                    break
            except KeyboardInterrupt as error:
                self._scope.interrupt(error)
                if interrupted:
                    break
                interrupted = True
        self._brake.cancel()
        return [self._outcome(number) for number in range(self._count)]

    def _under_way(self) -> list[Future[T]]:
        return [each for each in self._begun if not each.done()]

    def _may_begin(self) -> bool:
        is_over = self._brake.is_over or self._scope.is_over
        return len(self._begun) < self._count and not self._settling and not is_over

    def _begin_more(self) -> None:
        while self._may_begin() and len(self._under_way()) < self._most:
            # Noted first: wherever a Ctrl-C comes, none is begun twice.
            task: Future[T] = Future()
            self._begun.append(task)
            workers.submit(partial(self._carry_out, len(self._begun) - 1), task)

    def _carry_out(self, number: int) -> T:
        try:
            with scoped(self._brake):
                self._brake.check()
                self._started.add(number)
                return self._act_and_settle(number)
        except BaseException as error:
            with self._lock:
                stopped = self._brake.is_over and not isinstance(error, StatementTimeoutError)
                if self._first_error is None and not stopped:
                    self._first_error = error
            self._brake.cancel()
            raise

    def _act_and_settle(self, number: int) -> T:
        try:
            return self._act(number)
        except Exception as error:
            if self._settle is None:
                raise
            self._settling.add(number)
            try:
                return self._settle(number, error)
            finally:
                self._settling.discard(number)

    def _wait(self) -> bool:
        """Waits until something happens; False where nothing is left, or it is too late."""
        under_way = self._under_way()
        if not under_way:
            # One that ended since may have made room for the next.
            return self._may_begin()
        if not self._scope.is_over:
            self._scope.wait(*under_way)
            return True
        self._brake.cancel()
        self._deadline = self._deadline or time.monotonic() + self._grace
        left = self._deadline - time.monotonic()
        wait(under_way, max(0.0, left), FIRST_COMPLETED)
        return left > 0

    def _outcome(self, number: int) -> Ended[T] | None:
        task = self._begun[number] if number < len(self._begun) else None
        if task is not None and task.done():
            error = task.exception()
            return Ended(error=error) if error is not None else Ended(task.result())
        if number in self._started:
            return Ended(error=AbandonedError(self._scope.why_over()))
        return None
