"""Ages and flags go by the server's clock where this machine's is wrong, and a warning says so."""

from __future__ import annotations

import time
import warnings

import pytest

import vercel_sql

from ..cli.conftest import here

__all__ = ["here"]

AUDIT = "vercel.audit.user_tokens"
DAY = 86_400_000
FLAGS = "id, age_days, idle_days, expires_in_days, is_expired, has_sudo"


def account(now):
    """Tokens whose ages and flags are known at a moment of the server's clock."""
    late, old = now - 60_000, now - 9 * DAY - 60_000
    sudo = {"origin": "totp", "expiresAt": now + DAY // 2}
    scopes = [{"type": "user", "origin": "manual", "createdAt": 1, "sudo": sudo}]
    used = {"id": "used", "createdAt": old, "activeAt": late - DAY, "scopes": scopes}
    over = {"id": "over", "createdAt": old, "activeAt": late, "expiresAt": late}
    good = {"id": "good", "createdAt": late, "activeAt": late, "expiresAt": now + DAY + DAY // 2}
    return [used, over, good]


EXPECTED = [
    ("good", 0, 0, 1, False, False),
    ("over", 9, 0, -1, True, False),
    ("used", 9, 1, None, False, True),
]


@pytest.fixture
def apart(simulate):
    """A connection to an account whose clock is so many days ahead, and the account."""
    opened = []

    def start(days):
        now = int(time.time() * 1000 + days * DAY)
        sim = simulate(account(now), now_ms=now)
        opened.append(vercel_sql.connect(sim.token, api_url=sim.url))
        return opened[-1], sim

    yield start
    for each in opened:
        each.close()


@pytest.mark.parametrize("days", [14, -14, 0.25, -0.25, 400])
def test_ages_and_flags_go_by_the_servers_clock_and_a_warning_names_the_difference(apart, days):
    con, sim = apart(days)
    query = f"SELECT {FLAGS} FROM {AUDIT} WHERE id <> '{sim.state.calling_token.id}' ORDER BY id"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert con.execute(query).fetchall() == EXPECTED
        assert con.execute(query).fetchall() == EXPECTED
    (told,) = [str(each.message) for each in caught]
    assert "This machine's clock is " in told
    assert ("behind" if days > 0 else "ahead") in told
    assert "Ages and flags go by that clock" in told


def test_clocks_that_agree_are_not_spoken_of(apart):
    con, sim = apart(0)
    query = f"SELECT {FLAGS} FROM {AUDIT} WHERE id <> '{sim.state.calling_token.id}' ORDER BY id"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert con.execute(query).fetchall() == EXPECTED


def test_without_a_date_it_is_this_machines_clock(apart, monkeypatch):
    con, _ = apart(14)
    monkeypatch.setattr("vercel_sql.http.server_clock.ServerClock.learn", lambda *_: None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert con.execute(f"SELECT is_expired FROM {AUDIT} WHERE id = 'over'").fetchone() == (
            False,
        )


def test_a_token_that_is_used_after_the_query_began_is_not_idle_for_less_than_no_time(db, sim):
    db.execute("BEGIN")  # now() stands still until the end
    db.execute("SELECT now()").fetchall()
    time.sleep(0.2)
    token = sim.state.tokens()[3]
    token.set("activeAt", sim.state.clock.now_ms())
    query = f"SELECT idle_days, age_days >= 0 FROM {AUDIT} WHERE id = ?"
    assert db.execute(query, [token.id]).fetchall() == [(0, True)]
    ((least,),) = db.execute(f"SELECT min(idle_days) FROM {AUDIT}").fetchall()
    assert least == 0
    token.set("activeAt", sim.state.clock.now_ms() + 3_600_000)  # which no use explains
    assert db.execute(query, [token.id]).fetchall() == [(-1, True)]
    db.execute("ROLLBACK")


@pytest.mark.parametrize("moment", [2**63 - 1, -(2**63), 8_640_000_000_000_000, 2**53])
@pytest.mark.parametrize("field", ["expiresAt", "createdAt", "activeAt", "revokedAt", "leakedAt"])
def test_a_moment_beyond_all_calendars_stops_no_view(db, sim, here, field, moment):
    token = sim.state.add_token({"id": "odd", field: moment}, created_at=sim.state.clock.now_ms())
    rows = db.execute(f"SELECT * FROM {AUDIT}").fetchall()
    assert len(rows) == 32
    ((flag, days),) = db.execute(
        f"SELECT never_expires, expires_in_days FROM {AUDIT} WHERE id = '{token.id}'"
    ).fetchall()
    assert (flag, days is None) == ((False, False) if field == "expiresAt" else (True, True))
    ended = here("run", "queries/inventory.sql", "queries/teams_over_time.sql", sim=sim)
    assert ended.code == 0, ended.err


def test_the_sessions_integer_division_changes_nothing(db, sim):
    query = f"SELECT {FLAGS} FROM {AUDIT} ORDER BY id"
    before = db.execute(query).fetchall()
    db.execute("SET integer_division = true")
    assert db.execute(query).fetchall() == before


def test_a_report_says_how_wrong_the_clock_is(apart, here, tmp_path):
    _, sim = apart(14)
    ended = here("run", "queries/inventory.sql", "-o", "html", "--out", str(tmp_path), sim=sim)
    assert ended.code == 0, ended.err
    page = (tmp_path / "inventory.html").read_text("utf-8")
    assert "Read with care" in page
    assert "clock is 13 days 23 hours behind" in page or "clock is 14 days behind" in page
    assert "clock is 1" in ended.err
    year = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 14 * 86_400))
    assert f'<time datetime="{year}' in page
