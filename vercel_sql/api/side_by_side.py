"""Does what can't be undone for each of many, so many at a time, and stops where one fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, Queue
from typing import Any, Generic, TypeVar

from vercel_sql.api.cancel_scope import AbandonedError, workers
from vercel_sql.api.client import Client
from vercel_sql.errors import StatementCancelledError, StatementTimeoutError

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
    """

    def __init__(
        self,
        client: Client,
        act: Callable[[int], T],
        count: int,
        *,
        most: int,
        grace: float,
        settle: Callable[[int, BaseException], T] | None = None,
    ) -> None:
        self._client = client
        self._act = act
        self._settle = settle
        self._most = most
        self._grace = grace
        self._scope = client.current_scope
        # Ends with the first failure, which the statement's own scope does not.
        self._brake = self._scope.part()
        self._next = 0
        self._under_way: set[int] = set()
        self._settling = 0
        self._started = [False] * count
        self._ended: list[Ended[T] | None] = [None] * count
        # Only wakes whoever waits: what is put may get lost where a Ctrl-C comes within its get.
        self._word: Queue[Any] = Queue()
        self._late: float | None = None
        self._lock = threading.Lock()
        self._first_error: BaseException | None = None

    @property
    def stopped_by(self) -> BaseException | None:
        """Why not all were done: what failed first, or what ended the scope; None if nothing."""
        if self._first_error is not None:
            return self._first_error
        if self._scope.interruption is not None:
            return self._scope.interruption
        try:
            self._scope.check()
        except StatementCancelledError as error:
            return error
        return None

    def run(self) -> list[Ended[T] | None]:
        """Begins all of them, as far as it goes, and waits for what was begun.

        A Ctrl-C ends the scope, and is not raised here; a second one ends the waiting.
        """
        with self._scope.told(self._word):
            interrupted = False
            while True:
                try:
                    self._begin_more()
                    if not self._under_way or not self._wait():
                        return self._given_up()
                except KeyboardInterrupt as error:
                    self._scope.interruption = self._scope.interruption or error
                    self._scope.cancel()
                    if interrupted:
                        return self._given_up()
                    interrupted = True

    def _begin_more(self) -> None:
        self._under_way = {number for number in self._under_way if self._ended[number] is None}
        while (
            self._next < len(self._ended)
            and len(self._under_way) < self._most
            and not self._settling
            and not self._brake.is_over
            and not self._scope.is_over
        ):
            number = self._next
            # Noted first: wherever a Ctrl-C comes, none is begun twice.
            self._next += 1
            self._under_way.add(number)
            workers.begin(partial(self._carry_out, number), self._word)

    def _carry_out(self, number: int) -> None:
        try:
            with self._client.apart(self._brake):
                self._brake.check()
                self._started[number] = True
                self._ended[number] = Ended(self._act_and_settle(number))
        except BaseException as error:
            with self._lock:
                stopped = self._brake.is_over and not isinstance(error, StatementTimeoutError)
                if self._first_error is None and not stopped:
                    self._first_error = error
            self._ended[number] = Ended(error=error)
            self._brake.cancel()

    def _act_and_settle(self, number: int) -> T:
        try:
            return self._act(number)
        except Exception as error:
            if self._settle is None:
                raise
            with self._settling_one():
                return self._settle(number, error)

    @contextmanager
    def _settling_one(self) -> Iterator[None]:
        with self._lock:
            self._settling += 1
        try:
            yield
        finally:
            with self._lock:
                self._settling -= 1

    def _wait(self) -> bool:
        """Waits until something happens; False where it is too late to go on waiting."""
        left = self._scope.remaining()
        if self._scope.is_over:
            self._brake.cancel()
            if self._late is None:
                self._late = time.monotonic() + self._grace
            left = self._late - time.monotonic()
            if left <= 0:
                return False
        with suppress(Empty):
            self._word.get(timeout=left)
        return True

    def _given_up(self) -> list[Ended[T] | None]:
        """What came of each so far; the others go on without anybody who waits for them."""
        self._brake.cancel()
        found = list(self._ended)
        for number, ended in enumerate(found):
            if ended is None and self._started[number]:
                interrupted = self._scope.is_cancelled
                reason = "it was interrupted" if interrupted else str(self._scope.timed_out())
                found[number] = Ended(error=AbandonedError(reason))
        return found
