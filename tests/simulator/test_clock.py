"""The account's clock can be moved on, so that things expire in tests."""

import time

import pytest


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
