"""A machine with one user on it, and all that is secret at the simulated account that they use."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from vercel_sql.simulator import Simulator

from ..cli.conftest import PATIENCE, Ended, environment, here, started  # noqa: F401
from ..cli.shell.conftest import open_terminal  # noqa: F401 - a fixture here too
from ..notebook.conftest import kernel  # noqa: F401
from ..secret_forms import leaked
from ..server.conftest import quack_files, served  # noqa: F401

T = "vercel.authentication.user_tokens"
_SECRET_NAMES = {"access_token", "client_secret", "code", "code_verifier", "device_code"}
_SECRET_NAMES |= {"id_token", "refresh_token", "token"}
PLANTED = "Zq7-Xw9-Kj4-Vb2-Ym6-Ht8-Pd1"
"""A literal in statements, where the manifest says that a secret stands."""

REFUSED = [
    {"kind": "status", "status": 401, "code": "unauthorized"},
    {"kind": "status", "status": 403, "extra": {"invalidToken": True}},
    {"kind": "status", "status": 500},
    {"kind": "drop_before"},
    {"kind": "drop_after"},
    {"kind": "cut_body"},
    {"kind": "garbage_body"},
    {"kind": "garbage_body", "html": True},
    {"kind": "redirect", "location": "http://127.0.0.1:9/elsewhere"},
]
"""The ways in which the account's answers go wrong."""

NAMES = [f"{fault['kind']}{fault.get('status', '')}{fault.get('html', '')}" for fault in REFUSED]


def secrets_of(sim: Simulator) -> set[str]:
    """All that the account gave out, or was sent, and nobody else is to see."""
    found = {event.bearer for event in sim.history()}
    found |= set(sim.oauth.codes._codes) | set(sim.oauth.sessions._issued)
    found |= set(sim.state.logins)
    found |= {each.client_secret for each in sim.oauth.clients._clients.values()} - {None}
    for request in sim.requests():
        sent = [*request.query, *(request.form or [])]
        sent += request.body.items() if isinstance(request.body, dict) else []
        found |= {str(value) for name, value in sent if name in _SECRET_NAMES}
    return {secret for secret in found if len(secret) >= 8}


def cited(sim: Simulator) -> dict[str, Any]:
    """An answer that repeats what it was asked with, as a careless server does."""
    message = f"bad credentials {sim.token} \x1b[2J\n2026-01-01 INFO revoked"
    return {"kind": "status", "status": 400, "message": message, "extra": {"seen": [sim.token]}}


@dataclass
class Machine:
    """The folders of a user, what their programs showed, and where it is all searched.

    Attributes:
        sim: the account.
        home: the folder that all others are in.
        kept: the files that are there to hold secrets.
        shown: what was shown, by where that was.
        planted: secrets that the account does not know of.
    """

    sim: Simulator
    home: Path
    kept: set[Path] = field(default_factory=set)
    shown: dict[str, bytes] = field(default_factory=dict)
    planted: set[str] = field(default_factory=lambda: {PLANTED})

    @property
    def env(self) -> dict[str, str]:
        """What its programs find in their environment."""
        folders = {
            "HOME": self.home,
            "TMPDIR": self.folder("tmp"),
            "XDG_CONFIG_HOME": self.folder("config"),
            "XDG_DATA_HOME": self.folder("data"),
            "XDG_STATE_HOME": self.folder("state"),
            "XDG_CACHE_HOME": self.folder("cache"),
            "VERCEL_SQL_CONFIG_DIR": self.folder("config"),
            "VERCEL_SQL_STATE_DIR": self.folder("state"),
        }
        return {name: str(path) for name, path in folders.items()}

    @property
    def log(self) -> Path:
        """The log of all its programs."""
        return self.home / "log"

    @property
    def options(self) -> list[str]:
        """Everything that can be told, is."""
        return ["-v", "--log-file", str(self.log), "--audit-log", str(self.home / "audit.jsonl")]

    def folder(self, name: str) -> Path:
        """A folder of the user's, which is made where it is missing."""
        path = self.home / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def file(self, name: str, content: str = "") -> Path:
        """A file that is there to hold a secret."""
        path = self.home / name
        path.touch(mode=0o600)
        path.write_text(content)
        self.kept.add(path)
        return path

    def show(self, where: str, text: str | bytes) -> None:
        """Notes what was shown somewhere."""
        content = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
        self.shown[where] = self.shown.get(where, b"") + content

    def show_folder(self, folder: Path) -> None:
        """Notes what is in the files of a folder elsewhere, but for those that hold secrets."""
        for path in folder.rglob("*"):
            if path.is_file() and path not in self.kept:
                self.show(f"{folder.name}/{path.name}", path.read_bytes())

    def started(
        self, *arguments: str, **env: str
    ) -> AbstractContextManager[subprocess.Popen[bytes]]:
        """A running command, which is ended with the context."""
        return started(arguments, environment(None, **self.env, **env))

    def listed(self, process: subprocess.Popen[bytes]) -> None:
        """Notes what the list of processes, and open files, say of a command that runs."""
        proc = Path("/proc", str(process.pid))
        self.show("the list of processes", (proc / "cmdline").read_bytes())
        for each in proc.glob("task/*/comm"):
            self.show("the list of processes", each.read_bytes())
        self.show("open files", "\n".join(os.readlink(each) for each in proc.glob("fd/*")))

    def run(self, *arguments: str, shows: bool = False, fails: bool = False, **env: str) -> Ended:
        """Runs a command to its end and notes what it wrote.

        Args:
            arguments: its arguments.
            shows: whether its standard output is where a secret is shown, this once.
            fails: whether it is to fail.
            env: more of its environment.
        """
        with self.started(*arguments, **env) as process:
            out, err = process.communicate(timeout=PATIENCE)
        name = " ".join(arguments[:2])
        if not shows:
            self.show(f"standard output of {name}", out)
        self.show(f"standard error of {name}", err)
        assert (process.returncode != 0) == fails, err.decode()
        return Ended(process.returncode, out.decode(), err.decode())

    def places(self) -> dict[str, bytes]:
        """All that is searched: what was shown, and every file that is not there for secrets."""
        files = [path for path in self.home.rglob("*") if path.is_file() and path not in self.kept]
        named = {f"file {path.relative_to(self.home)}": path.read_bytes() for path in files}
        names = "\n".join(str(path.relative_to(self.home)) for path in files)
        return {**self.shown, **named, "names of files": names.encode()}

    def search(self) -> None:
        """Looks for every secret in every place.

        Raises:
            AssertionError: one is somewhere; the message says where, and in which form.
        """
        secrets = secrets_of(self.sim) | self.planted
        assert len(secrets) > 10
        places = self.places()
        assert sum(map(len, places.values())) > 100
        assert leaked(secrets, places) == []


@pytest.fixture
def machine(sim: Simulator, tmp_path: Path) -> Machine:
    """A machine whose user has the small account."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return Machine(sim, home)


@pytest.fixture
def at_home(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The same, where this very process is one of its programs."""
    for name, value in machine.env.items():
        monkeypatch.setenv(name, value)
    return machine


@pytest.fixture
def interrupt() -> Callable[[subprocess.Popen[bytes]], None]:
    """Ctrl-C, from another terminal."""
    return lambda process: process.send_signal(signal.SIGINT)
