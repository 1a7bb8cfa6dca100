"""Logins make tokens too: what is cut off of one can't get lost, and what is saved is settled."""

from __future__ import annotations

import json
import time

import pytest

from vercel_sql.auth.login_store import LoginStore
from vercel_sql.ledger.journal_files import read_all

EMAIL = "ada@example.com"
VERIFY = "/registration/verify"


@pytest.fixture
def noted(account):
    """What the person's journal tells."""
    folder = account.home / ".local" / "state" / "vercel-sql" / "journal"
    return lambda: [story for file in read_all(folder) for story in file.creates]


@pytest.fixture
def recovered(account):
    """What recover tells the person, and its exit code."""

    def run():
        ended = account.run("recover", "-o", "json")
        return ended.process.returncode, json.loads(ended.out or "[]")

    return run


def logged_in(account, **env):
    """A login by email, which the person confirms."""
    running = account.start("login", "--email", EMAIL, **env)
    running.until("Waiting")
    account.sim.confirm(email=EMAIL)
    running.end()
    return running


def test_nothing_is_left_to_do_about_a_login_that_was_saved(account, noted, recovered):
    assert logged_in(account).process.returncode == 0
    saved = len(noted())
    assert saved
    assert not any(story.is_open for story in noted())
    account.run("logout")
    account.login()
    assert len(noted()) > saved
    assert not any(story.is_open for story in noted())
    assert recovered() == (0, [])


def test_nothing_is_sent_where_nothing_can_be_noted(account, tmp_path):
    (tmp_path / "file").touch()
    ended = account.run("login", "--email", EMAIL, VERCEL_SQL_STATE_DIR=str(tmp_path / "file"))
    assert ended.process.returncode == 1
    assert "nothing was sent" in ended.err
    assert account.asked("/registration") == []


def test_an_answer_that_was_lost_is_told_of_once(account, recovered):
    account.sim.faults(kind="latency", ms=2000, path=VERIFY)  # the person confirms before
    account.sim.faults(kind="drop_after", path=VERIFY)
    assert logged_in(account).process.returncode == 1
    code, [line] = recovered()
    assert code == 3
    assert line["method"] == "authentication.user_tokens.verify_token"
    assert line["outcome"] == "can't be looked up"
    assert recovered() == (0, [])


def test_a_login_that_cannot_be_saved_is_told_of(account, recovered):
    place = LoginStore(account.sim.url).path
    running = account.start("login", "--email", EMAIL)
    running.until("Waiting")
    place.mkdir()
    (place / "in the way").touch()
    account.sim.confirm(email=EMAIL)
    assert running.end() == 1
    (place / "in the way").unlink()
    place.rmdir()
    code, [line] = recovered()
    assert code == 3
    assert line["method"] == "authentication.user_tokens.verify_token"
    assert line["outcome"].startswith("made; its secret was not saved")


def test_a_login_that_could_not_be_renewed_for_want_of_a_journal_is_not_spoilt(account, tmp_path):
    account.login()
    account.change(expires_at=int((time.time() + 30) * 1000))
    (tmp_path / "file").touch()
    ended = account.run("whoami", VERCEL_SQL_STATE_DIR=str(tmp_path / "file"))
    assert ended.process.returncode == 0  # it is good for half a minute yet
    assert account.refreshes() == []
    assert account.saved["renewal"] is None
    assert account.run("whoami").process.returncode == 0
    assert len(account.refreshes()) == 1
