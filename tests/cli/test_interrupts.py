"""Ctrl-C and SIGTERM: what was made is printed, nothing goes on, and there is no traceback."""

import fcntl
import json
import signal
import sys
import termios
import time

import pytest

from ..stuck import PROMPT as WITHIN
from ..stuck import SITUATIONS, stuck_in
from .conftest import PATIENCE, environment, started

TABLE = "vercel.authentication.user_tokens"
PROMPT = 5.0  # seconds: the machine may be busy


def interrupted(sim, arguments, when, number=signal.SIGINT):
    """Sends a signal at a moment; gives the exit code, both streams and the seconds it took."""
    with started(arguments, environment(sim)) as process:
        when()
        began = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out.decode(), err.decode(), time.monotonic() - began


def received(sim, method, count):
    """A moment: when the account has received so many requests."""

    def wait():
        deadline = time.monotonic() + PATIENCE
        while sum(request.method == method for request in sim.requests()) < count:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    return wait


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_bulk_insert_prints_what_it_made(simulate, number):
    sim = simulate(0, latency_ms=150)
    sql = f"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range(50) r(i)"
    arguments = ["-o", "ndjson", "-c", sql, "-c", "SELECT 'never'"]
    code, out, err, took = interrupted(sim, arguments, received(sim, "POST", 4), number)
    assert code == 128 + number
    printed = [json.loads(line)["bearerToken"] for line in out.splitlines()]
    bearers = [token.bearer for token in reversed(sim.state.tokens()) if token.bearer != sim.token]
    assert len(printed) >= 3
    assert printed == bearers[: len(printed)]
    assert len(bearers) <= len(printed) + 1
    assert f"interrupted after {len(printed)} rows" in err
    assert "Traceback" not in err
    assert not [secret for secret in bearers if secret in err]
    assert took < PROMPT


def test_the_first_of_many(simulate):
    sim = simulate(0, latency_ms=300)
    sql = f"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range(50) r(i)"
    code, _out, err, _took = interrupted(sim, ["-c", sql], received(sim, "POST", 1))
    assert code == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert len([r for r in sim.requests() if r.method == "POST"]) <= 2


@pytest.mark.parametrize(
    ("method", "sql"),
    [
        ("POST", f"INSERT INTO {TABLE} (name) VALUES ('a')"),
        ("POST", f"INSERT INTO {TABLE} (name) VALUES ('a'), ('b')"),
        ("POST", f"EXEC {TABLE}.create_auth_token @name = 'a'"),
        ("POST", f"EXEC {TABLE}.rotate_token @tokenId = 'current'"),
        ("DELETE", f"DELETE FROM {TABLE} WHERE id IN ('a', 'b')"),
        ("GET", f"DELETE FROM {TABLE} WHERE name = 'a'"),
        ("GET", f"EXEC {TABLE}.rotate_token @tokenId = 'current'"),
    ],
)
def test_waiting_for_the_rate_limit_nothing_is_under_way(simulate, method, sql):
    sim = simulate(3)
    count = len(sim.state.tokens())
    sim.faults(kind="status", status=429, headers={"Retry-After": "100"}, times=None, method=method)
    code, out, err, took = interrupted(sim, ["-o", "csv", "-c", sql], received(sim, method, 1))
    assert (code, out) == (130, "")
    *waiting, told = err.splitlines()
    assert all("waiting for the rate limit until" in line for line in waiting)
    assert told.endswith(": interrupted. Nothing was changed at Vercel")
    assert len(sim.state.tokens()) == count
    assert took < PROMPT


def test_what_is_under_way_may_have_been_carried_out(simulate):
    sim = simulate(0)
    sim.faults(kind="hang", method="POST", times=None)
    sql = f"INSERT INTO {TABLE} (name) VALUES ('a'), ('b')"
    code, _out, err, took = interrupted(sim, ["-c", sql], received(sim, "POST", 1))
    assert code == 130
    assert "The outcome of the request in progress is unknown" in err
    assert "Nothing was changed" not in err
    assert took < PROMPT


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT * FROM {TABLE}",
        "SELECT name, count(*) FROM vercel.audit.user_tokens GROUP BY name",
        f"EXEC {TABLE}._list_auth_tokens",
    ],
)
def test_a_slow_listing(simulate, sql):
    sim = simulate(3000, latency_ms=300)
    code, out, err, took = interrupted(sim, ["-o", "csv", "-c", sql], received(sim, "GET", 2))
    assert (code, out) == (130, "")
    assert err.startswith("vercel-sql: in the statement at 1:1: interrupted")
    assert len(err.splitlines()) == 1
    assert took < PROMPT


def test_a_long_computation_within_duckdb(sim):
    sql = f"SELECT max(createdAt) FROM {TABLE}, range(100000000) a, range(100000000) b"
    one_page = received(sim, "GET", 1)

    def computing():
        one_page()
        time.sleep(1)

    code, out, err, took = interrupted(sim, ["-c", sql], computing)
    assert (code, out) == (130, "")
    assert err == "vercel-sql: in the statement at 1:1: interrupted\n"
    assert took < PROMPT


@pytest.mark.parametrize("name", SITUATIONS)
def test_whatever_a_statement_waits_for(name):
    with stuck_in(name) as stuck:
        env = environment(
            VERCEL_TOKEN=stuck.token, VERCEL_API_URL=stuck.url, VERCEL_OAUTH_URL=stuck.url
        )
        arguments = ["-o", "csv", "-c", "SELECT 42 AS begun", "-c", stuck.sql, "-c", "SELECT 43"]
        with started(arguments, env) as process:
            assert [process.stdout.readline() for _ in range(2)] == [b"begun\n", b"42\n"]
            stuck.wait()
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=PATIENCE)
            took = time.monotonic() - began
    assert (process.returncode, out) == (130, b"")
    *waiting, told = err.splitlines()
    assert told.startswith(b"vercel-sql: in the statement at 1:1 of -c no. 2: interrupted")
    assert all(b"waiting for the rate limit until" in line for line in waiting)
    assert took < WITHIN


def test_waiting_for_standard_input():
    with started(["-f", "-"], environment(), stdin=-1) as process:
        process.stdin.write(b"SELECT 1")
        process.stdin.flush()
        deadline = time.monotonic() + PATIENCE
        while unread(process.stdin):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
        assert process.returncode == 130
        assert process.stderr.read() == b"vercel-sql: interrupted\n"


def unread(pipe):
    """How many bytes the other end has not taken yet."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
