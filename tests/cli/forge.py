"""Runs the command again and again in a fraction of the time: each run is a fork of one process.

That process has imported what the command does, and has opened nothing. A fork of it gets the
environment, the streams and the place of one cell of a table, and then is the command: what it
reads when it is imported is the only thing that it can't show, and has cells in processes of its
own.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import pkgutil
import pwd
import resource
import signal
import sys
import time
from contextlib import suppress
from typing import Any, NoReturn


def main() -> None:
    """Takes one run a line, and gives how each ended a line."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _import()
    takes, gives = sys.stdin, os.fdopen(os.dup(1), "w")
    for line in takes:
        gives.write(json.dumps(_run(json.loads(line))) + "\n")
        gives.flush()


def _import() -> None:

    import vercel_sql.connection.opening

    for module in pkgutil.walk_packages(vercel_sql.__path__, "vercel_sql."):
        with suppress(ImportError):  # what is for notebooks
            importlib.import_module(module.name)
    from vercel_sql.http import handlers

    # What is tried again is tried again at once: how long is waited is no matter here.
    handlers.pause = lambda *_: 0.0


def _run(job: dict[str, Any]) -> dict[str, Any]:
    pipes = {name: os.pipe() for name in ("out", "err") if job[name] in ("pipe", "slow")}
    if job["out"] == "slow":
        fcntl.fcntl(pipes["out"][1], fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(pipes["out"][1], job["blocking"])
    child = os.fork()
    if child == 0:
        try:
            _become(job, {name: pipe[1] for name, pipe in pipes.items()})
        finally:
            os._exit(113)  # whatever went wrong before the command began
    for _, writer in pipes.values():
        os.close(writer)
    read, end = {}, time.monotonic() + job["seconds"]
    try:
        for reader, _ in pipes.values():
            os.set_blocking(reader, False)
        readers = {reader: name for name, (reader, _) in pipes.items()}
        if job["out"] == "slow":
            time.sleep(job["pause"])
        if job["interrupts"]:  # while nobody reads
            for _ in range(job["interrupts"]):
                os.kill(child, signal.SIGINT)
                time.sleep(0.2)
            code, usage = _ended(child, end)
            read = _read(readers, end)
        else:
            read = _read(readers, end, 2048 if job["out"] == "slow" else 1 << 20)
            code, usage = _ended(child, end)
    finally:
        for reader, _ in pipes.values():
            os.close(reader)
    return {"code": code, "out": "", "err": "", **read, **usage}


def _read(readers: dict[int, str], end: float, most: int = 1 << 20) -> dict[str, str]:
    """What comes until the pipes close, or time is over."""
    import select

    came: dict[str, bytes] = dict.fromkeys(readers.values(), b"")
    still = set(readers)
    while still and time.monotonic() < end:
        for reader in select.select(list(still), [], [], 0.2)[0]:
            piece = os.read(reader, most)
            came[readers[reader]] += piece
            if not piece:
                still.discard(reader)
    return {name: content.decode("utf-8", "backslashreplace") for name, content in came.items()}


def _ended(child: int, end: float) -> tuple[int | str, dict[str, float]]:
    """The exit code, and what it took: seconds of computing, and mebibytes at most."""
    while time.monotonic() < end:
        found, status, usage = os.wait4(child, os.WNOHANG)
        if found:
            took = {"cpu": usage.ru_utime + usage.ru_stime, "memory": usage.ru_maxrss / 1024}
            return os.waitstatus_to_exitcode(status), took
        time.sleep(0.005)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hang", {}


def _become(job: dict[str, Any], writers: dict[str, int]) -> None:
    os.environ.clear()
    os.environ.update(job["env"])
    time.tzset()
    os.makedirs(job["cwd"], exist_ok=True)
    os.chdir(job["cwd"])
    if job["gone"]:
        os.rmdir(job["cwd"])
    if job["largest"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["largest"],) * 2)
    opened = [_opened(job["in"], os.O_RDONLY, None)]
    opened += [_opened(job[n], os.O_WRONLY, writers.get(n)) for n in ("out", "err")]
    for number, handle in enumerate(opened):
        if handle is None:
            os.close(number)
        else:
            os.dup2(handle, number)
    os.closerange(3, 200)
    # As Python does it at the start.
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        mode = "r" if number == 0 else "w"
        stream = None
        if opened[number] is not None:
            stream = open(number, mode, closefd=False, encoding="utf-8")  # noqa: SIM115
        setattr(sys, name, stream)
    if job["nobody"]:
        # As a container has it, whose user is a number that nobody has entered anywhere.
        pwd.getpwuid = _not_entered
    sys.argv = ["vercel-sql", *job["arguments"]]
    from vercel_sql.cli.main import entry_point

    code: object = 0
    try:
        entry_point()
    except SystemExit as ended:
        code = ended.code
    finally:
        # As Python does it at the end.
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
    os._exit(code if isinstance(code, int) else 0)


def _not_entered(uid: int) -> NoReturn:
    raise KeyError(f"getpwuid(): uid not found: {uid}")


def _opened(what: str, flags: int, writer: int | None) -> int | None:
    if what == "closed":
        return None
    if what in ("pipe", "slow"):
        return writer
    if what == "no reader":
        reader, alone = os.pipe()
        os.close(reader)
        return alone
    return os.open(what, flags)


if __name__ == "__main__":
    main()
