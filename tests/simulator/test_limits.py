"""Rate limits: per endpoint, in windows, told in headers and body."""

import time

import pytest

from vercel_sql.simulator import RateLimit

from ..scale import SCALE


def test_headers_tell_a_generous_limit_where_none_is_set(api):
    for _ in range(3):
        headers = api.get("/v2/user").headers
    assert headers["x-ratelimit-limit"] == "100000"
    assert headers["x-ratelimit-remaining"] == "99997"
    assert time.time() <= int(headers["x-ratelimit-reset"]) <= time.time() + 61


def test_a_spent_limit_is_429_until_its_window_ends(start, connect):
    simulator = start(0, rate_limit="2/60")
    api = connect(simulator)
    remaining = [api.get("/v2/user").headers["x-ratelimit-remaining"] for _ in range(2)]
    assert remaining == ["1", "0"]
    refused = api.get("/v2/user")
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert error["code"] == "rate_limited"
    assert error["limit"]["remaining"] == 0
    assert error["limit"]["total"] == 2
    assert error["limit"]["reset"] == int(refused.headers["x-ratelimit-reset"])
    assert 0 <= error["limit"]["reset"] * 1000 - error["limit"]["resetMs"] < 1000
    assert 30 < int(refused.headers["retry-after"]) <= 60
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert api.get("/v2/teams").status_code == 200, "limits are per endpoint"
    assert api.get("/_simulator/requests").status_code == 200
    left = error["limit"]["resetMs"] / 1000 - simulator.state.clock.now_ms() / 1000
    simulator.advance(max(0, left) + 0.01)
    assert api.get("/v2/user").status_code == 200


@pytest.mark.parametrize("now_ms", [1_500_000_000_000, 4_000_000_000_000], ids=["past", "future"])
def test_the_end_of_a_window_is_told_by_the_accounts_clock(start, connect, now_ms):
    simulator = start(0, now_ms=now_ms, rate_limit="1/60")
    api = connect(simulator)
    first = int(api.get("/v2/user").headers["x-ratelimit-reset"])
    refused = api.get("/v2/user")
    limit = refused.json()["error"]["limit"]
    assert first == limit["reset"] == int(refused.headers["x-ratelimit-reset"])
    assert 60_000 < limit["resetMs"] - now_ms < 120_000
    assert 0 < int(refused.headers["retry-after"]) <= 60
    simulator.advance(30)
    assert api.get("/v2/user").json()["error"]["limit"]["resetMs"] == limit["resetMs"]
    simulator.advance(31)
    assert api.get("/v2/user").status_code == 200, "time that is let pass ends windows too"


DOCUMENTED = [
    ("POST", ["/v3/user/tokens"], 32, 3600),
    ("DELETE", ["/v3/user/tokens/a", "/v3/user/tokens/b"], 50, 300),
    ("GET", ["/v6/user/tokens", "/v5/user/tokens", "/v5/user/tokens/a"], 120, 60),
]
LARGE = [
    ("GET", ["/v2/user"], 500, 60),
    ("GET", ["/v1/teams", "/v2/teams", "/v2/teams/a", "/teams/a"], 600, 60),
]


@pytest.mark.parametrize(
    ("method", "paths", "requests", "seconds"), DOCUMENTED + LARGE * (SCALE > 1)
)
def test_the_documented_limits(start, connect, method, paths, requests, seconds):
    simulator = start(0, limits="vercel")
    api = connect(simulator)
    answers = [api.request(method, paths[n % len(paths)]) for n in range(requests + 1)]
    assert [answer.status_code == 429 for answer in answers] == [False] * requests + [True]
    told = {answer.headers["x-ratelimit-limit"] for answer in answers}
    assert told == {str(requests)}
    assert seconds - 30 < int(answers[-1].headers["retry-after"]) <= seconds
    simulator.advance(seconds)
    assert api.request(method, paths[0]).status_code != 429


@pytest.mark.parametrize(("method", "paths", "requests", "seconds"), LARGE)
def test_the_large_ones_are_counted_alike(start, connect, method, paths, requests, seconds):
    api = connect(start(0, limits="vercel"))
    for used in range(1, 9):
        headers = api.request(method, paths[used % len(paths)]).headers
        assert headers["x-ratelimit-limit"] == str(requests)
        assert headers["x-ratelimit-remaining"] == str(requests - used), "the paths share it"
    assert abs(int(headers["x-ratelimit-reset"]) - time.time() - seconds) < 30


def test_what_has_no_documented_limit_has_none(start, connect):
    api = connect(start(0, limits="vercel"))
    assert api.get("/registration/verify").headers["x-ratelimit-limit"] == "100000"


def test_other_limits_are_refused(start):
    with pytest.raises(ValueError, match="vercel or none"):
        start(0, limits="github")


def test_paths_of_one_endpoint_share_its_limit(start, connect):
    api = connect(start(0, rate_limit=RateLimit(2, 60)))
    paths = ["/v5/user/tokens/current", "/v5/user/tokens/a", "/v5/user/tokens/b"]
    assert [api.get(path).status_code for path in paths] == [200, 404, 429]
    anyone = [api.get("/registration/verify").status_code for _ in range(3)]
    assert anyone == [400, 400, 429]


def test_what_is_refused_is_not_done(start, connect):
    simulator = start(0, rate_limit="1/60")
    api = connect(simulator)
    statuses = [api.post("/v3/user/tokens", json={"name": "x"}).status_code for _ in range(3)]
    assert statuses == [200, 429, 429]
    assert len(simulator.state.tokens()) == 2
    assert [record.acted for record in simulator.requests()] == [True, False, False]


@pytest.mark.parametrize(
    "text", ["", "5", "5/", "/5", "0/5", "5/0", "-1/5", "1/-5", "a/b", "5/1e3"]
)
def test_other_texts_are_no_limits(text):
    with pytest.raises(ValueError):
        RateLimit.parse(text)


def test_limits_are_read():
    assert RateLimit.parse("100/60") == RateLimit(100, 60)
    assert RateLimit.parse("5/0.5") == RateLimit(5, 0.5)
