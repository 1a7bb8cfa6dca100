"""Closes connections that nobody closed: when they are dropped, or when the process ends."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from typing import Protocol

from duckdb import DuckDBPyConnection

from vercel_sql.api.leaving import leave


class _Closes(Protocol):
    def close(self) -> None: ...


_all: weakref.WeakSet[_Closes] = weakref.WeakSet()


def closed_at_its_end(
    connection: _Closes, native: DuckDBPyConnection
) -> weakref.finalize[[DuckDBPyConnection, int], _Closes]:
    """Has a connection closed that nobody closes.

    DuckDB holds our functions, and these hold DuckDB: Python alone never clears them away.

    Args:
        connection: the connection.
        native: the DuckDB connection in it.

    Returns:
        What closes the DuckDB connection when the other one is dropped.
    """
    dropped = weakref.finalize(connection, _close_dropped, native, os.getpid())
    dropped.atexit = False
    _all.add(connection)
    return dropped


def _close_dropped(native: DuckDBPyConnection, pid: int) -> None:
    """Closes what a connection leaves.

    On a thread of its own, since the garbage collector runs anywhere, within DuckDB too. After a
    fork, DuckDB's threads are in the parent, and closing would wait for them.
    """
    if os.getpid() == pid:
        threading.Thread(target=native.close, name="vercel-sql-dropped", daemon=True).start()


@atexit.register
def _close_all() -> None:
    """Closes what is still open: DuckDB 2.0 complains on stderr about objects that outlive it."""
    leave()
    for connection in list(_all):
        connection.close()
