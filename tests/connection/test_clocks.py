"""An expiry is judged by the server's clock, and errors say where this machine's is wrong."""

from __future__ import annotations

import time

import pytest

import vercel_sql
from vercel_sql import errors

T = "vercel.authentication.user_tokens"
HOUR = 3_600_000


@pytest.fixture
def apart(simulate):
    """A connection to an account whose clock is so many hours ahead: ``apart(2)``."""
    opened = []

    def start(hours: float):
        sim = simulate(3, now_ms=int(time.time() * 1000 + hours * HOUR) + 30_000 * bool(hours))
        opened.append(vercel_sql.connect(sim.token, api_url=sim.url))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def learn(con):
    """Has the connection hear from the server once."""
    con.execute(f"SELECT id FROM {T} WHERE id = 'x'").fetchall()


def create(con, hours: float):
    """Makes a token that ends so many hours from now, by this machine's clock."""
    values = {"at": int(time.time() * 1000 + hours * HOUR)}
    con.execute(f"INSERT INTO {T} (name, expiresAt) VALUES ('x', $at)", values).fetchall()


def test_what_is_over_here_and_not_there_is_sent(apart):
    con = apart(-2)
    learn(con)
    create(con, -1)


def test_what_is_over_there_and_not_here_is_refused_before_it_is_sent(apart):
    con = apart(2)
    learn(con)
    with pytest.raises(errors.DataError, match="lies in the past") as raised:
        create(con, 1)
    assert "This machine's clock is 2 hours behind: at the server it is 2" in str(raised.value)


def test_as_long_as_the_server_has_not_told_the_time_its_refusal_says_so(apart):
    con = apart(2)
    with pytest.raises(vercel_sql.Error, match=r", 400\)") as raised:
        create(con, 1)
    assert "This machine's clock is 2 hours behind: at 127.0.0.1" in str(raised.value)


def test_exec_goes_by_the_same_clock(apart):
    con = apart(2)
    learn(con)
    values = {"at": int(time.time() * 1000 + HOUR)}
    with pytest.raises(errors.DataError, match=r"clock is 2 hours behind"):
        con.execute(f"EXEC {T}.create_auth_token @name = 'x', @expiresAt = $at", values)


def test_clocks_that_are_right_are_not_spoken_of(apart):
    con = apart(0)
    learn(con)
    with pytest.raises(errors.DataError, match="lies in the past") as raised:
        create(con, -1)
    assert "clock" not in str(raised.value)


@pytest.mark.parametrize("seconds", [-400 * 86_400, -3600, -30, 30, 3600, 400 * 86_400])
@pytest.mark.parametrize("when", ["before", "during"])
def test_a_clock_that_is_set_hides_no_token_of_a_lost_create(simulate, monkeypatch, seconds, when):
    sim = simulate(3, now_ms=int(time.time() * 1000))
    wall, wall_ns, jump = time.time, time.time_ns, [seconds if when == "before" else 0]
    monkeypatch.setattr(time, "time", lambda: wall() + jump[0])
    monkeypatch.setattr(time, "time_ns", lambda: wall_ns() + jump[0] * 10**9)
    sim.faults(kind="drop_after", method="POST")

    def sent(event):
        if event.method == "POST":
            jump[0] = seconds

    insert = f"INSERT INTO {T} (name) VALUES ('x')"
    with (
        vercel_sql.connect(sim.token, api_url=sim.url) as con,
        con.observed(sent),
        pytest.raises(vercel_sql.UnknownOutcomeError) as raised,
    ):
        con.execute(insert)
    made = [token.id for token in sim.state.tokens() if token["name"] == "x"]
    assert list(raised.value.orphans) == made
