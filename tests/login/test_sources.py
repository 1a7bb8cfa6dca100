"""Where the token comes from: the order, the places, and what never goes elsewhere."""

from __future__ import annotations

import json
import os
import sys
import time

import msgspec
import pytest

import vercel_sql
from vercel_sql.auth import find_credential, official_login
from vercel_sql.auth.calls import call
from vercel_sql.errors import MissingTokenError
from vercel_sql.http.client import Client
from vercel_sql.manifest import vercel

OFFICIAL = "vca_officialLogin00000001"


@pytest.fixture
def official(account):
    """Writes the official command line's login file."""

    def write(**content):
        path = account.home / "data" / "com.vercel.cli" / "auth.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"token": OFFICIAL, **content}))
        return path

    return write


def provider_at(url: str):
    """The provider, as if Vercel's own API were at an address."""
    provider = vercel().provider
    server = msgspec.structs.replace(provider.servers["api"], url=url)
    return msgspec.structs.replace(provider, servers={**provider.servers, "api": server})


def source(account, *arguments, **env):
    ended = account.run("whoami", "-o", "json", *arguments, **env)
    assert ended.process.returncode == 0, ended.err
    return json.loads(ended.out)["source"]


def test_the_order(account, tmp_path):
    """Argument, token file, environment, saved login: each wins over what follows."""
    account.login()
    bearer = account.sim.token
    token_file = tmp_path / "token"
    token_file.write_text(bearer)
    assert source(account).startswith("the saved login (")
    assert source(account, VERCEL_TOKEN=bearer) == "VERCEL_TOKEN"
    given = source(account, "--token-file", str(token_file), VERCEL_TOKEN="vcp_wrongwrong")
    assert given == "token file"
    found = find_credential(vercel().provider, bearer, token_file)
    assert (found.token, found.source) == (bearer, "argument")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_an_official_login_that_is_a_named_pipe_is_not_waited_for(account):
    folder = account.home / "data" / "com.vercel.cli"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "auth.json")
    assert official_login().token is None
    assert official_login().source.endswith("auth.json), which is a named pipe")


def test_the_official_login_comes_last_and_is_only_read(account, official):
    account.sim.state.add_token({"name": "vercel"}, bearer=OFFICIAL)
    path = official(refreshToken="vcr_officialRefresh", expiresAt=int(time.time()) + 5)
    before = path.read_text()
    provider = provider_at(account.sim.url)
    urls = {"api": account.sim.url, "oauth": account.sim.url}
    client = Client(provider, find_credential(provider, urls=urls), urls=urls)
    assert call(client, "user.user", "get_auth_user", {})["user"]["username"] == "ada-example"
    assert "Vercel's own command line" in client.credential.source
    account.sim.oauth.expire_token(OFFICIAL)
    with pytest.raises(vercel_sql.APIError, match="dead"):
        call(client, "user.user", "get_auth_user", {})
    client.close()
    assert account.asked("/login/oauth/token") == []
    assert path.read_text() == before

    account.login()
    client = Client(provider, find_credential(provider, urls=urls), urls=urls)
    call(client, "user.user", "get_auth_user", {})
    assert client.credential.source.startswith("the saved login")
    client.close()


def test_the_official_login_is_taken_again_when_its_owner_renewed_it(account, official):
    official()
    provider = provider_at(account.sim.url)
    urls = {"api": account.sim.url}
    client = Client(provider, find_credential(provider, urls=urls), urls=urls)
    client.credential.require("the test")
    official(token=account.sim.token)
    assert call(client, "user.user", "get_auth_user", {})["user"]["username"] == "ada-example"
    client.close()


def test_where_the_official_login_is_on_windows(account, monkeypatch):
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("APPDATA", str(account.home))
    monkeypatch.setattr(sys, "platform", "win32")
    path = account.home / "com.vercel.cli" / "Data" / "auth.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"token": OFFICIAL}))
    assert official_login().token == OFFICIAL
    path.unlink()
    assert str(path) in official_login().source


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"expiresAt": 1_700_000_000}, "has expired"),
        ({"expiresAt": 1_700_000_000_000}, "has expired"),
        ({"token": None}, "holds no token"),
        ({"token": "a b"}, "whose token is damaged"),
    ],
)
def test_an_official_login_that_can_not_be_used(official, content, reason):
    official(**content)
    found = official_login()
    assert found.token is None
    assert reason in found.source
    credential = find_credential(vercel().provider)
    with pytest.raises(MissingTokenError, match=reason):
        credential.require("the test")


def test_the_error_lists_all_that_were_tried(account):
    with pytest.raises(MissingTokenError) as raised:
        find_credential(vercel().provider).bearer("SELECT")
    text = str(raised.value)
    places = ["argument", "token file", "VERCEL_TOKEN", "saved login for https://api.vercel.com"]
    places += [str(account.home / "data" / "com.vercel.cli" / "auth.json"), "vercel-sql login"]
    found = [text.find(place) for place in places]
    assert -1 not in found
    assert found == sorted(found)


def test_no_login_is_sent_to_another_api(account, official, simulate):
    official()
    account.login()
    other = simulate(1)
    ended = account.run("whoami", VERCEL_API_URL=other.url)
    assert ended.process.returncode == 1
    assert f"the saved login for {other.url}" in ended.err
    assert "command line (" not in ended.err  # the official one is for Vercel's own API
    assert other.requests() == []
    assert account.run("logout", VERCEL_API_URL=other.url).process.returncode == 0
    assert account.run("whoami").process.returncode == 0


def test_a_login_is_renewed_only_where_it_was_made(account, simulate):
    account.login()
    account.change(expires_at=1)
    other = simulate(1)
    assert account.run("whoami", VERCEL_OAUTH_URL=other.url).process.returncode == 0
    assert other.requests() == []
    assert len(account.refreshes()) == 1


def test_connect_and_attach_use_the_saved_login(account):
    import duckdb

    account.login()
    query = "SELECT username FROM vercel.user.user"
    with vercel_sql.connect(api_url=account.sim.url) as con:
        assert con.execute(query).fetchall() == [("ada-example",)]
    con = duckdb.connect()
    vercel_sql.attach(con, api_url=account.sim.url)
    assert con.execute(query).fetchall() == [("ada-example",)]
    vercel_sql.detach(con)
    con.close()


def test_nothing_is_looked_for_before_it_is_needed(account):
    """Neither the keyring's library nor the store is touched by what needs no token."""
    script = (
        "import sys\n"
        "from vercel_sql.cli.main import main\n"
        "code = main(['-c', 'SELECT 1', '-o', 'csv'])\n"
        "late = {'keyring', 'filelock', 'platformdirs', 'webbrowser', 'http.server', 'selenium'}\n"
        "print(code, sorted(late & set(sys.modules)))\n"
    )
    import subprocess

    env = {k: v for k, v in account.env.items() if k != "VERCEL_SQL_KEYRING"}
    for more in ({}, {"VERCEL_TOKEN": account.sim.token}):
        ended = subprocess.run(
            [sys.executable, "-c", script], env=env | more, capture_output=True, text=True
        )
        assert ended.stdout == "1\n1\n0 []\n", ended.stderr
