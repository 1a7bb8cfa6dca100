"""Stops what DuckDB computes when its statement is over: DuckDB itself knows nothing of that."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import duckdb

from vercel_sql.api import CancelScope

# After how many seconds DuckDB is told again, and then after twice as long, and so on: what it is
# told just before it begins to compute, it forgets.
_AGAIN = 0.25


class _Running:
    """What runs in DuckDB for a statement."""

    def __init__(self, scope: CancelScope, stop: Callable[[], None]) -> None:
        self._scope = scope
        self._stop = stop
        self._pause = _AGAIN
        self._due = 0.0

    def tend(self, now: float) -> float:
        """Stops it where it is over; gives when to look after it again."""
        if not self._scope.is_over:
            left = self._scope.remaining()
            return math.inf if left is None else now + left
        if now >= self._due:
            with suppress(duckdb.Error):
                self._stop()
            self._due = now + self._pause
            self._pause *= 2
        return self._due


class Stopping:
    """Looks after everything that runs in DuckDB, on one thread for the whole process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: set[_Running] = set()
        self._wakes = math.inf
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, scope: CancelScope, stop: Callable[[], None]) -> Iterator[None]:
        """Stops DuckDB, while the context lasts, when a scope is over; never afterwards.

        Args:
            scope: the statement's scope.
            stop: stops DuckDB.
        """
        running = _Running(scope, stop)
        left = scope.remaining()
        with self._changed:
            self._running.add(running)
            if left is not None and time.monotonic() + left < self._wakes:
                self._wake()
        try:
            yield
        except (RuntimeError, KeyboardInterrupt):
            # A signal that Python met on its way; DuckDB goes on with what it has begun.
            with suppress(duckdb.Error):
                stop()
            raise
        finally:
            with self._changed:
                self._running.discard(running)

    def look(self) -> None:
        """Looks after all: somebody has cancelled a scope."""
        with self._changed:
            if self._running:
                self._wake()

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._tend, name="vercel-sql-stopping", daemon=True
            )
            self._thread.start()
        self._changed.notify()

    def _tend(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                self._wakes = min((each.tend(now) for each in self._running), default=math.inf)
                self._changed.wait(None if self._wakes == math.inf else self._wakes - now)


stopping = Stopping()
"""The one of this process."""
if hasattr(os, "register_at_fork"):
    # The thread does not come along.
    os.register_at_fork(after_in_child=stopping.__init__)  # type: ignore[misc]
