"""A rotation of the token that a login saved: the next process goes on with the new one."""

from __future__ import annotations

import json

import pytest

import vercel_sql
from vercel_sql.auth import official_login
from vercel_sql.auth.login_store import LoginStore, SavedLogin

from .conftest import mode

T = "vercel.authentication.user_tokens"
SELF = f"EXEC {T}.rotate_token @tokenId = 'current'"


@pytest.fixture
def logged_in(account):
    """A saved login whose token may create others, as one by email did before its end."""
    store = LoginStore(account.sim.url)
    login = SavedLogin(
        kind="token",
        access_token=account.sim.token,
        api_url=account.sim.url,
        oauth_url=account.sim.url,
        saved_at=1,
        token_id=account.sim.state.calling_token.id,
    )
    with store.locked():
        store.write(login)
    return store


@pytest.fixture
def connect(account):
    """Opens a connection that finds the saved login."""
    opened = []

    def make(**options):
        sim = account.sim
        opened.append(vercel_sql.connect(api_url=sim.url, oauth_url=sim.url, **options))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def test_the_login_is_saved_anew_before_the_old_token_is_revoked(account, logged_in, connect):
    db, sim = connect(), account.sim
    seen = []
    old, remove = sim.state.calling_token, sim.state.remove_token

    def watched(token):
        seen.append(logged_in.read()[0].access_token)
        remove(token)

    sim.state.remove_token = watched
    cursor = db.execute(f"{SELF}, @expiresAt = TIMESTAMP '2100-01-01'")
    row = dict(zip([c[0] for c in cursor.description], cursor.fetchone(), strict=True))
    login, _ = logged_in.read()
    assert seen == [login.access_token] == [row["bearerToken"]]
    assert (login.kind, login.token_id, login.expires_at) == (
        *("token", row["tokenId"], 4_102_444_800_000),
    )
    assert login.saved_at > 1
    assert mode(logged_in.path) == 0o600
    assert row["notice"] is None
    assert row["revokedTokenId"] == old.id
    assert db.execute(f"SELECT id FROM {T} WHERE tokenId = 'current'").fetchone()


def test_the_next_process_goes_on_with_it(account, logged_in, connect):
    connect().execute(SELF).fetchall()
    ended = account.run("whoami", "-o", "json")
    assert ended.process.returncode == 0, ended.err
    assert json.loads(ended.out)["token"]["id"] == logged_in.read()[0].token_id


def test_another_connection_that_was_open_goes_on_too(account, logged_in, connect):
    """Its token is dead, so it looks for the one that is saved now, as after any renewal."""
    other = connect()
    assert other.execute(f"SELECT count(*) FROM {T}").fetchone()
    connect().execute(SELF).fetchall()
    assert other.execute(f"SELECT id FROM {T} WHERE tokenId = 'current'").fetchone() == (
        logged_in.read()[0].token_id,
    )


def test_a_login_that_changed_meanwhile_is_left_alone(account, logged_in, connect):
    db, sim = connect(), account.sim
    other = sim.state.add_token({"name": "of another login"})

    def log_in(event):
        if event.method == "POST":
            account.change(access_token=other.bearer)

    with (
        db.observed(log_in),
        pytest.raises(vercel_sql.RotationError, match="another process") as caught,
    ):
        db.execute(SELF)
    assert logged_in.read()[0].access_token == other.bearer
    assert db.client.credential.token == sim.token
    assert caught.value.is_proven
    assert not [r for r in sim.requests() if r.method == "DELETE"]
    assert db.execute(f"SELECT id FROM {T} WHERE tokenId = 'current'").fetchone()


def test_a_login_that_can_not_be_saved_stops_it(account, logged_in, connect, monkeypatch):
    db = connect()

    def full(_store, _login):
        raise vercel_sql.OperationalError("the saved login can't be used: No space left on device")

    monkeypatch.setattr(LoginStore, "write", full)
    with pytest.raises(vercel_sql.RotationError, match="No space left"):
        db.execute(SELF)
    monkeypatch.undo()
    assert not [r for r in account.sim.requests() if r.method == "DELETE"]
    assert logged_in.read()[0].access_token == account.sim.token
    assert db.execute(f"SELECT id FROM {T} WHERE tokenId = 'current'").fetchone()


def test_a_sign_in_is_not_rotated(account, connect):
    account.login()
    with pytest.raises(vercel_sql.NotSupportedError, match="renewed automatically"):
        connect().execute(SELF)
    assert not account.asked("/v3/user/tokens")


def test_the_login_of_vercels_own_command_line_is_not_rotated(account, monkeypatch):
    path = account.home / "data" / "com.vercel.cli" / "auth.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"token": account.sim.token}))
    before = path.read_text()
    with vercel_sql.connect(api_url=account.sim.url) as db:
        credential = db.client.credential
        # It is used for Vercel's own API alone, which the simulated one stands for here.
        monkeypatch.setattr(credential, "_official", official_login)
        with pytest.raises(vercel_sql.NotSupportedError, match="only ever read"):
            db.execute(SELF)
    assert path.read_text() == before
    assert not account.asked("/v3/user/tokens")
