"""What became of each token, in order, told after it is gone."""

from contextlib import suppress

import httpx
import pytest

from vercel_sql.simulator import TokenEvent

CREATE = "/v3/user/tokens"


def test_the_account_begins_with_its_tokens(start):
    simulator = start(3, now_ms=1_780_000_000_000)
    events = simulator.history()
    assert {event.id for event in events} == {token.id for token in simulator.state.tokens()}
    assert len(events) == 4
    assert {(event.event, event.request) for event in events} == {("created", None)}
    assert all(0 <= event.time_ms - 1_780_000_000_000 < 60_000 for event in events)


def test_creating_and_deleting_are_told_with_the_request_that_did_it(api, simulator):
    before = len(simulator.history())
    answer = api.post(CREATE, json={"name": "x"}).json()
    simulator.advance(60)
    api.delete(f"{CREATE}/nobody")
    api.delete(f"{CREATE}/{answer['token']['id']}")
    api.delete(f"{CREATE}/{answer['token']['id']}")
    created, removed = simulator.history()[before:]
    its = {"id": answer["token"]["id"], "name": "x", "bearer": answer["bearerToken"]}
    assert created == TokenEvent(event="created", **its, time_ms=created.time_ms, request=0)
    assert removed == TokenEvent(event="removed", **its, time_ms=removed.time_ms, request=2)
    assert answer["token"]["createdAt"] <= created.time_ms <= removed.time_ms - 60_000
    assert simulator.requests()[removed.request].method == "DELETE"


@pytest.mark.parametrize(
    ("fault", "acted"),
    [
        ({"kind": "drop_before"}, False),
        ({"kind": "status", "status": 500}, False),
        ({"kind": "drop_after"}, True),
        ({"kind": "cut_body", "bytes": 3}, True),
        ({"kind": "latency", "ms": 1}, True),
    ],
)
def test_only_what_was_done_is_told(api, simulator, fault, acted):
    before = len(simulator.history())
    simulator.faults(fault)
    with suppress(httpx.RemoteProtocolError):
        api.post(CREATE, json={"name": "x"})
    assert [event.name for event in simulator.history()[before:]] == ["x"] * acted


def test_what_a_test_does_by_hand_is_told_too(simulator):
    before = len(simulator.history())
    token = simulator.state.add_token(
        {"id": "odd", "name": {"no": "text"}}, bearer="b", listed=False
    )
    simulator.state.remove_token(token)
    told = [(e.event, e.id, e.name, e.bearer, e.request) for e in simulator.history()[before:]]
    assert told == [("created", "odd", None, "b", None), ("removed", "odd", None, "b", None)]


def test_it_is_shown_over_http_and_outlives_the_records(api, simulator):
    api.post(CREATE, json={"name": "x"})
    api.delete("/_simulator/requests")
    shown = api.get("/_simulator/history").json()["history"]
    assert [TokenEvent(**event) for event in shown] == simulator.history()
    assert shown[-1]["bearer"] not in repr(simulator.history())
