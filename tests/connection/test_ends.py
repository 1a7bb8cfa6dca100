"""A statement ends at once, by its time or by `interrupt()`, whatever it is waiting for."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import duckdb
import pytest

import vercel_sql
from vercel_sql import errors

from ..stuck import LONG, PROMPT, SITUATIONS, TABLE, stuck_in


def connected(stuck, **options):
    return vercel_sql.connect(stuck.token, api_url=stuck.url, oauth_url=stuck.url, **options)


def still_works(con, stuck):
    """The connection is good for the next statement, however many requests were left behind."""
    assert con.execute("SELECT 42").fetchall() == [(42,)]
    if stuck.free is not None:
        stuck.free()
        assert con.execute("SELECT count(*) FROM vercel.user.user").fetchall() == [(1,)]


@pytest.mark.parametrize("name", SITUATIONS)
def test_interrupt_ends_it_at_once(name):
    with stuck_in(name) as stuck, connected(stuck) as con:

        def end():
            stuck.wait()
            con.interrupt()

        ending = threading.Thread(target=end)
        ending.start()
        began = time.monotonic()
        with pytest.raises(errors.StatementCancelledError, match="was interrupted"):
            con.execute(stuck.sql).fetchall()
        ending.join()
        assert time.monotonic() - began < PROMPT
        still_works(con, stuck)


@pytest.mark.parametrize("name", SITUATIONS)
def test_its_time_ends_it(name):
    with stuck_in(name) as stuck, connected(stuck, timeout=1.5) as con:
        began = time.monotonic()
        said = r"statement .* 1\.5 s \(timeout\)"
        with pytest.raises(errors.StatementTimeoutError, match=said):
            con.execute(stuck.sql).fetchall()
        assert time.monotonic() - began < PROMPT
        con.timeout = None
        still_works(con, stuck)


def test_rows_that_are_read_lazily_end_with_the_statement(simulate):
    sim = simulate(1000)
    sim.faults(kind="hang", ms=LONG * 1000, path="/v6/*", times=None, after=3)
    with vercel_sql.connect(sim.token, api_url=sim.url, timeout=2) as con:
        began = time.monotonic()
        with pytest.raises(errors.StatementTimeoutError):
            # DuckDB 1.5 reads ahead before it gives the first row.
            cursor = con.execute(f"SELECT id FROM {TABLE}")
            for _row in range(1000):
                assert cursor.fetchone()
        assert time.monotonic() - began < PROMPT
        sim.clear_faults()
        con.timeout = None
        assert len(con.execute(f"SELECT id FROM {TABLE}").fetchall()) == 1001


def test_rows_are_not_read_after_the_time_of_their_statement(simulate):
    sim = simulate(1000)
    with vercel_sql.connect(sim.token, api_url=sim.url, timeout=0.7) as con:
        cursor = con.execute("SELECT * FROM range(10000000)")
        assert cursor.fetchone() == (0,)
        time.sleep(0.8)
        with pytest.raises(errors.StatementTimeoutError, match=r"0\.7 s"):
            cursor.fetchall()


def test_what_a_write_gave_can_be_read_whenever_its_reader_comes(simulate):
    sim = simulate(3)
    with vercel_sql.connect(sim.token, api_url=sim.url, timeout=1) as con:
        cursor = con.execute(f"INSERT INTO {TABLE} (name) VALUES ('a') RETURNING bearerToken")
        time.sleep(1.1)
        con.interrupt()
        ((bearer,),) = cursor.fetchall()
        assert bearer in [token.bearer for token in sim.state.tokens()]


def test_a_write_that_was_given_up_is_not_sent_again_within_a_later_statement(simulate):
    sim = simulate(3)
    where = {"method": "POST", "path": "/v3/user/tokens"}
    sim.faults(kind="latency", ms=2000, **where)
    again = {"code": "rate_limited", "headers": {"Retry-After": "1"}}
    sim.faults(kind="status", status=429, **again, **where)

    def posts():
        return [each for each in sim.requests() if each.method == "POST"]

    def journal():
        files = Path(os.environ["VERCEL_SQL_STATE_DIR"], "journal").iterdir()
        return "".join(each.read_text() for each in files)

    with vercel_sql.connect(sim.token, api_url=sim.url) as con:
        # Interrupted as soon as it is there; its answer comes after it was given up.
        ending = threading.Thread(target=lambda: (_until(posts), con.interrupt()))
        ending.start()
        with pytest.raises(errors.UnknownOutcomeError):
            con.execute(f"INSERT INTO {TABLE} (name) VALUES ('once')")
        ending.join()
        assert con.execute("SELECT 1").fetchall() == [(1,)]
        _until(lambda: len(posts()) > 1 or '"unsent"' in journal())
        assert len(posts()) == 1
        named = f"SELECT count(*) FROM {TABLE} WHERE name = 'once'"
        assert con.execute(named).fetchall() == [(0,)]


def _until(condition):
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_rows_that_were_set_aside_can_be_read_after_another_statement_ended(simulate):
    sim = simulate(3)
    with vercel_sql.connect(sim.token, api_url=sim.url) as con:
        first = con.cursor().execute("SELECT 1 UNION ALL SELECT 2")
        second = con.cursor().execute("SELECT 3")
        con.interrupt()
        assert sorted(first.fetchall()) == [(1,), (2,)]
        with pytest.raises(errors.StatementCancelledError):
            second.fetchall()
        assert con.execute("SELECT 4").fetchall() == [(4,)]


def test_an_interrupt_with_nothing_to_end_ends_nothing_later(simulate):
    sim = simulate(3)
    with vercel_sql.connect(sim.token, api_url=sim.url) as con:
        con.interrupt()
        assert con.execute("SELECT 1").fetchall() == [(1,)]
        con.interrupt()
        assert con.execute(f"SELECT count(*) FROM {TABLE}").fetchall() == [(4,)]


def test_duckdbs_own_connection_has_no_part_in_the_end_of_a_statement(simulate):
    sim = simulate(3)
    rows = f"SELECT count(*) FROM {TABLE}"
    with vercel_sql.connect(sim.token, api_url=sim.url, timeout=1) as con:
        assert con.execute(rows).fetchone() == (4,)
        held = con.duckdb
        time.sleep(1.1)
        assert con.duckdb.execute(rows).fetchall() == [(4,)]
        assert con.execute(rows).fetchall() == [(4,)]
        time.sleep(1.1)
        assert held.execute(rows).fetchall() == [(4,)]
        con.interrupt()
        assert held.execute(rows).fetchall() == [(4,)]


def test_an_interrupt_ends_what_duckdbs_own_connection_requests(simulate):
    sim = simulate(3)
    sim.faults(kind="hang", ms=LONG * 1000, path="/v6/*")
    with vercel_sql.connect(sim.token, api_url=sim.url) as con:
        ending = threading.Thread(target=lambda: (_until(sim.requests), con.interrupt()))
        ending.start()
        began = time.monotonic()
        with pytest.raises(duckdb.Error, match="was interrupted"):
            con.duckdb.execute(f"SELECT count(*) FROM {TABLE}").fetchall()
        ending.join()
        assert time.monotonic() - began < PROMPT


def test_every_statement_has_its_own_time(simulate):
    sim = simulate(3, latency_ms=300)
    with vercel_sql.connect(sim.token, api_url=sim.url, timeout=5) as con:
        for _ in range(4):
            assert con.execute(f"SELECT id FROM {TABLE} WHERE id = 'x'").fetchall() == []


def test_a_statement_that_is_interrupted_again_and_again_leaves_the_connection_fine(simulate):
    sim = simulate(100)
    sql = f"SELECT max(createdAt) FROM {TABLE}, range(100000000) a, range(100000000) b"
    with vercel_sql.connect(sim.token, api_url=sim.url) as con:
        for wait in (0, 0.001, 0.01, 0.05, 0.1, 0.2, 0.3):
            timer = threading.Timer(wait, con.interrupt)
            timer.start()
            # Where it came before the statement began, it is ended here.
            late = threading.Timer(3, con.interrupt)
            late.start()
            with pytest.raises(errors.StatementCancelledError):
                con.execute(sql).fetchall()
            timer.join()
            late.cancel()
            late.join()
        assert con.execute(f"SELECT count(*) FROM {TABLE}").fetchall() == [(101,)]


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), True, "5"])
def test_what_is_no_number_of_seconds_above_0_is_refused(tmp_path, seconds):
    database = tmp_path / "my.duckdb"
    for name in ("timeout", "request_timeout"):
        with pytest.raises(errors.ParameterError, match=f"^{name} must be .*seconds above 0"):
            vercel_sql.connect("vcp_ofNobody00000001", database=database, **{name: seconds})
    assert not database.exists()
    with vercel_sql.connect("vcp_ofNobody00000001", timeout=5) as con:
        with pytest.raises(errors.ParameterError, match="seconds above 0"):
            con.timeout = seconds
        assert con.timeout == 5
        con.timeout = None
        assert con.execute("SELECT 1").fetchall() == [(1,)]
