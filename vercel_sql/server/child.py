"""The database process: it runs a server until the one that started it says so, or is gone."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import duckdb

from vercel_sql.errors import Error, InterfaceError, ParameterError
from vercel_sql.server.bounds import Bounds, limit_memory
from vercel_sql.server.server import Server

_PATIENCE = 60.0
_NICER = 5


class Link:
    """What a database process hears from the one that started it, and says to it.

    Attributes:
        settings: what it was told first.
        listener: the socket on which it takes requests.
        token: what they bring.
    """

    def __init__(self) -> None:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # they mean the one that started it
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_IGN)
        self._out = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)  # whatever else prints
        self._lock = threading.Lock()
        self._is_alone = False
        self._replies: dict[str, queue.SimpleQueue[str | None]] = {}
        self.settings: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
        self.listener = socket.socket(fileno=self.settings.pop("listener"))
        self.token: str = self.settings.pop("inner_token")
        self._folder: str = self.settings.pop("folder")

    def say(self, **words: Any) -> None:
        """Says something."""
        with self._lock, suppress(OSError):  # nobody may listen any more
            self._out.write(json.dumps(words).encode() + b"\n")
            self._out.flush()

    def give_up(self) -> NoReturn:
        """Ends the process, whose database is broken, so that it is started again."""
        self.say(problem="DuckDB gave up the database after an internal error")
        leave(1)

    def clear_away(self) -> None:
        """Removes the folder of the process where the one that started it is gone."""
        if self._is_alone:
            shutil.rmtree(self._folder, ignore_errors=True)

    def claim(self, request_id: str, session: str) -> None:
        """Asks whether this process may carry out a request id: another may have had it."""
        reply: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        with self._lock:
            self._replies[request_id] = reply
        self.say(claim=request_id, session=session)
        try:
            refused = reply.get(timeout=_PATIENCE)
        except queue.Empty:
            raise InterfaceError("the server is stopping; nothing was sent") from None
        if refused is not None:
            raise ParameterError(refused)

    def obey(self, server: Server) -> float:
        """Does what it is told until it is to stop; gives for how long writes are waited for."""
        for line in sys.stdin.buffer:
            words = json.loads(line)
            if "stop" in words:
                return float(words["stop"])
            if "claim" in words:
                with self._lock:
                    reply = self._replies.pop(words["claim"], None)
                if reply is not None:
                    reply.put(words["refused"])
            elif "cancel" in words:
                server.sessions.cancel(words["cancel"])
            elif "end" in words:
                # A statement that still runs is waited for.
                end = threading.Thread(target=server.sessions.end, args=(words["end"],))
                try:
                    end.start()
                except RuntimeError:  # no memory for a thread: the session stays, without results
                    server.sessions.cancel(words["end"])
            elif "shed" in words:
                server.sessions.shed()
        self._is_alone = True
        return _PATIENCE


def live(link: Link, make: Callable[[], Server], bounds: Bounds) -> int:
    """Runs a server until the process is to end; gives its exit code."""
    limit_memory(bounds)
    try:
        server = make()
    except Error as error:
        link.say(problem=str(error))
        return 1
    step_back()
    link.say(ready=True)
    patience = link.obey(server)
    try:
        stopped = server.close(patience)
    except (RuntimeError, MemoryError, duckdb.Error):
        stopped = False  # after its writes, it had no memory or thread left for the rest
    link.say(stopped=stopped)
    link.clear_away()
    return 0


def step_back() -> None:
    """Lets others come first where statements take all processors.

    Those are what watches this process, and another one that starts because it is needed.
    """
    tasks = Path("/proc/self/task")
    if not tasks.exists():
        if hasattr(os, "nice"):
            os.nice(_NICER)
        return
    # Linux counts each thread by itself, and DuckDB's are there by now.
    for task in tasks.iterdir():
        with suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, int(task.name), _NICER)


def leave(code: int) -> NoReturn:
    """Ends the process at once: a DuckDB thread may still want Python, which can't end then."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code)
