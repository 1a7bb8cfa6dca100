"""One statement from its start to its last row, and what may end it before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from duckdb import DuckDBPyConnection

from vercel_sql.api import CancelScope, Client
from vercel_sql.connection.ctrl_c import CtrlC, rest
from vercel_sql.connection.stopping import stopping
from vercel_sql.sql.plan import Plan


class Course:
    """The course of one statement.

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
        self.ctrl_c = CtrlC(scope)
        self.is_computed = True
        self._client = client
        self._native = native
        self._is_under_way = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """It runs; a Ctrl-C is ours until its last row was read, or until it has failed."""
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
        rest()

    def stoppable(self) -> AbstractContextManager[None]:
        """DuckDB works on it, and is stopped when its time is over or somebody cancels it."""
        return stopping.watching(self.scope, self._native.interrupt)

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
        stopping.look()
