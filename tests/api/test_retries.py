"""When a request is sent again, how long the client waits before, and when it gives up."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from vercel_sql.errors import (
    APIError,
    NotFoundError,
    RateLimitedError,
    ServerError,
    TransportError,
    WaitTooLongError,
)
from vercel_sql.http.requests import build_request
from vercel_sql.runtime.scope import CancelScope, LimitWaits

from ..virtual_time import VirtualTime


@pytest.fixture
def naps(monkeypatch):
    """How long the client would have waited, each time; it does not wait."""
    clock, sleep = VirtualTime(monkeypatch), CancelScope.sleep

    def nap(scope, seconds, box=None, *what, **kind):
        if box is None:
            clock.waits.append(seconds)
        else:
            sleep(scope, seconds, box, *what, **kind)

    monkeypatch.setattr(CancelScope, "sleep", nap)
    return clock.waits


# Reads


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 520, 599])
def test_a_read_is_sent_again_on_what_may_pass(sim, make_client, read, naps, status):
    sim.faults(kind="status", status=status, times=2)
    assert make_client(sim).send(read).status == 200
    assert [record.status for record in sim.requests()] == [status, status, 200]
    assert len(naps) == 2
    assert all(0 <= nap <= 8 for nap in naps)


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "cut_body"])
def test_a_read_is_sent_again_where_no_whole_answer_came(sim, make_client, read, naps, kind):
    sim.faults(kind=kind, times=2)
    assert make_client(sim).send(read).json()["token"]["id"] == sim.state.calling_token.id
    assert len(sim.requests()) == 3


def test_a_read_is_sent_again_after_a_time_out(sim, make_client, read, naps):
    sim.faults(kind="latency", ms=3000)
    assert make_client(sim, request_timeout=1).send(read).status == 200
    assert len(sim.requests()) == 2


@pytest.mark.parametrize("status", [400, 401, 402, 403, 405, 409, 410, 422, 501])
def test_what_will_not_pass_is_not_sent_again(sim, make_client, read, naps, status):
    sim.faults(kind="status", status=status, times=None)
    with pytest.raises(APIError) as raised:
        make_client(sim).send(read)
    assert raised.value.status == status
    assert len(sim.requests()) == 1
    assert naps == []


def test_no_such_row_has_to_come_twice(sim, make_client, read, naps):
    """Nothing in a 404 shows which request it answers."""
    sim.faults(kind="status", status=404)
    assert make_client(sim).send(read).status == 200
    sim.faults(kind="status", status=404, times=None)
    with pytest.raises(NotFoundError):
        make_client(sim, attempts=1).send(read)
    assert len(sim.requests()) == 4
    assert naps == []


def test_a_read_is_given_up_after_so_many_attempts(sim, make_client, read, naps):
    sim.faults(kind="status", status=503, times=None)
    with pytest.raises(ServerError):
        make_client(sim, attempts=3).send(read)
    assert len(sim.requests()) == 3


def test_no_server_at_all_is_an_error_that_says_so(make_client, read, naps, simulate):
    gone = simulate(1)
    client = make_client(gone, attempts=2)
    gone.stop()
    with pytest.raises(TransportError, match="got no answer") as raised:
        client.send(read)
    assert (raised.value.method, raised.value.path) == ("GET", "/v5/user/tokens/current")
    assert not raised.value.outcome_unknown


# Writes


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "cut_body"])
@pytest.mark.parametrize("name", ["create_auth_token", "delete_auth_token", "verify_token"])
def test_a_write_whose_outcome_is_unknown_is_not_sent_again(
    sim, make_client, method, naps, kind, name
):
    arguments = {
        "create_auth_token": {"name": "x"},
        "delete_auth_token": {"tokenId": sim.state.tokens()[2].id},
        "verify_token": {"token": "verification-token"},
    }
    sim.faults(kind=kind, times=None)
    with pytest.raises(TransportError, match="not sent again") as raised:
        make_client(sim).send(build_request(method(name), arguments[name]))
    assert raised.value.outcome_unknown
    assert len(sim.requests()) == 1
    assert naps == []


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_a_write_that_failed_is_not_sent_again(sim, make_client, write, naps, status):
    sim.faults(kind="status", status=status, times=None)
    with pytest.raises(APIError):
        make_client(sim).send(write)
    assert len(sim.requests()) == 1


def test_a_write_that_timed_out_is_not_sent_again(sim, make_client, write, naps):
    sim.faults(kind="latency", ms=1000)
    with pytest.raises(TransportError) as raised:
        make_client(sim, request_timeout=0.2).send(write)
    assert raised.value.outcome_unknown
    assert len(sim.requests()) == 1


def test_a_write_over_the_limit_was_not_carried_out_and_is_sent_again(
    sim, make_client, write, naps
):
    sim.faults(kind="status", status=429, code="rate_limited", headers={"Retry-After": 2})
    assert make_client(sim).send(write).status == 200
    assert [r.acted for r in sim.requests() if r.method == "POST"] == [False, True]
    # Nothing shows that the first answer was the create's own: it is looked for in between.
    assert [r.method for r in sim.requests()] == ["POST", "GET", "POST"]
    assert 2 <= naps[0] <= 2.25


def test_a_429_that_is_not_the_limits_is_not_sent_again(sim, make_client, write, naps):
    sim.faults(kind="status", status=429, code="too_many_tokens", times=None)
    with pytest.raises(RateLimitedError):
        make_client(sim).send(write)
    assert [r.method for r in sim.requests()] == ["POST", "GET"]


def test_a_write_that_never_left_is_sent_again(make_client, write, naps, simulate):
    gone = simulate(1)
    client = make_client(gone, attempts=3)
    gone.stop()
    with pytest.raises(TransportError) as raised:
        client.send(write)
    assert not raised.value.outcome_unknown
    assert len(naps) == 2


# Limits


def _limit(reset_in: float) -> dict:
    at = time.time() + reset_in
    return {"remaining": 0, "reset": int(at), "resetMs": int(at * 1000), "total": 5}


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        (lambda: {"headers": {"Retry-After": "7"}}, 7),
        (lambda: {"headers": {"Retry-After": "0"}}, 0),
        (
            lambda: {
                "headers": {
                    "Retry-After": format_datetime(
                        datetime.now(UTC) + timedelta(seconds=30), usegmt=True
                    )
                }
            },
            30,
        ),
        (lambda: {"extra": {"limit": _limit(20)}}, 20),
        (lambda: {"extra": {"limit": _limit(-20)}}, 0),
        (lambda: {"headers": {"Retry-After": "4"}, "extra": {"limit": _limit(90)}}, 4),
        (lambda: {"headers": {"Retry-After": "soon"}, "extra": {"limit": _limit(9)}}, 9),
    ],
    ids=["seconds", "zero", "date", "resetMs", "past", "header first", "odd header"],
)
def test_a_limit_is_waited_for_as_long_as_the_server_says(
    sim, make_client, read, naps, fault, seconds
):
    sim.faults(kind="status", status=429, code="rate_limited", **fault())
    assert make_client(sim).send(read).status == 200
    assert seconds - 1.5 <= naps[0] <= seconds + 0.25


@pytest.mark.parametrize(
    "fault",
    [lambda: {"headers": {"Retry-After": "600"}}, lambda: {"extra": {"limit": _limit(600)}}],
    ids=["header", "body"],
)
def test_what_may_not_be_waited_for_says_when_the_limit_is_free(
    sim, make_client, read, naps, fault
):
    sim.faults(kind="status", status=429, code="rate_limited", times=None, **fault())
    with pytest.raises(
        WaitTooLongError, match=r"only in (10 minutes|9 minutes 5\d seconds), .* allows 60 s"
    ) as raised:
        make_client(sim, max_wait=60).send(read)
    assert 590 <= raised.value.wait <= 601
    assert naps == []
    assert len(sim.requests()) == 1


def test_all_waits_of_a_statement_count_together(sim, make_client, read, naps):
    sim.faults(
        kind="status", status=429, code="rate_limited", times=None, headers={"Retry-After": "20"}
    )
    client = make_client(sim)
    client.scope = CancelScope(waits=LimitWaits(70))
    with pytest.raises(WaitTooLongError):
        client.send(read)
    assert len(naps) == 3
    assert sum(naps) <= 70


def test_a_limit_is_waited_for_however_long_it_takes(sim, make_client, read, naps):
    sim.faults(
        kind="status", status=429, code="rate_limited", times=20, headers={"Retry-After": "864000"}
    )
    assert make_client(sim, attempts=2).send(read).status == 200
    assert len(naps) == 20
    assert sum(naps) >= 20 * 864_000


def test_what_fails_after_a_limit_is_tried_as_often_as_ever(sim, make_client, read, naps):
    put_off = {"kind": "status", "status": 429, "headers": {"Retry-After": "9"}, "times": 6}
    sim.faults(put_off, {"kind": "status", "status": 503, "times": 2})
    assert make_client(sim, attempts=3).send(read).status == 200


def test_a_server_that_says_never_when_is_asked_ever_less_often(sim, make_client, write, naps):
    sim.faults(kind="status", status=429, code="rate_limited", times=20, method="POST")
    assert make_client(sim).send(write).status == 200
    assert naps[0] <= 0.25
    assert sum(naps[:5]) < 10 < sum(naps[-5:])
    assert max(naps) <= 0.05 * 3600 + 8, "one part of the documented hour at a time"


@pytest.mark.parametrize("header", ["0", "-5"])
def test_a_server_that_always_says_now_is_not_flooded(sim, make_client, read, naps, header):
    sim.faults(kind="status", status=429, times=12, headers={"Retry-After": header})
    assert make_client(sim).send(read).status == 200
    assert sum(naps) > 10


def test_a_429_of_somebody_elses_that_says_nothing_is_a_failure(sim, make_client, read, naps):
    page = {"kind": "body", "body": "Slow down", "content_type": "text/html", "status": 429}
    sim.faults(**page, times=None)
    with pytest.raises(RateLimitedError):
        make_client(sim, attempts=3).send(read)
    assert len(sim.requests()) == 3


def test_a_spent_limit_is_waited_for_before_it_is_hit(simulate, make_client, read):
    sim = simulate(3, rate_limit="3/2")
    client = make_client(sim)
    for _ in range(5):
        client.send(read)
    assert [record.status for record in sim.requests()].count(429) <= 1
    assert [record.status for record in sim.requests()].count(200) == 5


def test_the_headers_of_a_good_answer_say_that_the_limit_is_spent(sim, make_client, read, naps):
    reset = int(time.time()) + 40
    headers = {"X-RateLimit-Limit": 9, "X-RateLimit-Remaining": 0, "X-RateLimit-Reset": reset}
    body = {"token": {"id": "t"}}
    sim.faults(kind="body", body=body, headers=headers, times=2)
    client = make_client(sim)
    client.send(read)
    assert naps == []
    client.send(read)
    assert 38 <= naps[0] <= 40


def test_limits_are_per_endpoint(sim, make_client, read, method, naps):
    reset = int(time.time()) + 40
    headers = {"X-RateLimit-Limit": 9, "X-RateLimit-Remaining": 0, "X-RateLimit-Reset": reset}
    sim.faults(kind="body", body={"token": {"id": "t"}}, headers=headers)
    client = make_client(sim)
    client.send(read)
    client.send(build_request(method("list_auth_tokens"), {}, {"limit": 1}))
    assert naps == []
