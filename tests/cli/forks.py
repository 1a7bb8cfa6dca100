"""Starts the command in forks of one process that has imported everything.

A process of its own takes most of a second of processor time to import what it needs; a fork takes
hundredths. It shows the same, except what Python itself reads when it starts.
"""

from __future__ import annotations

import atexit
import fcntl
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, NoReturn

FORKS = hasattr(os, "pidfd_open")
"""Whether this system can do it."""

_LARGEST = 1 << 20


class Popen(subprocess.Popen):
    """A `subprocess.Popen` of ``vercel-sql`` and its arguments.

    It leads a session of its own, whose terminal is its standard input if that is one.
    """

    def _execute_child(self, args: Sequence[str], *options: Any) -> None:
        cwd, env, pipes = options[4], options[5], options[9:15]
        theirs = (pipes[0], pipes[3], pipes[5])
        streams = [own if given == -1 else given for own, given in enumerate(theirs)]
        self.pid = _server().start(args[1:], cwd or os.getcwd(), env or os.environ, streams)
        self._child_created = True
        self._close_pipe_fds(*pipes)

    def _internal_poll(self, *_args: Any, **_options: Any) -> int | None:
        if self.returncode is None:
            self.returncode = _server().code(self.pid, 0)
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if self.returncode is None:
            self.returncode = _server().code(self.pid, timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode


class _Server:
    """The process that forks, as the tests see it."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        from ..absent_tools import without_tools

        env = {name: value for name, value in os.environ.items() if "VERCEL" not in name}
        env |= without_tools()
        self._process = subprocess.Popen([sys.executable, __file__], stdin=theirs, env=env)
        theirs.close()
        self._lock = threading.Lock()
        self._codes: dict[int, int] = {}
        atexit.register(self._close)

    def start(
        self, arguments: Sequence[str], cwd: str, env: Mapping[str, str], streams: Sequence[int]
    ) -> int:
        job = json.dumps([list(arguments), cwd, dict(env)]).encode()
        with self._lock:
            socket.send_fds(self._control, [job], streams)
            while True:
                kind, *values = json.loads(self._control.recv(_LARGEST))
                if kind == "started":
                    self._codes.pop(values[0], None)  # of an earlier fork with that number
                    return values[0]
                self._codes[values[0]] = values[1]

    def code(self, pid: int, timeout: float | None) -> int | None:
        """The exit code of a fork; None if it still runs when the time is over."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._lock:
                while pid not in self._codes and select.select([self._control], [], [], 0)[0]:
                    _, ended, code = json.loads(self._control.recv(_LARGEST))
                    self._codes[ended] = code
                if pid in self._codes:
                    return self._codes[pid]
            left = 1.0 if end is None else end - time.monotonic()
            if left <= 0:
                return None
            select.select([self._control], [], [], min(left, 1.0))

    def _close(self) -> None:
        self._control.close()
        self._process.wait(timeout=60)


@cache
def _server() -> _Server:
    return _Server()


def _serve(control: socket.socket) -> None:
    """Forks for each job, and reports each fork's end, until nobody listens."""
    children: dict[int, int] = {}  # by the handle that is ready when they end
    while True:
        for handle in select.select([control, *children], [], [])[0]:
            if handle is control:
                job, streams, _, _ = socket.recv_fds(control, _LARGEST, 3)
                if not job:
                    for child in children.values():
                        os.kill(child, signal.SIGKILL)
                    return
                child = os.fork()
                if child == 0:
                    _become(streams, *json.loads(job))
                for stream in streams:
                    os.close(stream)
                children[os.pidfd_open(child)] = child
                control.send(json.dumps(["started", child]).encode())
            else:
                child = children.pop(handle)
                os.close(handle)
                code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                control.send(json.dumps(["ended", child, code]).encode())


def _become(
    streams: Sequence[int], arguments: Sequence[str], cwd: str, env: Mapping[str, str]
) -> NoReturn:
    """Becomes the command, as a new process would."""
    code: object = 113  # whatever goes wrong before it begins
    try:
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.closerange(3, 1024)
        if os.isatty(0):
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        os.environ.clear()
        os.environ.update(env)
        time.tzset()
        os.chdir(cwd)
        sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        sys.argv = ["vercel-sql", *arguments]
        from vercel_sql.cli.main import entry_point

        code = 0
        entry_point()
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def _import() -> None:
    package = importlib.import_module("vercel_sql")
    for module in pkgutil.walk_packages(package.__path__, "vercel_sql."):
        with suppress(ImportError):  # what is for notebooks
            importlib.import_module(module.name)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _import()
    _serve(socket.socket(fileno=os.dup(0)))
