"""The command line as a user runs it: in a process of its own, or in this one."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from vercel_sql.cli.main import main
from vercel_sql.simulator import Simulator

from ..absent_tools import without_tools

_SCRIPT = Path(sys.executable).with_name("vercel-sql")
COMMAND = (
    [str(_SCRIPT)]
    if _SCRIPT.exists()
    else [sys.executable, "-c", "from vercel_sql.cli.main import entry_point; entry_point()"]
)
PATIENCE = 60
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")
_KEPT += ("VERCEL_SQL_CONFIG_DIR", "VERCEL_SQL_STATE_DIR", "VERCEL_SQL_KEYRING", "XDG_DATA_HOME")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def environment(sim: Simulator | None = None, **more: str) -> dict[str, str]:
    """What the command finds in its environment: nothing of who runs the tests."""
    env = {name: os.environ[name] for name in _KEPT if name in os.environ} | without_tools()
    if sim is not None:
        env |= {"VERCEL_TOKEN": sim.token, "VERCEL_API_URL": sim.url}
    return env | more


@contextmanager
def started(
    arguments: Sequence[str], env: Mapping[str, str], **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A running command, which is ended with the context."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([*COMMAND, *arguments], env=env, **{**pipes, **options})
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


@pytest.fixture
def command() -> Callable[..., Ended]:
    """Runs the command in a process: ``command("-c", "SELECT 1", sim=sim, stdin=b"…")``."""

    def run(
        *arguments: str,
        sim: Simulator | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        **options: Any,
    ) -> Ended:
        variables = environment(sim, **(env or {}))
        given = {"stdin": subprocess.DEVNULL} if stdin is None else {"stdin": subprocess.PIPE}
        with started(arguments, variables, **{**given, **options}) as process:
            out, err = process.communicate(stdin, timeout=PATIENCE)
            return Ended(process.returncode, (out or b"").decode(), (err or b"").decode())

    return run


@pytest.fixture
def here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """Runs the command in this process, which takes a fraction of the time."""

    def run(*arguments: str, sim: Simulator | None = None, stdin: bytes = b"") -> Ended:
        with monkeypatch.context() as patch:
            if sim is not None:
                patch.setenv("VERCEL_TOKEN", sim.token)
                patch.setenv("VERCEL_API_URL", sim.url)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            capsys.readouterr()
            try:
                code = main(arguments)
            except SystemExit as ended:
                code = ended.code
        return Ended(code, *capsys.readouterr())

    return run
