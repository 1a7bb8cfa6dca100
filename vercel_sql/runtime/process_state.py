"""State of the process: what its clients share, and background work to finish at its exit."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Generic, TypeVar
from weakref import WeakSet, WeakValueDictionary

from vercel_sql.runtime.scope import AbandonedError, CancelScope, current_task
from vercel_sql.text import SAID_AFTER, say

T = TypeVar("T")
# How many seconds the renewal of a login is waited for: without its end, one has to log in again.
_RENEWAL_SECONDS = 5.0
# How many seconds the threads of writes have to note that these were given up.
_NOTING_SECONDS = 1.0


class Shared(Generic[T]):
    """One object a key for the whole process; forgotten with the last who holds it."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._all: WeakValueDictionary[Hashable, T] = WeakValueDictionary()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> T:
        """The object of a key, which is made where nobody holds one."""
        with self._lock:
            found = self._all.get(key)
            if found is None:
                found = self._all[key] = self._make()
            return found


class SentScope(CancelScope):
    """The scope of a write that was sent: nothing ends it but the end of the process."""

    def __init__(self) -> None:
        super().__init__()
        self.task = current_task()
        _sent.add(self)

    def check(self) -> None:
        """Raises `AbandonedError` where the process ends."""
        if self.is_cancelled:
            raise AbandonedError("the process ended")


class _Renewals:
    """The renewals of a login that are under way."""

    def __init__(self) -> None:
        self._all: set[Future[None]] = set()

    @contextmanager
    def one(self) -> Iterator[None]:
        """One is under way while the context lasts."""
        renewal: Future[None] = Future()
        self._all.add(renewal)
        try:
            yield
        finally:
            self._all.discard(renewal)
            renewal.set_result(None)

    def wait(self, seconds: float) -> bool:
        """Waits until none is under way; False where one still is."""
        return not wait(list(self._all), seconds).not_done


_sent: WeakSet[SentScope] = WeakSet()
renewals = _Renewals()
if hasattr(os, "register_at_fork"):
    # The threads do not come along.
    os.register_at_fork(after_in_child=renewals.__init__)  # type: ignore[misc]
    os.register_at_fork(after_in_child=_sent.clear)


def leave() -> None:
    """Ends, as far as possible, what is under way: the process is about to end.

    A thread that waits for the answer to a write would keep all that the write needed, and DuckDB
    2.0 complains on stderr about objects that outlive it.
    """
    if not renewals.wait(SAID_AFTER):
        say("Waiting for the renewal of the saved login, which can't be repeated …")
        renewals.wait(_RENEWAL_SECONDS - SAID_AFTER)
    scopes = list(_sent)
    for scope in scopes:
        scope.cancel()
    wait([scope.task for scope in scopes if scope.task is not None], _NOTING_SECONDS)
