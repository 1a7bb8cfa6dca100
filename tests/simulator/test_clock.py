"""The account's clock can be moved on, so that things expire in tests."""

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest

NOW = 1_780_000_000_900


def test_time_passes_at_once(api, simulator):
    before = api.get("/_simulator/clock").json()["now_ms"]
    after = api.post("/_simulator/clock", json={"advance_seconds": 90.5}).json()["now_ms"]
    assert 90_500 <= after - before < 95_000
    assert simulator.advance(10) - after >= 10_000
    created = api.post("/v3/user/tokens", json={"name": "x"}).json()["token"]["createdAt"]
    assert created > time.time() * 1000 + 100_000


@pytest.mark.parametrize(
    "body",
    [{}, {"advance_seconds": -1}, {"advance_seconds": "1"}, {"advance_seconds": 1e300}, {"x": 1}],
)
def test_it_never_goes_back(api, body):
    assert api.post("/_simulator/clock", json=body).status_code == 400


def test_a_fixed_start_moves_on_too(start):
    simulator = start(0, now_ms=1_780_000_000_000)
    assert 1_780_000_060_000 <= simulator.advance(60) < 1_780_000_070_000
    with pytest.raises(ValueError):
        simulator.advance(-1)


def told(answer):
    """The time that an answer's `Date` tells, in seconds since the epoch."""
    (text,) = answer.headers.get_list("date")
    at = parsedate_to_datetime(text)
    assert text == at.strftime("%a, %d %b %Y %H:%M:%S GMT"), "RFC 9110, section 5.6.7"
    return at.timestamp()


@pytest.mark.parametrize("path", ["/v2/user", "/nowhere", "/_simulator/clock"])
def test_every_answer_tells_the_accounts_time(start, connect, path):
    simulator = start(0, now_ms=NOW)
    api = connect(simulator)
    before = simulator.state.clock.now_ms()
    date = told(api.get(path))
    assert before // 1000 <= date <= simulator.state.clock.now_ms() / 1000
    simulator.advance(3600)
    assert told(api.get(path)) - date >= 3600
    for refused in (connect(simulator, None).get("/v2/user"), api.put("/v2/user")):
        assert refused.status_code in (403, 405)
        assert told(refused) - date >= 3600


def test_the_date_is_the_real_one_by_default(api):
    assert abs(told(api.get("/v2/user")) - time.time()) < 10


def test_answers_of_faults_are_dated_and_may_bring_a_date_of_their_own(start, connect):
    simulator = start(0, now_ms=NOW)
    api = connect(simulator)
    simulator.faults(
        {"kind": "status", "status": 503},
        {"kind": "body", "body": {}},
        {"kind": "redirect", "location": "/"},
    )
    assert all(0 <= told(api.get("/v2/user")) - NOW // 1000 < 60 for _ in range(3))
    theirs = "Wed, 21 Oct 2026 07:28:00 GMT"
    simulator.faults(kind="status", status=500, headers={"Date": theirs})
    assert api.get("/v2/user").headers.get_list("date") == [theirs]


def test_a_clock_beyond_what_a_date_can_say_still_answers(start, connect):
    api = connect(start(0, now_ms=10**15))
    assert told(api.get("/v2/user")) == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()
