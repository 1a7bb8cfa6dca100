"""What the command line says of rate limits: before a statement, while it waits, and after."""

from __future__ import annotations

import httpx
import pytest

from ..virtual_time import VirtualTime
from .conftest import environment, started

TABLE = "vercel.authentication.user_tokens"
INSERT = f"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range(40) t(i)"
PACE = "40 creations, about 1 hour 15 minutes: Vercel allows 32 every hour"


def test_it_is_said_before_the_first_request_and_while_it_waits(here, simulate, monkeypatch):
    sim = simulate(0, limits="vercel")
    VirtualTime(monkeypatch).add(sim)
    ended = here("-o", "csv", "-c", INSERT, sim=sim)
    assert ended.code == 0
    before, waiting = ended.err.splitlines()
    assert before == f"vercel-sql: INSERT INTO {TABLE}: {PACE}"
    assert waiting.startswith("vercel-sql: create_auth_token is waiting for the rate limit until ")
    assert len([r for r in sim.requests() if r.method == "POST"]) == 40


def test_max_wait_refuses_before_the_first_request(here, simulate):
    sim = simulate(3, limits="vercel")
    for text in ("60", "0"):
        ended = here("--max-wait", text, "-c", INSERT, sim=sim)
        assert (ended.code, ended.out) == (1, "")
        assert f"{PACE}. It would wait at least 1 hour, and max_wait allows {text} s" in ended.err
        assert ended.err.endswith("Nothing was sent (here: --max-wait SECONDS)\n")
    assert sim.requests() == []


@pytest.mark.parametrize("text", ["-1", "soon", "inf", "nan"])
def test_what_is_not_a_number_of_seconds(here, text):
    ended = here(f"--max-wait={text}", "-c", "SELECT 1")
    assert ended.code == 2
    assert "--max-wait" in ended.err


def test_timeout_ends_it_with_what_is_done(here, simulate):
    sim = simulate(60, limits="vercel")
    sql = f"DELETE FROM {TABLE} WHERE id <> '{sim.state.calling_token.id}'"
    ended = here("--timeout", "60", "-o", "csv", "-c", sql, sim=sim)
    assert ended.code == 1
    assert "60 deletions, about 6 minutes: Vercel allows 50 every 5 minutes" in ended.err
    assert "Not started: 10 (" in ended.err
    assert len(ended.out.splitlines()) == 51
    assert len(sim.state.tokens()) == 11


@pytest.mark.parametrize(("arguments", "requests"), [((), 120), (("--limits", "none"), 100_000)])
def test_simulate_has_vercels_limits_unless_it_is_said(arguments, requests):
    with started(["simulate", *arguments], environment()) as process:
        lines = [process.stdout.readline().decode().strip() for _ in range(2)]
        url, token = (line.partition("=")[2] for line in lines)
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.get(f"{url}/v6/user/tokens", headers=headers, trust_env=False)
    assert answer.headers["x-ratelimit-limit"] == str(requests)
