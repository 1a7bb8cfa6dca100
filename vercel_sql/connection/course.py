"""One statement from its start to its last row, and what may end it before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from duckdb import DuckDBPyConnection

from vercel_sql.api import CancelScope
from vercel_sql.connection.ctrl_c import CtrlC, rest
from vercel_sql.connection.stopping import stopping


class Course:
    """The course of one statement.

    Args:
        scope: how long it may go on.
        native: the DuckDB connection that it runs on.

    Attributes:
        ctrl_c: a context in which a Ctrl-C ends it.
        is_computed: whether all its rows are there, and none is still to be computed or requested.
    """

    def __init__(self, scope: CancelScope, native: DuckDBPyConnection) -> None:
        self.scope = scope
        self.ctrl_c = CtrlC(scope)
        self.is_computed = True
        self._native = native

    @contextmanager
    def running(self) -> Iterator[None]:
        """It runs; a Ctrl-C is ours until its last row was read, or until it has failed."""
        try:
            with self.ctrl_c:
                yield
        except BaseException:
            rest()
            raise
        if self.is_computed:
            rest()

    def stoppable(self) -> AbstractContextManager[None]:
        """DuckDB works on it, and is stopped when its time is over or somebody cancels it."""
        return stopping.watching(self.scope, self._native.interrupt)

    def cancel(self) -> None:
        """Ends it, from another thread."""
        self.scope.cancel()
        stopping.look()
