"""One statement from its start to its last row, and what may end it before."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import duckdb
from duckdb import DuckDBPyConnection

from vercel_sql.http.client import Client
from vercel_sql.runtime.scope import CancelScope
from vercel_sql.runtime.signals import StatementInterrupt
from vercel_sql.sql.plan import Plan

# After how many seconds DuckDB is told again, and then after twice as long, and so on: what it is
# told just before it begins to compute, it forgets.
_AGAIN = 0.25


class StatementRun(StatementInterrupt):
    """The run of one statement, and a context in which a Ctrl-C ends it.

    Attributes:
        is_computed: whether all its rows are there, and none is still to be computed or requested.
    """

    def __init__(self, scope: CancelScope, client: Client, native: DuckDBPyConnection) -> None:
        super().__init__(scope)
        self.is_computed = True
        self._client = client
        self._native = native
        self._is_under_way = False
        self._lock = threading.Lock()
        # Set when DuckDB does not work on it any more; None before it begins.
        self._ended: threading.Event | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """It runs, until its last row was read, or until it has failed."""
        self._client.scope, self._is_under_way = self.scope, True
        try:
            with self:
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
        ended = self._ended = threading.Event()
        left = self.scope.remaining()
        timer = None if left is None else threading.Timer(left, self._stop_until, [ended])
        if timer is not None:
            timer.name, timer.daemon = "vercel-sql-timeout", True
            timer.start()
        if self.scope.is_cancelled:
            self.stop()
        try:
            yield
        except (RuntimeError, KeyboardInterrupt):
            # A signal that Python met on its way; DuckDB goes on with what it has begun.
            with suppress(duckdb.Error):
                self._native.interrupt()
            raise
        finally:
            with self._lock:
                ended.set()
            if timer is not None:
                timer.cancel()

    def stop(self) -> None:
        """Stops DuckDB, if it works on the statement: its scope was cancelled."""
        if self._ended is not None and not self._ended.is_set():
            stop = threading.Thread(
                target=self._stop_until, args=[self._ended], name="vercel-sql-stop", daemon=True
            )
            stop.start()

    def _stop_until(self, ended: threading.Event) -> None:
        """Tells DuckDB to stop, which knows nothing of scopes, again and again."""
        pause = _AGAIN
        while True:
            with self._lock:
                if ended.is_set():
                    return
                with suppress(duckdb.Error):
                    self._native.interrupt()
            ended.wait(pause)
            pause *= 2

    def asked(self, approve: Callable[[Plan], bool] | None) -> Callable[[Plan], bool] | None:
        """The caller's own question, to which a Ctrl-C is an answer."""
        if approve is None:
            return None

        def ask(plan: Plan) -> bool:
            with self.asking():
                return approve(plan)

        return ask

    def cancel(self) -> None:
        """Ends it, from another thread; where it has ended, what runs beside our statements."""
        if self._is_under_way:
            self.scope.cancel()
        self._client.interrupt_idle()
        if self.scope.is_cancelled:
            self.stop()
