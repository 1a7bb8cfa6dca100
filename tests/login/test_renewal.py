"""A saved login is renewed in time, once, and never blindly again."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import pytest

import vercel_sql
from vercel_sql.auth.login_store import LoginStore
from vercel_sql.errors import (
    ForbiddenError,
    OperationalError,
    StatementCancelledError,
    StatementTimeoutError,
)

TOKEN_PATH = "/login/oauth/token"
USER = "SELECT username FROM vercel.user.user"


@pytest.fixture
def expiring(account):
    """A person whose login ends within the minute."""
    account.login()
    account.change(expires_at=int((time.time() + 30) * 1000))
    return account


@pytest.fixture
def expired(account):
    account.login()
    account.sim.oauth.expire_token(account.saved["access_token"])
    account.change(expires_at=int((time.time() - 5) * 1000))
    return account


def test_before_it_expires(expiring):
    before = expiring.saved
    assert expiring.run("whoami").process.returncode == 0
    after = expiring.saved
    assert len(expiring.refreshes()) == 1
    assert after["access_token"] != before["access_token"]
    assert after["refresh_token"] != before["refresh_token"]
    assert after["expires_at"] > (time.time() + 3500) * 1000
    assert after["renewal"] is None
    form = dict(expiring.refreshes()[0].form)
    assert form == {
        "grant_type": "refresh_token",
        "client_id": expiring.client_id,
        "refresh_token": before["refresh_token"],
    }
    # And not again.
    assert expiring.run("whoami").process.returncode == 0
    assert len(expiring.refreshes()) == 1


def test_when_a_call_says_that_the_token_is_dead(account):
    account.login()
    account.sim.advance(3601)  # this machine's clock knows nothing of it
    assert account.run("whoami").process.returncode == 0
    assert len(account.refreshes()) == 1


def test_a_write_that_was_refused_for_a_dead_token_is_sent_again(account):
    account.login()
    doomed = account.sim.state.add_token({"name": "doomed"})
    dead = {"status": 403, "message": "Not authorized", "extra": {"invalidToken": True}}
    account.sim.faults(kind="status", method="DELETE", times=1, **dead)
    with vercel_sql.connect(api_url=account.sim.url) as con:
        done = con.execute(
            "DELETE FROM vercel.authentication.user_tokens WHERE id = ?", [doomed.id]
        ).rowcount
    assert done == 1
    sent = [r for r in account.sim.requests() if r.method == "DELETE"]
    assert [(r.status, r.acted) for r in sent] == [(403, False), (200, True)]
    assert len(account.refreshes()) == 1


def test_what_is_forbidden_for_another_reason_is_not_sent_again(account):
    account.login()
    account.sim.faults(kind="status", status=403, path="/v2/user", code="forbidden")
    with vercel_sql.connect(api_url=account.sim.url) as con, pytest.raises(ForbiddenError):
        con.execute(USER).fetchall()
    assert account.refreshes() == []


def test_a_token_that_is_dead_again_is_not_renewed_twice(account):
    account.login()
    extra = {"invalidToken": True}
    account.sim.faults(kind="status", status=403, path="/v2/user", extra=extra, times=None)
    with vercel_sql.connect(api_url=account.sim.url) as con, pytest.raises(ForbiddenError):
        con.execute(USER).fetchall()
    assert len(account.refreshes()) == 1


def test_eight_processes_refresh_once(expired):
    expired.sim.faults(kind="latency", ms=300, path=TOKEN_PATH)
    running = [expired.start("-c", USER, "-o", "csv") for _ in range(8)]
    assert [(each.end(), each.out) for each in running] == [(0, "username\nada-example\n")] * 8
    assert len(expired.refreshes()) == 1


def test_eight_processes_that_are_told_refresh_once(account):
    account.login()
    account.sim.advance(3601)
    running = [account.start("-c", USER, "-o", "csv") for _ in range(8)]
    assert [(each.end(), each.out) for each in running] == [(0, "username\nada-example\n")] * 8
    assert len(account.refreshes()) == 1


def test_threads_of_a_client_refresh_once(account):
    account.login()
    account.sim.advance(3601)
    with vercel_sql.connect(api_url=account.sim.url) as con:
        con.execute("SELECT 1")
        client, answers = con.client, []

        def ask() -> None:
            from vercel_sql.auth.calls import call

            answers.append(call(client, "user.user", "get_auth_user", {})["user"]["username"])

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == ["ada-example"] * 8
    assert len(account.refreshes()) == 1


def test_a_statement_that_is_over_does_not_wait_for_it(expired):
    expired.sim.faults(kind="latency", ms=5000, path=TOKEN_PATH)
    with vercel_sql.connect(api_url=expired.sim.url, timeout=1) as con:
        with pytest.raises(StatementTimeoutError):
            con.execute(USER).fetchall()
        # It goes on, and the next statement takes what comes of it.
        assert expired.saved["renewal"] == "begun"
        con.timeout = None
        assert con.execute(USER).fetchall() == [("ada-example",)]
    assert len(expired.refreshes()) == 1


def test_a_command_that_is_over_saves_it_before_the_process_ends(expired):
    before = expired.saved["access_token"]
    expired.sim.faults(kind="latency", ms=2500, path=TOKEN_PATH)
    ended = expired.run("--timeout", "1", "-c", USER)
    assert "stopped after 1 s" in ended.err
    assert expired.saved["renewal"] is None
    assert expired.saved["access_token"] != before
    assert expired.run("whoami").process.returncode == 0
    assert len(expired.refreshes()) == 1


def test_an_interrupt_ends_the_waiting_for_it(expired):
    expired.sim.faults(kind="latency", ms=5000, path=TOKEN_PATH)
    with vercel_sql.connect(api_url=expired.sim.url) as con:

        def interrupt():
            deadline = time.monotonic() + 30
            while not expired.saved["renewal"] and time.monotonic() < deadline:
                time.sleep(0.01)
            con.interrupt()

        interrupting = threading.Thread(target=interrupt)
        interrupting.start()
        with pytest.raises(StatementCancelledError):
            con.execute(USER).fetchall()
        assert expired.saved["renewal"] == "begun"
        interrupting.join()
        assert con.execute(USER).fetchall() == [("ada-example",)]
    assert len(expired.refreshes()) == 1


def test_nor_does_it_wait_for_another_that_renews_it(expired):
    with vercel_sql.connect(api_url=expired.sim.url, timeout=1) as con:
        with LoginStore(expired.sim.url).locked(), pytest.raises(StatementTimeoutError):
            con.execute(USER).fetchall()
        con.timeout = None
        assert con.execute(USER).fetchall() == [("ada-example",)]
    assert len(expired.refreshes()) == 1


def test_each_wait_of_it_is_limited_as_those_of_other_requests(expired):
    expired.sim.faults(kind="hang", ms=40_000, path=TOKEN_PATH)
    with vercel_sql.connect(api_url=expired.sim.url, request_timeout=0.5, timeout=20) as con:
        with pytest.raises(OperationalError, match="no answer that can be used") as raised:
            con.execute(USER).fetchall()
        assert not isinstance(raised.value, StatementTimeoutError)


@pytest.mark.parametrize("kind", ["drop_after", "cut_body", "garbage_body"])
def test_a_refresh_whose_outcome_is_unknown_is_not_repeated(expired, kind):
    expired.sim.faults(kind=kind, path=TOKEN_PATH)
    for _ in range(2):
        ended = expired.run("whoami")
        assert ended.process.returncode == 1
        assert "can't be renewed" in ended.err
        assert "vercel-sql login" in ended.err
    assert len(expired.refreshes()) == 1


def test_a_server_that_failed_may_have_acted(expired):
    expired.sim.faults(kind="status", status=502, path=TOKEN_PATH)
    assert expired.run("whoami").process.returncode == 1
    assert expired.run("whoami").process.returncode == 1
    assert len(expired.refreshes()) == 1


def test_a_process_that_was_killed_meanwhile(expired):
    """Its refresh token may be used up: nobody sends it again, and nothing is half-written."""
    expired.sim.faults(kind="latency", ms=20_000, path=TOKEN_PATH)
    running = expired.start("whoami")
    deadline = time.monotonic() + 30
    while not expired.saved["renewal"] and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    os.kill(running.process.pid, signal.SIGKILL)
    running.end()
    expired.sim.clear_faults()
    ended = expired.run("whoami")
    assert ended.process.returncode == 1
    assert "its outcome is unknown" in ended.err
    assert len(expired.refreshes()) <= 1
    expired.login()
    assert expired.run("whoami").process.returncode == 0


def test_a_refresh_that_was_refused(expired):
    expired.sim.oauth.expire_token(expired.saved["refresh_token"])
    for _ in range(2):
        ended = expired.run("whoami")
        assert ended.process.returncode == 1
        assert "vercel-sql login" in ended.err
    assert len(expired.refreshes()) == 1


def test_a_server_that_is_away(expired):
    """Nothing was sent, so that the next one may try."""
    away = {"oauth_url": "http://127.0.0.1:1"}
    there = {"oauth_url": expired.sim.url}
    expired.change(**away)
    assert expired.run("whoami").process.returncode == 1
    assert expired.saved["renewal"] is None
    expired.change(**there)
    assert expired.run("whoami").process.returncode == 0


def test_a_discovery_document_that_leads_elsewhere(expired):
    """Nothing was sent, neither there nor anywhere, so that the next one may try."""
    away = {"token_endpoint": "https://issuer.example/token"}
    expired.sim.faults(kind="patch", path="*openid-configuration", patch=away, times=None)
    before = expired.saved
    ended = expired.run("whoami")
    assert ended.process.returncode == 1
    assert "discovery document" in ended.err
    assert "token_endpoint" in ended.err
    assert expired.refreshes() == []
    assert expired.saved == before
    expired.sim.clear_faults()
    assert expired.run("whoami").process.returncode == 0


def test_a_refresh_token_is_spent_where_no_other_comes(expired):
    """It works once: to send it again would end the session."""
    path = "/login/oauth/token"
    expired.sim.faults(kind="patch", path=path, patch={"refresh_token": None})
    assert expired.run("whoami").process.returncode == 0
    assert expired.saved["refresh_token"] is None
    expired.change(expires_at=1)
    ended = expired.run("whoami")
    assert ended.process.returncode == 1
    assert "Log in again" in ended.err
    assert len(expired.refreshes()) == 1


def test_what_still_works_is_used_when_it_can_not_be_renewed(expiring):
    expiring.change(oauth_url="http://127.0.0.1:1")
    assert expiring.run("whoami").process.returncode == 0


def test_the_new_tokens_are_saved_before_they_are_used(expired):
    expired.sim.faults(kind="status", status=400, path="/v2/user", times=None)
    assert expired.run("whoami").process.returncode == 1
    (path,) = expired.files
    assert json.loads(path.read_text())["renewal"] is None
    expired.sim.clear_faults()
    assert expired.run("whoami").process.returncode == 0
    assert len(expired.refreshes()) == 1


def test_a_login_without_a_refresh_token(account):
    account.login("--scope", "openid")
    assert account.saved["refresh_token"] is None
    account.sim.oauth.expire_token(account.saved["access_token"])
    account.change(expires_at=1)
    ended = account.run("whoami")
    assert ended.process.returncode == 1
    assert "has expired. Log in again" in ended.err
    assert account.refreshes() == []


def test_somebody_logged_out_meanwhile(account):
    account.login()
    with vercel_sql.connect(api_url=account.sim.url) as con:
        con.execute(USER).fetchall()
        assert account.run("logout").process.returncode == 0
        with pytest.raises(OperationalError, match="logged out"):
            con.execute(USER).fetchall()
