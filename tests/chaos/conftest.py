"""Operators whose commands can be killed, and what they leave behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from vercel_sql.simulator import Simulator

from ..absent_tools import without_tools

SCRIPT = Path(__file__).with_name("forking.py")


@dataclass(frozen=True)
class Ended:
    """A command that has ended; a negative code is the signal that ended it."""

    code: int
    out: str
    err: str


class Operator:
    """Somebody who runs one command after the other, each in a process of its own."""

    def __init__(self, folder: Path, sim: Simulator | None = None) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        environment = without_tools() | {
            "PATH": os.environ["PATH"],
            "VERCEL_SQL_STATE_DIR": str(folder / "state"),
            "VERCEL_SQL_CONFIG_DIR": str(folder / "config"),
            "VERCEL_SQL_KEYRING": "off",
            "HOME": str(folder),
        }
        if sim is not None:
            environment["VERCEL_TOKEN"] = sim.token
            environment["VERCEL_API_URL"] = environment["VERCEL_OAUTH_URL"] = sim.url
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(
        self,
        name: str,
        *arguments: str,
        kill_when: Callable[[], object] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Ended:
        """Runs a command; where `kill_when` says so, it is killed with a SIGKILL."""
        out, err = self.folder / f"{name}.out", self.folder / f"{name}.err"
        for each in (out, err):
            each.touch(0o600)  # it may be killed before it has opened them
        command = {"arguments": arguments, "out": str(out), "err": str(err), "env": dict(env or {})}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        child = int(self._process.stdout.readline())
        ended = threading.Event()
        killer = threading.Thread(target=_kill, args=(child, kill_when, ended))
        killer.start()
        code = int(self._process.stdout.readline())
        ended.set()
        killer.join()
        return Ended(code, *(each.read_text(encoding="utf-8") for each in (out, err)))

    def close(self) -> None:
        """Ends it, with whatever it still runs."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate(timeout=30)


def _kill(child: int, when: Callable[[], object] | None, ended: threading.Event) -> None:
    if when is None:
        return
    while not ended.is_set():
        if when():
            # The child may have ended just now; it is not reaped before we are done.
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            return
        ended.wait(0.005)


@pytest.fixture
def operators(tmp_path: Path) -> Iterator[Callable[[Simulator], Operator]]:
    """Starts operators, who share one folder, one state directory and one secrets file."""
    started: list[Operator] = []

    def start(sim: Simulator) -> Operator:
        started.append(Operator(tmp_path, sim))
        return started[-1]

    yield start
    for operator in started:
        operator.close()
