"""Logins as a user makes them: in processes of their own, with a config directory of their own."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest

from vercel_sql.simulator import Simulator

from ..absent_tools import without_tools
from ..cli.forks import FORKS, Popen

COMMAND = [sys.executable, "-c", "from vercel_sql.cli.main import entry_point; entry_point()"]
PATIENCE = 60
_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")


def fetch(url: str) -> tuple[int, str]:
    """Status and body of an address, as a browser without proxies sees it."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def with_query(url: str, **changed: str) -> str:
    """The address with other values in its query."""
    parts = urlsplit(url)
    return parts._replace(query=urlencode({**dict(parse_qsl(parts.query)), **changed})).geturl()


class Running:
    """A command that runs, whose standard error is read line by line.

    It is a fork, which saves the time of imports, unless its environment is for Python itself.
    """

    def __init__(self, arguments: tuple[str, ...], env: dict[str, str], *, fork: bool) -> None:
        fork &= env.items() >= without_tools().items() and "PYTHON_KEYRING_BACKEND" not in env
        self.process = (Popen if fork else subprocess.Popen)(
            [*(["vercel-sql"] if fork else COMMAND), *arguments],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.err = ""
        self.out = ""
        # Nothing here may wait for ever: a process that hangs is killed, and its pipes close.
        self._guard = threading.Timer(PATIENCE, self.process.kill)
        self._guard.start()

    def until(self, text: str) -> str:
        """The line of standard error that holds a text."""
        for line in self.process.stderr:
            self.err += line
            if text in line:
                return line.strip()
        raise AssertionError(f"{text!r} never came; standard error was: {self.err}")

    @property
    def cmdline(self) -> str:
        return Path(f"/proc/{self.process.pid}/cmdline").read_text()

    def end(self) -> int:
        # Not by `communicate`, which would miss what `until` has read ahead.
        self.err += self.process.stderr.read()
        out, _ = self.process.communicate(timeout=PATIENCE)
        self.out += out
        return self.process.returncode

    def stop(self) -> None:
        self._guard.cancel()
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)


class Account:
    """A person at a machine: a simulated account and a home of their own.

    Attributes:
        sim: the simulated API and authorization server.
        home: where the home, config and data directories are.
        env: what commands find in their environment.
        forks: whether commands may be forks.
    """

    forks = FORKS

    def __init__(self, sim: Simulator, home: Path, stack: ExitStack) -> None:
        self.sim = sim
        self.home = home
        self.config = home / "config" / "vercel-sql"
        self._stack = stack
        # An app that Vercel lets read, so that what its tokens are good for shows when they work.
        app = sim.oauth.clients.add(replace(sim.oauth.clients.public, reads=True))
        self.client_id = app.client_id
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self.env = {
            **kept,
            **without_tools(),
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_DATA_HOME": str(home / "data"),
            "VERCEL_API_URL": sim.url,
            "VERCEL_OAUTH_URL": sim.url,
            "VERCEL_MARKETPLACE_URL": sim.marketplace_url,
            "VERCEL_SQL_KEYRING": "off",
        }

    def start(self, *arguments: str, **env: str) -> Running:
        running = Running(arguments, self.env | env, fork=self.forks)
        self._stack.callback(running.stop)
        return running

    def run(self, *arguments: str, **env: str) -> Running:
        running = self.start(*arguments, **env)
        running.end()
        return running

    def begin(self, *more: str, client_id: str | None = None, **env: str) -> tuple[Running, str]:
        """A browser login that waits, and the address that it shows."""
        app = ("--client-id", client_id or self.client_id, *self.port_for(client_id))
        running = self.start("login", "--oauth", *app, "--no-browser", *more, **env)
        return running, running.until("http://")

    def port_for(self, client_id: str | None = None) -> tuple[str, str]:
        """The option for a port that is free, whose callback is registered with an app."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        clients = self.sim.oauth.clients
        app = clients.find(client_id or self.client_id, "app")
        if app is not None:
            callbacks = (*app.redirect_uris, f"http://127.0.0.1:{port}/callback")
            clients.add(replace(app, redirect_uris=callbacks))
        return "--port", str(port)

    def login(self, *more: str, client_id: str | None = None) -> Running:
        """A browser login that ends well."""
        running, address = self.begin(*more, client_id=client_id)
        assert fetch(self.sim.oauth.authorize(address))[0] == 200
        assert running.end() == 0, running.err
        return running

    @property
    def files(self) -> list[Path]:
        return sorted(self.config.glob("login-*.json"))

    @property
    def saved(self) -> dict[str, Any]:
        (path,) = self.files
        return json.loads(path.read_text())

    def change(self, **fields: Any) -> None:
        """Changes what is saved."""
        (path,) = self.files
        path.write_text(json.dumps({**self.saved, **fields}))

    def asked(self, path: str, **form: str) -> list[Any]:
        """What the server received at a path, with some values in its form."""
        return [
            request
            for request in self.sim.requests()
            if request.path == path and form.items() <= dict(request.form or []).items()
        ]

    def refreshes(self) -> list[Any]:
        return self.asked("/login/oauth/token", grant_type="refresh_token")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def account(
    simulate: Callable[..., Simulator], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Account]:
    with ExitStack() as stack:
        made = Account(simulate(5), tmp_path, stack)
        for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
            monkeypatch.setenv(name, made.env[name])
        # The same place for what the tests do in this process.
        monkeypatch.setenv("VERCEL_SQL_CONFIG_DIR", str(made.config))
        yield made
