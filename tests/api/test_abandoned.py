"""What nobody waits for any more holds up nothing that comes after it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from vercel_sql.errors import Error, StatementCancelledError
from vercel_sql.http.connections import MOST_CONNECTIONS
from vercel_sql.runtime.scope import AbandonedError, CancelScope

HANG = {"kind": "hang", "ms": 60_000, "times": None}
PATIENCE = 20.0  # far less than a request hangs


def left(client):
    """The connections that requests are under way on which nobody waits for."""
    return {pool for pool in client.connections._open if pool.is_over}


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_reads_that_were_given_up_hold_no_connection_from_the_next_statement(
    sim, make_client, read
):
    client = make_client(sim)
    client.send(read)
    for _round in range(3):
        sim.clear_requests()
        sim.faults(**HANG)
        with ThreadPoolExecutor(MOST_CONNECTIONS + 4) as pool:
            hanging = [pool.submit(client.send, read) for _ in range(MOST_CONNECTIONS + 4)]
            until(lambda: len(sim.requests()) == MOST_CONNECTIONS)
            client.scope.cancel()
        assert all(isinstance(each.exception(), StatementCancelledError) for each in hanging)
        sim.clear_faults()
        client.scope = CancelScope()
        began = time.monotonic()
        assert client.send(read).status == 200
        assert time.monotonic() - began < PATIENCE


def test_writes_that_were_given_up_hold_none_either(sim, make_client, read, write):
    client = make_client(sim)
    sim.faults(**HANG)

    def hang():
        with pytest.raises(AbandonedError):
            client.scope.run_to_end(lambda: client.send(write), 0.1)

    with ThreadPoolExecutor(MOST_CONNECTIONS) as pool:
        hanging = [pool.submit(hang) for _ in range(MOST_CONNECTIONS)]
        until(lambda: len(sim.requests()) == MOST_CONNECTIONS)
        client.scope.cancel()
    for each in hanging:
        each.result()
    sim.clear_faults()
    client.scope = CancelScope()
    assert client.send(read).status == 200


def test_what_ends_by_the_statements_time_holds_none_either(sim, make_client, read):
    client = make_client(sim)
    sim.faults(**HANG)
    client.scope = CancelScope(0.5)
    with ThreadPoolExecutor(MOST_CONNECTIONS) as pool:
        for each in [pool.submit(client.send, read) for _ in range(MOST_CONNECTIONS)]:
            assert isinstance(each.exception(), Error)
    sim.clear_faults()
    client.scope = CancelScope(PATIENCE)
    assert client.send(read).status == 200


def test_a_write_that_goes_on_is_not_disturbed_by_the_next_statement(sim, make_client, read, write):
    client = make_client(sim)
    sim.faults(kind="latency", ms=1500, method="POST")
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(client.send, write)
        until(sim.requests)
        client.scope.cancel()
        client.scope = CancelScope()
        assert client.send(read).status == 200
        assert "bearerToken" in under_way.result().json()


def test_a_statement_that_ended_well_leaves_its_connection_to_the_next(sim, make_client, read):
    client = make_client(sim)
    for _ in range(5):
        client.scope = CancelScope(0.2)
        with suppress(Error):
            client.send(read)
        time.sleep(0.25)
    assert left(client) == set()


def test_connections_that_were_left_are_closed_when_their_last_request_ends(sim, make_client, read):
    client = make_client(sim)
    sim.faults(kind="hang", ms=500, times=2)
    with ThreadPoolExecutor(2) as pool:
        hanging = [pool.submit(client.send, read) for _ in range(2)]
        until(lambda: len(sim.requests()) == 2)
        client.scope.cancel()
        assert all(each.exception() for each in hanging)
    client.scope = CancelScope()
    (one,) = left(client)
    until(lambda: one.http.is_closed)
    assert left(client) == set()


def test_closing_a_client_closes_what_was_left_too(sim, make_client, read):
    client = make_client(sim)
    sim.faults(**HANG)
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(client.send, read)
        until(sim.requests)
        client.scope.cancel()
        assert hanging.exception()
    client.scope = CancelScope()
    (one,) = left(client)
    client.close()
    assert one.http.is_closed


def test_a_body_that_nobody_waits_for_is_not_read_on(sim, make_client, read):
    client = make_client(sim)
    sim.faults(kind="drip", ms=50)
    with ThreadPoolExecutor(1) as pool:
        dripping = pool.submit(client.send, read)
        until(sim.requests)
        time.sleep(0.2)
        client.scope.cancel()
        assert isinstance(dripping.exception(), StatementCancelledError)
    client.scope = CancelScope()
    until(lambda: left(client) == set())
