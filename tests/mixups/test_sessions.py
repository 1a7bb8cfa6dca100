"""Logins, ``whoami``, ``logout`` and the shell through a proxy that mixes answers up.

No command speaks as another token than that of its own login, and none calls a login revoked that
lives. Each command is a process of its own and knows no earlier answer, so that only what answers
show by their content is tried.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from vercel_sql.auth import sign_in
from vercel_sql.auth.login_store import LoginStore, SavedLogin
from vercel_sql.cli.main import main
from vercel_sql.simulator import Simulator

from ..cli.conftest import environment
from ..cli.shell.conftest import Terminal
from ..scale import SCALE
from .test_statements import SHOWN_BY_CONTENT

TABLE = "vercel.authentication.user_tokens"


@contextmanager
def agreeing(sim: Simulator) -> Iterator[None]:
    """A person who confirms every email and allows every device."""
    is_over = threading.Event()

    def agree() -> None:
        while not is_over.wait(0.01):
            with sim.state.lock:
                for device in sim.oauth.devices.waiting():
                    device.approved = True
                for login in list(sim.state.logins.values()):
                    login.confirmed = True

    thread = threading.Thread(target=agree)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@pytest.fixture
def account(behind: Callable[[int], Simulator], monkeypatch: pytest.MonkeyPatch) -> Simulator:
    monkeypatch.setattr(sign_in, "_EMAIL_INTERVAL", 0.05)
    sim = behind(3)
    sim.oauth.devices.interval_seconds = 0.05
    return sim


@pytest.fixture
def run(capsys, monkeypatch) -> Callable[..., tuple[int, str]]:
    """Runs a command; gives its exit code and standard output."""

    def command(url: str, *arguments: str) -> tuple[int, str]:
        monkeypatch.setenv("VERCEL_API_URL", url)
        monkeypatch.setenv("VERCEL_OAUTH_URL", url)
        code = main(list(arguments))
        return code, capsys.readouterr().out

    return command


def check_login(sim: Simulator, login: SavedLogin, name: str, before: set[str]) -> str:
    """The saved login is that of this very command; gives the id of its token."""
    token = sim.state.find_bearer(login.access_token)
    assert token is not None, "a token of nobody, or a dead one"
    assert token.id not in before, "the token of an earlier login"
    if login.kind == "token":
        assert token["name"] == name
    else:
        refresh = sim.oauth.sessions.find(login.refresh_token)
        assert refresh.session is sim.oauth.sessions.find(login.access_token).session
    return token.id


@pytest.mark.timeout(120 * SCALE)
def test_logins(account, proxied, run):
    proxy = proxied(account.port, 5, SHOWN_BY_CONTENT, 20, has_ids=False)
    store, before, done = LoginStore(proxy.url), set(), 0
    for number in range(6 * SCALE):
        name = f"login {number}"
        how = ["--email", "ada@example.com", "--token-name", name]
        if number % 2:
            how = ["--device", "--client-id", account.oauth.clients.public.client_id]
        with agreeing(account):
            code, _ = run(proxy.url, "login", *how, "--timeout", "5")
        if code != 0:
            assert store.read() is None, "a login that failed is not saved"
            continue
        login, _ = store.read()
        id_ = check_login(account, login, name, before)
        before.add(id_)
        code, out = run(proxy.url, "whoami", "-o", "json")
        if code == 0:
            told = json.loads(out)
            assert told["user"]["id"] == account.state.user["id"]
            assert told["token"] is None or told["token"]["id"] == id_
        code, _ = run(proxy.url, "logout")
        assert code != 0 or account.state.find_token(id_) is None, "the all-clear, too early"
        assert store.read() is None
        done += code == 0
    print(f"{6 * SCALE} logins, {done} with their logouts; {dict(proxy.counts)}")
    assert done > SCALE
    assert sum(proxy.counts.values()) > 6 * SCALE


def test_the_shell(account, proxied, tmp_path):
    """Statements one after the other in one session, each answer sent twice."""
    proxy = proxied(account.port, 3, ["twice", "twice_on_next"], 100)
    urls = {"VERCEL_API_URL": proxy.url, "VERCEL_OAUTH_URL": proxy.url}
    env = environment(account, TERM="xterm", VERCEL_SQL_STATE_DIR=str(tmp_path / "state"))
    shell = Terminal(["shell", "--yes"], env | urls, 120, 40)
    out = tmp_path / "out"
    names = [f"n{number}" for number in range(5)]
    try:
        shell.wait_for_prompt()
        shell.enter(".mode jsonlines", f".output {out}")
        for name in names:
            shell.enter(f"INSERT INTO {TABLE} (name) SELECT '{name}' RETURNING name, bearerToken;")
        shell.enter(f"SELECT count(*) AS n FROM {TABLE};")
        shell.press("\x04")
        assert shell.wait_for_end() == 0, shell.screen
    finally:
        shell.close()
    *rows, counted = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["name"] for row in rows] == names
    for row in rows:
        assert account.state.find_bearer(row["bearerToken"])["name"] == row["name"]
    assert counted["n"] == len(account.state.tokens())
