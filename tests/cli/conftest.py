"""The command line as a user runs it: in a process of its own, a fork of one, or in this one."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from vercel_sql.cli.main import main
from vercel_sql.simulator import Simulator

from ..absent_tools import without_tools
from .forks import FORKS, Popen

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

    code: int | str
    out: str
    err: str
    cpu: float = 0.0
    memory: float = 0.0


def environment(sim: Simulator | None = None, **more: str) -> dict[str, str]:
    """What the command finds in its environment: nothing of who runs the tests."""
    env = {name: os.environ[name] for name in _KEPT if name in os.environ} | without_tools()
    if sim is not None:
        env |= {"VERCEL_TOKEN": sim.token, "VERCEL_API_URL": sim.url}
    return env | more


def popen(
    arguments: Sequence[str], env: Mapping[str, str], *, forked: bool = FORKS, **options: Any
) -> subprocess.Popen[bytes]:
    """Starts the command: a fork, unless a test is about what Python does when it starts."""
    if forked and "preexec_fn" not in options:
        return Popen(["vercel-sql", *arguments], env=env, **options)
    return subprocess.Popen([*COMMAND, *arguments], env=env, **options)


@contextmanager
def started(
    arguments: Sequence[str], env: Mapping[str, str], **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A running command, which is ended with the context; see `popen`."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = popen(arguments, env, **{**pipes, **options})
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


class Forge:
    """Runs the command in forks of one process (see `forge`), each like a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        env = {name: os.environ[name] for name in _KEPT if name in os.environ} | without_tools()
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("forge.py"))],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(
        self,
        *arguments: str,
        sim: Simulator | None = None,
        env: Mapping[str, str | None] | None = None,
        **cell: Any,
    ) -> Ended:
        """How a run ends: ``forge("whoami", sim=sim, env={"HOME": None}, out="/dev/full")``.

        What an output is called is a file, ``closed``, ``no reader``, ``pipe``, or ``slow``: one
        that is not read for a ``pause``, and then in small pieces, unless so many ``interrupts``
        come first. The exit code of what did not end in time is ``hang``.
        """
        own = {
            "HOME": str(self._folder / "home"),
            "VERCEL_SQL_STATE_DIR": str(self._folder / "state"),
            "VERCEL_SQL_CONFIG_DIR": str(self._folder / "config"),
            "VERCEL_SQL_KEYRING": "off",
            "XDG_DATA_HOME": str(self._folder / "theirs"),
        }
        given = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ} | own
        if sim is not None:
            given |= {"VERCEL_TOKEN": sim.token, "VERCEL_API_URL": sim.url}
        variables = {**given, **(env or {})}
        job = {
            "arguments": arguments,
            "env": {name: value for name, value in variables.items() if value is not None},
            "cwd": str(self._folder / "work"),
            "in": os.devnull,
            "out": "pipe",
            "err": "pipe",
            "gone": False,
            "largest": None,
            "nobody": False,
            "pause": 0.0,
            "blocking": True,
            "interrupts": 0,
            "seconds": PATIENCE,
            **cell,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return Ended(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.communicate(timeout=PATIENCE)


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forge]:
    """Runs the command in a fork, which takes a tenth of the time that a process takes."""
    with closing(Forge(tmp_path_factory.mktemp("forge"))) as made:
        yield made


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
