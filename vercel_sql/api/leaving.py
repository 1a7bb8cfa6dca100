"""What still goes on without anybody who waits for it when the process ends."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakSet

from vercel_sql.api.cancel_scope import AbandonedError, CancelScope, work_done
from vercel_sql.messages import SAID_AFTER, say

# How many seconds the renewal of a login is waited for: without its end, one has to log in again.
_RENEWAL_SECONDS = 5.0
# How many seconds the threads of writes have to note that these were given up.
_NOTING_SECONDS = 1.0


class SentScope(CancelScope):
    """The scope of a write that was sent: nothing ends it but the end of the process."""

    def __init__(self) -> None:
        super().__init__()
        self.done = work_done()
        _sent.add(self)

    def check(self) -> None:
        """Goes on unless the process ends."""
        if self.is_cancelled:
            raise AbandonedError("the process ended")


class _Renewals:
    """How many renewals of a login are under way."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """One is under way while the context lasts."""
        with self._changed:
            self._count += 1
        try:
            yield
        finally:
            with self._changed:
                self._count -= 1
                self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """Waits until none is under way; False where one still is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._count, seconds)


_sent: WeakSet[SentScope] = WeakSet()
renewals = _Renewals()
if hasattr(os, "register_at_fork"):
    # The threads do not come along.
    os.register_at_fork(after_in_child=renewals.__init__)  # type: ignore[misc]
    os.register_at_fork(after_in_child=_sent.clear)


def leave() -> None:
    """Ends, as well as it goes, what goes on: the process is about to end.

    A thread that waits for the answer to a write would keep all that the write needed, and DuckDB
    2.0 complains on stderr about objects that outlive it.
    """
    if not renewals.wait(SAID_AFTER):
        say("Waiting for the renewal of the saved login, which can't be repeated …")
        renewals.wait(_RENEWAL_SECONDS - SAID_AFTER)
    end = time.monotonic() + _NOTING_SECONDS
    waiting = list(_sent)
    for scope in waiting:
        scope.cancel()
    for scope in waiting:
        if scope.done is not None:
            scope.done.wait(max(0.0, end - time.monotonic()))
