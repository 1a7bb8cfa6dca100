"""Vercel's documented limits, on a simulated account and at clocks that waits move on."""

from __future__ import annotations

import _thread
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import duckdb
import pytest

import vercel_sql
from vercel_sql.simulator.endpoints import RateLimiter
from vercel_sql.simulator.messages import ApiError

from ...virtual_time import VirtualTime

TABLE = "vercel.authentication.user_tokens"
OTHERS = f"DELETE FROM {TABLE} WHERE id <> (SELECT id FROM own)"
INSERT = f"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range(?) t(i) RETURNING bearerToken, id"
PATIENCE = 60  # seconds
LATE = 1.05
"""By how much longer than the limit makes it a statement may take."""


@pytest.fixture
def clock(monkeypatch):
    return VirtualTime(monkeypatch)


@pytest.fixture
def account(simulate, request):
    """Starts an account; gives it, a connection to it, and the ids of its other tokens."""
    opened = []

    def start(tokens, settings=None, **options):
        sim = simulate(tokens, **(settings or {"limits": "vercel"}))
        if "clock" in request.fixturenames:
            request.getfixturevalue("clock").add(sim)
        db = vercel_sql.connect(sim.token, api_url=sim.url, **{"max_writes": None, **options})
        opened.append(db)
        own = sim.state.calling_token
        db.execute("CREATE TEMP TABLE own AS SELECT ? AS id", [own.id])
        return sim, db, [token.id for token in sim.state.tokens() if token is not own]

    yield start
    for db in opened:
        db.close()


def asked(sim, method):
    """How often each path was asked, by what came of it."""
    return Counter((r.path, r.status) for r in sim.requests() if r.method == method)


def put_off(sim):
    return [r for r in sim.requests() if r.status == 429]


# What the limits allow, and no longer


def test_a_delete_of_250(clock, account):
    sim, db, ids = account(250)
    assert db.execute(OTHERS).rowcount == 250
    assert [token.id for token in sim.state.tokens()] == [sim.state.calling_token.id]
    assert asked(sim, "DELETE") == {(f"/v3/user/tokens/{id_}", 200): 1 for id_ in ids}
    assert put_off(sim) == []
    assert 1200 <= clock.passed + 30 <= 1200 * LATE + 30


def test_a_create_of_40(clock, account):
    sim, db, _ids = account(0)
    assert len(db.execute(INSERT, [40]).fetchall()) == 40
    names = sorted(r.body["name"] for r in sim.requests() if r.method == "POST")
    assert names == sorted(f"n{i}" for i in range(40))
    assert put_off(sim) == []
    assert 3600 <= clock.passed + 30 <= 3600 * LATE


def test_a_listing_of_more_pages_than_a_minute_allows(clock, account):
    sim, db, _ids = account(12_300)
    assert db.execute(f"SELECT count(*) FROM {TABLE}").fetchall() == [(12_301,)]
    assert put_off(sim) == []
    assert clock.passed <= 60 * LATE


def test_rotations_count_both_limits(clock, account):
    sim, db, ids = account(80, secrets_file=None)
    db.executemany(
        f"EXEC {TABLE}.rotate_token @tokenId = ?, @expiresAt = ?",
        [[id_, int(time.time() * 1000) + 10**10] for id_ in ids if _may_rotate(sim, id_)][:34],
    )
    made = [r for r in sim.requests() if r.method == "POST"]
    assert len(made) == sum(r.method == "DELETE" for r in sim.requests()) == 34
    assert 3600 <= clock.passed + 60 <= 3600 * LATE + 60


def _may_rotate(sim, id_):
    token = sim.state.find_token(id_)
    is_of_user = all(scope["type"] == "user" for scope in token["scopes"])
    return is_of_user and token.get("revokedAt") is None


# It is said beforehand


def test_explain_says_how_long_it_takes(account):
    _sim, db, _ids = account(250)
    *_others, note = zip(*db.execute(f"EXPLAIN {OTHERS}").fetchall(), strict=True)
    told = [each for each in note if each]
    pace = "250 deletions, about 25 minutes: Vercel allows 50 every 5 minutes"
    assert told[0].removesuffix("; browser session: revoking one logs a person out") == pace
    assert {each.partition(":")[0] for each in told[1:]} == {"browser session"}
    _, db, ids = account(60, max_wait=100)
    notes = [row[-1] for row in db.execute(f"EXPLAIN {OTHERS}").fetchall() if row[-1]]
    assert len(notes) == 60
    assert notes[0].startswith("refused: ")
    assert notes[0].count("60 deletions, about 6 minutes") == 1
    (row,) = db.execute(f"EXPLAIN DELETE FROM {TABLE} WHERE id = ?", ids[:1]).fetchall()[-1:]
    assert row[-1].startswith('{"id":'), "there is no note"


def test_the_plan_that_is_approved_says_so_too(account):
    sim, db, _ids = account(0)
    plans = []
    db.approve = lambda plan: bool(plans.append(plan))
    for count in (32, 40):
        with pytest.raises(vercel_sql.NotApprovedError):
            db.execute(INSERT, [count])
    assert [str(plan.pace) for plan in plans] == [
        "",
        "40 creations, about 1 hour 15 minutes: Vercel allows 32 every hour",
    ]
    assert asked(sim, "POST") == {}


def test_what_is_known_of_the_window_makes_it_exact(clock, account):
    _sim, db, ids = account(60)
    assert db.execute(f"DELETE FROM {TABLE} WHERE id IN ({_listed(ids[:30])})").rowcount == 30
    plan = db.execute(f"EXPLAIN DELETE FROM {TABLE} WHERE id IN ({_listed(ids[30:])})").fetchall()
    assert plan[-30][-1].startswith("30 deletions, about 5 minutes: ")


def _listed(ids):
    return ", ".join(f"'{id_}'" for id_ in ids)


# max_wait


def test_what_would_wait_longer_is_refused_before_the_first_request(account):
    sim, db, _ids = account(3, max_wait=60)
    db.approve = lambda _plan: pytest.fail("what is refused is not asked about")
    words = r"40 creations, .* wait at least 1 hour, and max_wait allows 60 s\. Nothing was sent"
    with pytest.raises(vercel_sql.WaitTooLongError, match=words) as caught:
        db.execute(INSERT, [40])
    assert (caught.value.wait, caught.value.limit) == (3600, 60)
    assert caught.value.nothing_changed
    assert sim.requests() == []


def test_a_delete_is_refused_before_the_first_request_that_writes(account):
    sim, db, ids = account(250, max_wait=1100)
    with pytest.raises(vercel_sql.WaitTooLongError, match="250 deletions, about 25 minutes"):
        db.execute(OTHERS)
    assert {r.method for r in sim.requests()} == {"GET"}
    sim.clear_requests()
    with pytest.raises(vercel_sql.WaitTooLongError):
        db.execute(f"DELETE FROM {TABLE} WHERE id IN ({_listed(ids)})")
    assert sim.requests() == []
    # What need not wait that long is carried out.
    assert db.execute(f"DELETE FROM {TABLE} WHERE id IN ({_listed(ids[:50])})").rowcount == 50


def test_many_sets_of_parameters_are_refused_as_one(account):
    sim, db, ids = account(60, max_wait=0)
    for statement, sets in (
        (f"DELETE FROM {TABLE} WHERE id = ?", [[id_] for id_ in ids]),
        (f"INSERT INTO {TABLE} (name) VALUES (?)", [[id_] for id_ in ids]),
        (f"EXEC {TABLE}.rotate_token @tokenId = ?", [[id_] for id_ in ids]),
    ):
        with pytest.raises(vercel_sql.WaitTooLongError, match="executemany: 60"):
            db.executemany(statement, sets)
    assert sim.requests() == []


def test_a_limit_that_nobody_foresaw_stops_at_max_wait(clock, account):
    sim, db, ids = account(12, {"rate_limit": "5/30"}, max_wait=50)
    with pytest.raises(vercel_sql.PartialWriteError, match="max_wait allows 50 s") as caught:
        db.execute(OTHERS)
    error = caught.value
    assert isinstance(error.cause, vercel_sql.WaitTooLongError)
    assert (len(error.done), len(error.not_started)) == (10, 2)
    assert sorted([*error.done, *error.not_started]) == sorted(ids)
    assert clock.passed < 50
    assert put_off(sim) == []


def test_a_function_of_attach_waits_no_longer_either(simulate, attached, tmp_path):
    sim = simulate(3, rate_limit="1/600")
    con = attached(sim, writes=True, secrets_file=tmp_path / "secrets", max_wait=1)
    make = "FROM vercel.authentication.create_auth_token('x', request_id := ?)"
    assert len(con.execute(make, ["a"]).fetchall()) == 1
    with pytest.raises(duckdb.Error, match="max_wait allows 1 s"):
        con.execute(make, ["b"])
    assert asked(sim, "POST").total() == 1


# timeout


def test_the_end_of_its_time_tells_apart_what_is_done(clock, account):
    sim, db, ids = account(250, timeout=700)
    with pytest.raises(vercel_sql.PartialWriteError, match=r"may take 700 s \(timeout\)") as caught:
        db.execute(OTHERS)
    error = caught.value
    assert (error.failed, error.unknown, error.missing) == ((), (), ())
    assert sorted([*error.done, *error.not_started]) == sorted(ids)
    left = {token.id for token in sim.state.tokens()}
    assert set(error.not_started) == left - {sim.state.calling_token.id}
    assert len(error.done) == 150
    assert "Not started: 100 (" in str(error)
    assert clock.passed <= 700


def test_a_create_at_the_end_of_its_time_keeps_its_rows(clock, account):
    sim, db, _ids = account(0, timeout=1000)
    with pytest.raises(vercel_sql.PartialWriteError, match=r"\(timeout\)") as caught:
        db.execute(INSERT, [40])
    error = caught.value
    assert len(error.rows) == len(error.done) == 32
    assert error.not_started == tuple(f"row {n} of 40" for n in range(33, 41))
    assert asked(sim, "POST").total() == 32


# Servers that differ from what is documented, and say so or not


def test_a_server_that_allows_less_than_is_documented(clock, account):
    sim, db, _ids = account(40, {"rate_limit": "8/60"})
    assert db.execute(OTHERS).rowcount == 40
    assert put_off(sim) == []
    assert clock.passed <= 240 * LATE


def test_a_server_without_limits_is_not_waited_for(clock, account):
    _sim, db, _ids = account(250, {"limits": "none"})
    assert db.execute(OTHERS).rowcount == 250
    assert clock.passed == 0


@pytest.mark.parametrize("header", [None, "date", "864000"])
def test_what_a_refusal_says_or_not(clock, account, header):
    sim, db, _ids = account(20, {"limits": "none"})
    seconds = {"date": 3000, "864000": 864_000}.get(header, 0)
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    value = format_datetime(at, usegmt=True) if header == "date" else header
    sim.faults(
        kind="status",
        status=429,
        code="rate_limited",
        method="DELETE",
        after=5,
        times=10,
        headers={} if value is None else {"Retry-After": value},
    )
    assert db.execute(OTHERS).rowcount == 20
    # Eight may be under way when the first is refused, and nobody is sent meanwhile.
    assert len(put_off(sim)) == 10
    assert seconds - 5 <= clock.passed
    assert set(asked(sim, "DELETE").values()) <= {*range(1, 11)}
    assert all(n == 1 for (_path, status), n in asked(sim, "DELETE").items() if status == 200)


def test_a_server_that_says_nothing_at_all(clock, account, monkeypatch):
    """The documented window is waited for, and not asked about again and again."""
    take = RateLimiter.take

    def silent(self, endpoint):
        try:
            take(self, endpoint)
        except ApiError:
            raise ApiError(429, "Slow down") from None
        return {}

    monkeypatch.setattr(RateLimiter, "take", silent)
    sim, db, _ids = account(120)
    assert db.execute(OTHERS).rowcount == 120
    assert len(put_off(sim)) <= 32
    assert clock.passed <= 600 * LATE


# Two at a time


ANOTHER = """
import sys, vercel_sql
url, token, first, last = sys.argv[1:]
with vercel_sql.connect(token, api_url=url, max_writes=None) as db:
    print(db.execute("DELETE FROM vercel.authentication.user_tokens WHERE name >= ? AND name < ?",
                     [first, last]).rowcount)
"""


def test_two_processes_get_through(simulate):
    sim = simulate(
        [{"name": f"{half}{n:02}"} for half in "ab" for n in range(40)], rate_limit="20/2"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", ANOTHER, sim.url, sim.token, first, last],
            stdout=subprocess.PIPE,
            text=True,
        )
        for first, last in ("ab", "bc")
    ]
    counts = [each.communicate(timeout=2 * PATIENCE)[0].strip() for each in running]
    assert counts == ["40", "40"]
    assert len(sim.state.tokens()) == 1
    done = [n for (_path, status), n in asked(sim, "DELETE").items() if status == 200]
    assert done == [1] * 80
    print(f"\n{len(put_off(sim))} of 80 were put off")
    assert len(put_off(sim)) <= 80


# Ctrl-C


def test_ctrl_c_ends_the_wait(account):
    sim, db, ids = account(60)

    def interrupt():
        end = time.monotonic() + PATIENCE
        while len(sim.state.tokens()) > 11 and time.monotonic() < end:
            time.sleep(0.01)
        _thread.interrupt_main()

    threading.Thread(target=interrupt).start()
    began = time.monotonic()
    with pytest.raises(vercel_sql.PartialWriteError, match="interrupted") as caught:
        db.execute(OTHERS)
    assert time.monotonic() - began < PATIENCE
    error = caught.value
    assert isinstance(error.cause, KeyboardInterrupt)
    assert (len(error.done), len(error.not_started)) == (50, 10)
    assert sorted([*error.done, *error.not_started]) == sorted(ids)
    assert db.execute("SELECT 1").fetchall() == [(1,)]
