"""Deletes of many rows on the command line: how many may go, and what is said when they stop."""

import re
import signal

import pytest

from .test_interrupts import interrupted, received
from .test_terminal import on_a_terminal

TABLE = "vercel.authentication.user_tokens"


@pytest.fixture
def others(simulate):
    """Starts an account; gives it and a statement that deletes all tokens but the calling one."""

    def start(tokens, **settings):
        sim = simulate(tokens, **settings)
        return sim, f"DELETE FROM {TABLE} WHERE id <> '{sim.state.calling_token.id}'"

    return start


def ids(sim):
    return [token.id for token in sim.state.tokens() if token is not sim.state.calling_token]


def asked(sim):
    return [r.path.rpartition("/")[2] for r in sim.requests() if r.method == "DELETE"]


def test_more_than_a_hundred_need_to_be_allowed(here, others):
    sim, sql = others(101)
    ended = here("-c", sql, sim=sim)
    assert (ended.code, ended.out) == (1, "")
    assert "it would send 101 writes, and max_writes allows 100. Nothing was sent" in ended.err
    assert "--max-writes N" in ended.err
    assert asked(sim) == []
    ended = here("-o", "json", "--max-writes", "101", "-c", sql, sim=sim)
    assert (ended.code, ended.out) == (0, '[\n{"Count":101}\n]\n')
    assert len(asked(sim)) == 101


@pytest.mark.parametrize("returning", ["", " RETURNING id, name"])
def test_a_failure_tells_what_is_gone_and_what_is_left(here, others, returning):
    sim, sql = others(60)
    every = ids(sim)
    sim.faults(kind="status", status=403, message="No more.", method="DELETE", after=20)
    ended = here("-o", "csv", "-c", sql + returning, sim=sim)
    assert ended.code == 1
    header, *rows = ended.out.splitlines()
    assert header == ("id,name" if returning else "id")
    gone = [id_ for id_ in every if sim.state.find_token(id_) is None]
    assert [row.partition(",")[0] for row in rows] == gone
    assert f"{len(gone)} of 60 were carried out; their rows are in the output" in ended.err
    assert re.search(r"[0-9a-f]+ failed: No more \(DELETE [^ ]+, 403\)", ended.err)
    assert f"Not started: {59 - len(gone)} (" in ended.err
    forecast, _error = ended.err.splitlines()
    assert "60 deletions, about 6 minutes: Vercel allows 50 every 5 minutes" in forecast


def test_on_a_terminal_too_every_row_that_is_gone_is_shown(others):
    sim, sql = others(80)
    every = ids(sim)
    sim.faults(kind="status", status=403, method="DELETE", after=60)
    code, screen, _piped = on_a_terminal(["-c", sql], 100, sim)
    assert code == 1
    gone = [id_ for id_ in every if sim.state.find_token(id_) is None]
    assert len(gone) > 42
    assert [id_ for id_ in every if f"│ {id_} │" in screen] == gone


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_begins_nothing_more_and_tells_what_is_gone(others, number):
    sim, sql = others(90, latency_ms=200)
    every = ids(sim)
    arguments = ["-o", "csv", "--parallel-deletes", "4", "-c", sql, "-c", "SELECT 'never'"]
    code, out, err, _took = interrupted(sim, arguments, received(sim, "DELETE", 6), number)
    assert code == 128 + number
    gone = [id_ for id_ in every if sim.state.find_token(id_) is None]
    assert out.splitlines() == ["id", *gone]
    assert len(asked(sim)) == len(set(asked(sim))) == len(gone) < 90
    assert f"interrupted after {len(gone)} rows were carried out (see above)" in err
    assert f"Not started: {90 - len(gone)} (" in err
    assert "never" not in out
    assert "Traceback" not in err


def test_ctrl_c_while_the_server_hangs_tells_what_is_unknown(others):
    sim, sql = others(30)
    sim.faults(kind="hang", method="DELETE", after=10, times=None)
    code, out, err, took = interrupted(sim, ["-o", "csv", "-c", sql], received(sim, "DELETE", 18))
    assert code == 130
    assert len(out.splitlines()) == 1 + 10
    assert "interrupted after 10 rows" in err
    assert "The outcome is unknown for 8 (" in err
    assert "Not started: 12 (" in err
    assert took < 20


@pytest.mark.parametrize("wrong", ["0", "17"])
def test_how_many_at_a_time_has_bounds(here, wrong):
    ended = here("--parallel-deletes", wrong, "-c", "SELECT 1")
    assert (ended.code, ended.out) == (2, "")
    assert f"--parallel-deletes: must be an integer from 1 to 16, not {wrong}" in ended.err
