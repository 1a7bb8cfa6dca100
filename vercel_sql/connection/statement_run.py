"""One statement from its start to its last row, and what may end it before.

DuckDB knows nothing of a statement's time or of who cancels it: a thread of this process stops it.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import duckdb
from duckdb import DuckDBPyConnection

from vercel_sql.api import CancelScope, Client
from vercel_sql.interrupts import StatementInterrupt
from vercel_sql.sql.running.plan import Plan

# After how many seconds DuckDB is told again, and then after twice as long, and so on: what it is
# told just before it begins to compute, it forgets.
_AGAIN = 0.25


class StatementRun:
    """The run of one statement.

    Args:
        scope: how long it may go on.
        client: sends its requests.
        native: the DuckDB connection that it runs on.

    Attributes:
        ctrl_c: a context in which a Ctrl-C ends it.
        is_computed: whether all its rows are there, and none is still to be computed or requested.
    """

    def __init__(self, scope: CancelScope, client: Client, native: DuckDBPyConnection) -> None:
        self.scope = scope
        self.ctrl_c = StatementInterrupt(scope, _watch.look)
        self.is_computed = True
        self._client = client
        self._native = native
        self._is_under_way = False
        self._pause = _AGAIN
        self._due = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """It runs, until its last row was read, or until it has failed."""
        self._client.scope, self._is_under_way = self.scope, True
        try:
            with self.ctrl_c:
                yield
        except BaseException:
            self._leave()
            raise
        if self.is_computed:
            self._leave()

    def end(self) -> None:
        """Its last row was read."""
        if self._is_under_way:
            self.is_computed = True
            self._leave()

    def _leave(self) -> None:
        self._is_under_way = False
        self._client.leave_scope()

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """DuckDB works on it, and is stopped when its scope is over; never afterwards."""
        _watch.add(self)
        try:
            yield
        except (RuntimeError, KeyboardInterrupt):
            # A signal that Python met on its way; DuckDB goes on with what it has begun.
            self._stop()
            raise
        finally:
            _watch.remove(self)

    def _stop(self) -> None:
        with suppress(duckdb.Error):
            self._native.interrupt()

    def tend(self, now: float) -> float:
        """Stops DuckDB where the scope is over; gives when to look after it again."""
        if not self.scope.is_over:
            left = self.scope.remaining()
            return math.inf if left is None else now + left
        if now >= self._due:
            self._stop()
            self._due = now + self._pause
            self._pause *= 2
        return self._due

    def asked(self, approve: Callable[[Plan], bool] | None) -> Callable[[Plan], bool] | None:
        """The caller's own question, to which a Ctrl-C is an answer."""
        if approve is None:
            return None

        def ask(plan: Plan) -> bool:
            with self.ctrl_c.asking():
                return approve(plan)

        return ask

    def cancel(self) -> None:
        """Ends it, from another thread; where it has ended, what runs beside our statements."""
        if self._is_under_way:
            self.scope.cancel()
        self._client.interrupt_idle()
        _watch.look()


class _Watch:
    """Looks after everything that runs in DuckDB, on one thread for the whole process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: set[StatementRun] = set()
        self._wakes = math.inf
        self._thread: threading.Thread | None = None

    def add(self, run: StatementRun) -> None:
        left = run.scope.remaining()
        with self._changed:
            self._running.add(run)
            if left is not None and time.monotonic() + left < self._wakes:
                self._wake()

    def remove(self, run: StatementRun) -> None:
        with self._changed:
            self._running.discard(run)

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


_watch = _Watch()
if hasattr(os, "register_at_fork"):
    # The thread does not come along.
    os.register_at_fork(after_in_child=_watch.__init__)  # type: ignore[misc]
