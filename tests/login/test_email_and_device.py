"""Logging in by email and on another device, and logging out."""

from __future__ import annotations

import json

import pytest

from .conftest import mode

EMAIL = "ada@example.com"
REVOKE = "/login/oauth/token/revoke"


@pytest.fixture
def by_email(account):
    running = account.start("login", "--email", EMAIL, "--token-name", "my laptop")
    running.until("Waiting")
    account.sim.confirm(email=EMAIL)
    assert running.end() == 0, running.err
    account.login_output = running.err
    return account


def test_email(by_email):
    begun, *asked = [r for r in by_email.sim.requests() if r.path.startswith("/registration")]
    assert (begun.method, begun.body) == ("POST", {"email": EMAIL, "tokenName": "my laptop"})
    assert {r.status for r in asked} <= {400, 200}
    assert asked[-1].status == 200
    query = dict(asked[-1].query)
    assert (query["email"], query["tokenName"]) == (EMAIL, "my laptop")
    assert "authorization" not in begun.headers
    assert query["token"] not in by_email.login_output
    saved = by_email.saved
    assert saved["kind"] == "token"
    assert saved["token_id"]
    assert mode(by_email.files[0]) == 0o600
    who = json.loads(by_email.run("whoami", "-o", "json").out)
    assert who["token"] == {"id": saved["token_id"], "name": "my laptop", "expiresAt": None}


def test_the_security_code_is_shown(account):
    running = account.start("login", "--email", EMAIL, "--timeout", "1")
    running.until("Waiting")
    (login,) = account.sim.state.logins.values()
    assert login.security_code in running.err
    assert running.end() == 1
    assert "nobody confirmed the login in time, and nothing was saved" in running.err
    assert account.files == []


VERIFY = "/registration/verify"


@pytest.mark.parametrize("fault", [{"kind": "drop_after"}, {"kind": "status", "status": 502}])
def test_an_answer_that_was_lost_before_the_person_confirmed_ends_nothing(account, fault):
    account.sim.faults(path=VERIFY, **fault)
    running = account.start("login", "--email", EMAIL)
    running.until("asking again")
    account.sim.confirm(email=EMAIL)
    assert running.end() == 0, running.err
    assert account.saved["kind"] == "token"
    # Each of them was noted, and nothing is left of those that got no answer.
    assert account.run("recover").process.returncode == 0


def test_not_confirmed_says_nothing_about_an_answer_that_was_lost(account):
    """Of an email's code nobody has promised that it says something else when it was used."""
    account.sim.faults(kind="drop_after", path=VERIFY)
    running = account.start("login", "--email", EMAIL, "--timeout", "7")
    running.until("asking again")
    assert running.end() == 1
    assert "no login came in time, and nothing was saved" in running.err
    assert len(account.asked(VERIFY)) >= 2
    recovered = account.run("recover", "--any-token", VERCEL_TOKEN=account.sim.token)
    assert recovered.process.returncode == 3, recovered.err


def test_an_answer_that_was_lost_after_the_person_confirmed_is_told(account):
    """A confirmed login works once: who asks again is told that it is wrong."""
    running = account.start("login", "--email", EMAIL)
    running.until("Waiting")
    account.sim.faults(kind="drop_after", path=VERIFY)
    account.sim.confirm(email=EMAIL)
    assert running.end() == 1
    last = running.err.splitlines()[-1]
    assert last.startswith("vercel-sql: the login may have been lost on its way")
    assert "Nothing was saved here; begin the sign-in again" in last
    assert len([r for r in account.asked(VERIFY) if r.status == 403]) == 1
    assert account.files == []
    recovered = account.run("recover", "--any-token", VERCEL_TOKEN=account.sim.token)
    assert recovered.process.returncode == 3, recovered.err


def test_an_address_that_is_none(account):
    ended = account.run("login", "--email", "nobody")
    assert ended.process.returncode == 1
    assert "email" in ended.err
    assert account.files == []


@pytest.fixture
def device(account):
    account.sim.oauth.devices.interval_seconds = 0.3

    def begin(*more):
        arguments = ("login", "--device", "--client-id", account.client_id)
        running = account.start(*arguments, *more)
        running.until("Waiting")
        return running

    return begin


def test_device(account, device):
    running = device()
    (waiting,) = account.sim.oauth.devices.waiting()
    assert waiting.user_code in running.err
    assert f"{account.sim.url}/oauth/device" in running.err
    assert waiting.device_code not in running.err
    assert running.process.poll() is None
    account.sim.oauth.authorize_device(waiting.user_code)
    assert running.end() == 0, running.err
    assert account.saved["refresh_token"].startswith("vcr_")
    assert account.run("whoami").process.returncode == 0


def test_a_device_that_is_denied(account, device):
    running = device()
    account.sim.oauth.authorize_device(approve=False)
    assert running.end() == 1
    assert "access_denied" in running.err
    assert account.files == []


def test_a_device_that_nobody_allows(account, device):
    running = device("--timeout", "1")
    assert running.end() == 1
    assert "nobody allowed the device in time" in running.err
    assert account.files == []


def test_a_device_that_asks_too_fast_waits_longer(account, device):
    """Its own interval is what the server said; the server may still want more."""
    path = "/login/oauth/token"
    account.sim.faults(kind="status", status=400, code="slow_down", path=path)
    running = device()
    account.sim.oauth.authorize_device()
    assert running.end() == 0, running.err
    first, second = account.asked(path)
    assert second.time_ms - first.time_ms >= 5000


def test_a_device_whose_id_token_is_bad(account, device):
    account.sim.oauth.spoil_id_tokens("other_key")
    running = device()
    account.sim.oauth.authorize_device()
    assert running.end() == 1
    assert "the ID token is refused" in running.err
    assert account.files == []
    assert len(account.asked(REVOKE)) == 1


def test_a_server_without_devices(account):
    discovery = "/.well-known/openid-configuration"
    account.sim.faults(kind="patch", path=discovery, patch={"device_authorization_endpoint": None})
    ended = account.run("login", "--device", "--client-id", account.client_id)
    assert ended.process.returncode == 1
    assert "does not offer to sign in devices" in ended.err


def test_logout_revokes_and_forgets(account):
    account.login()
    saved = account.saved
    ended = account.run("logout")
    assert (ended.process.returncode, ended.out) == (0, "")
    (revoked,) = account.asked(REVOKE)
    assert dict(revoked.form) == {"token": saved["access_token"], "client_id": account.client_id}
    for token in (saved["access_token"], saved["refresh_token"]):
        assert account.sim.oauth.sessions.active(token) is None
    assert account.files == []
    assert account.run("logout").process.returncode == 0


def test_logout_of_an_expired_login_ends_its_session(account):
    account.login()
    account.change(expires_at=1)
    saved = account.saved
    account.sim.oauth.expire_token(saved["access_token"])
    assert account.run("logout").process.returncode == 0
    assert account.sim.oauth.sessions.active(saved["refresh_token"]) is None


def test_logout_of_a_token_deletes_it(by_email):
    saved = by_email.saved
    assert by_email.run("logout").process.returncode == 0
    assert by_email.sim.state.find_token(saved["token_id"]) is None
    assert by_email.files == []


def test_logout_of_a_token_that_is_dead(by_email):
    by_email.sim.oauth.expire_token(by_email.saved["access_token"])
    assert by_email.run("logout").process.returncode == 0
    assert by_email.files == []


@pytest.mark.parametrize("kind", ["oauth", "token"])
def test_logout_forgets_even_what_could_not_be_revoked(account, request, kind):
    if kind == "oauth":
        account.login()
    else:
        request.getfixturevalue("by_email")
    account.sim.faults(kind="status", status=500, times=None)
    ended = account.run("logout")
    assert ended.process.returncode == 1
    assert "forgotten here" in ended.err
    assert "could not be revoked" in ended.err
    assert account.files == []


def test_whoami(account):
    account.login()
    ended = account.run("whoami")
    assert (ended.process.returncode, ended.err) == (0, "")
    for team in account.sim.state.teams:
        assert f"{team.slug} ({team.id})" in ended.out
    assert "ada@example.com" in ended.out
    assert "expires 20" in ended.out
    assert f"the saved login ({account.files[0]})" in ended.out
    who = json.loads(account.run("whoami", "-o", "json").out)
    assert who["user"]["email"] == EMAIL
    assert who["token"]["name"] == "Simulated command line"
    assert who["token"]["expiresAt"] == account.saved["expires_at"] or who["token"]["expiresAt"]
    assert len(who["teams"]) == len(account.sim.state.teams)


def test_whoami_says_what_it_may_not_ask(account):
    account.login()
    account.sim.faults(kind="status", status=403, path="/v5/user/tokens/*", code="forbidden")
    ended = account.run("whoami")
    assert ended.process.returncode == 0
    assert "this token may not read the token itself (403 forbidden: " in ended.err
    assert "token   unknown" in ended.out


def test_whoami_shows_no_control_characters(account):
    account.sim.state.user["username"] = "a\x1b[2Jb"
    account.login()
    assert "\x1b" not in account.run("whoami").out
    assert json.loads(account.run("whoami", "-o", "json").out)["user"]["username"] == "a\x1b[2Jb"
