"""What a login can't do: it is said beforehand, and by each error, as on a real account."""

from __future__ import annotations

import json

import pytest

import vercel_sql
from vercel_sql.auth import official_login

from .conftest import fetch

T = "vercel.authentication.user_tokens"
DASHBOARD = "https://vercel.com/account/tokens"
CREATE = f"INSERT INTO {T} (name) SELECT 'x' RETURNING bearerToken"


@pytest.fixture
def app(account):
    """The id of an app that has no permissions beside signing people in."""
    return account.sim.oauth.clients.confidential.client_id


@pytest.fixture
def by_app(account, app, tmp_path):
    """Logged in by such an app."""
    secret = tmp_path / "app-secret"
    secret.write_text(account.sim.oauth.clients.confidential.client_secret)
    secret.chmod(0o600)
    options = ("--device", "--client-id", app, "--client-secret-file", str(secret))
    running = account.start("login", *options)
    running.until("Waiting")
    account.sim.oauth.authorize_device()
    assert running.end() == 0, running.err
    account.login_output = running.err
    return account


def refused(account, statement):
    ended = account.run("-c", statement)
    assert (ended.process.returncode, ended.out) == (1, "")
    return ended.err


def test_a_login_says_beforehand_what_it_will_be_good_for(account):
    account.sim.pause()  # it is said before anything is asked
    for options, title in (
        (("--email", "ada@example.com"), "retired in February 2026"),
        (("--oauth", "--client-id", "x", "--no-browser"), "session of an app"),
        (("--device", "--client-id", "x"), "session of an app"),
    ):
        running = account.start("login", *options, "--timeout", "1", "--request-timeout", "1")
        first = running.until("You will get a ")
        assert first == running.err.strip(), "it comes first"
        assert title in first
        running.until("create")
        running.until(DASHBOARD)
        running.stop()
    account.sim.resume()


def test_an_app_knows_who_signed_in_and_nothing_else(by_app):
    assert "Logged in as ada-example" in by_app.login_output
    ended = by_app.run("whoami", "-o", "json")
    assert ended.process.returncode == 0
    who = json.loads(ended.out)
    assert who["user"]["username"] == "ada-example"
    assert (who["teams"], who["token"]) == (None, None)
    assert who["kind"]["title"] == "session of an app"
    assert "this token may not read the teams, the token itself" in ended.err
    for statement in (f"SELECT name FROM {T}", "FROM vercel.teams.teams", "FROM vercel.user.user"):
        error = refused(by_app, statement)
        assert "session of an app or of Vercel's command line" in error
        assert DASHBOARD in error


@pytest.mark.parametrize("way", ["by app", "by email", "by an app that reads"])
def test_no_login_creates_a_token(account, way, request):
    if way == "by app":
        request.getfixturevalue("by_app")
    elif way == "by email":
        running = account.start("login", "--email", "ada@example.com")
        running.until("Waiting")
        account.sim.confirm(email="ada@example.com")
        assert running.end() == 0, running.err
    else:
        account.login()
    before = {token.id for token in account.sim.state.tokens()}
    error = refused(account, CREATE)
    assert "Only user authentication tokens can be used to create new tokens" in error
    assert "Sessions and integrations can't create tokens" in error
    assert DASHBOARD in error
    assert {token.id for token in account.sim.state.tokens()} == before
    assert account.run("recover").process.returncode == 0, "nothing is left to be found out"


def test_the_login_of_vercels_own_command_line_reads_and_creates_nothing(account, monkeypatch):
    path = account.home / "data" / "com.vercel.cli" / "auth.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"token": account.sim.bearer("cli")}))
    with vercel_sql.connect(api_url=account.sim.url) as db:
        # It is used for Vercel's own API alone, which the simulated one stands for here.
        monkeypatch.setattr(db.client.credential, "_official", official_login)
        assert db.execute(f"SELECT count(*) FROM {T}").fetchone() == (7,)
        assert db.client.credential.origin == "command_line"
        with pytest.raises(vercel_sql.errors.ForbiddenError, match="Sessions and integrations"):
            db.execute(CREATE)


def test_the_browser_login_says_it_too(account):
    running, address = account.begin()
    assert fetch(account.sim.oauth.authorize(address))[0] == 200
    assert running.end() == 0
    assert running.err.index("You will get a session of an app") < running.err.index("http://")
