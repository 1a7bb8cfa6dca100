"""Closes connections that nobody closed: when they are dropped, or when the process ends."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from duckdb import DuckDBPyConnection

from vercel_sql.api.leaving import leave


class _Closes(Protocol):
    def close(self) -> None: ...


_all: weakref.WeakSet[_Closes] = weakref.WeakSet()


def closed_at_its_end(
    connection: _Closes, native: DuckDBPyConnection
) -> weakref.finalize[..., Any]:
    """Has a connection closed that nobody closes; gives what does so when it is dropped.

    DuckDB holds our functions, and these hold DuckDB: Python alone never clears them away.

    Args:
        connection: the connection.
        native: the DuckDB connection in it.
    """
    _all.add(connection)
    return when_dropped(connection, native.close)


def when_dropped(held: object, act: Callable[[], None]) -> weakref.finalize[..., Any]:
    """Has something done once nobody holds an object any more, but not at the process's end."""
    dropped = weakref.finalize(held, _act, act, os.getpid())
    dropped.atexit = False
    return dropped


def _act(act: Callable[[], None], pid: int) -> None:
    """Acts on a thread of its own, since the garbage collector runs anywhere, within DuckDB too.

    After a fork, DuckDB's threads are in the parent, and closing would wait for them.
    """
    if os.getpid() == pid:
        threading.Thread(target=act, name="vercel-sql-dropped", daemon=True).start()


@atexit.register
def _close_all() -> None:
    """Closes what is still open: DuckDB 2.0 complains on stderr about objects that outlive it."""
    leave()
    for connection in list(_all):
        connection.close()
