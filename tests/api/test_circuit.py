"""A server that fails again and again is left alone, and is found again when it is back."""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import vercel_sql
from vercel_sql.api import build_request
from vercel_sql.api.circuit import Circuit, Pass
from vercel_sql.errors import (
    APIError,
    BadRequestError,
    CircuitOpenError,
    ServerError,
    TransportError,
)

TABLE = "vercel.authentication.user_tokens"


class Steps:
    """A circuit at a clock that stands still unless it is moved."""

    def __init__(self):
        self.now = 0.0
        self.circuit = Circuit(lambda: self.now)

    def admitted(self):
        found = self.circuit.admit()
        assert isinstance(found, Pass), found
        return found

    def refused(self):
        found = self.circuit.admit()
        assert isinstance(found, str)
        return found

    def fail(self, times=1, reason="it was silent"):
        for _ in range(times):
            self.circuit.judge(self.admitted(), reason, None)

    def answer(self, status):
        self.circuit.judge(self.admitted(), None, status)


@pytest.fixture
def steps():
    return Steps()


def test_after_ten_failures_in_a_row_requests_are_refused(steps):
    steps.fail(9)
    steps.fail(1, "the name can't be resolved")
    said = r"failed 10 times in a row, last: the name can't be resolved; it is left alone until "
    assert re.fullmatch(said + r"\d\d:\d\d:\d\d UTC", steps.refused())


@pytest.mark.parametrize("status", [200, 302, 400, 404, 429])
def test_an_answer_begins_the_count_anew(steps, status):
    steps.fail(9)
    steps.answer(status)
    steps.fail(9)
    steps.admitted()


@pytest.mark.parametrize("status", [500, 502, 503, 520])
def test_an_answer_that_the_server_failed_counts_as_a_failure(steps, status):
    for _ in range(10):
        steps.answer(status)
    assert f"last: it answered {status};" in steps.refused()


def test_what_nobody_waited_for_counts_neither_way(steps):
    steps.fail(9)
    steps.circuit.judge(steps.admitted(), None, None)
    steps.fail(1)
    steps.refused()


def test_one_at_a_time_finds_out_whether_it_is_back_and_each_failure_doubles_the_pause(steps):
    steps.fail(10)
    for pause in (5, 10, 20, 40, 60, 60, 60):
        steps.now += pause - 1
        steps.refused()
        steps.now += 1
        probe = steps.admitted()
        assert "a request is under way to find out" in steps.refused()
        steps.circuit.judge(probe, "it was silent", None)
    steps.now += 60
    steps.answer(200)
    for _ in range(3):
        steps.admitted()
    steps.fail(9)
    steps.admitted()


def test_what_was_under_way_when_it_opened_does_not_lengthen_the_pause(steps):
    late = [steps.admitted() for _ in range(8)]
    steps.fail(10)
    for each in late:
        steps.circuit.judge(each, "it was silent", None)
    steps.now = 5.0
    steps.admitted()


def test_an_answer_to_what_was_under_way_closes_it_again(steps):
    late = steps.admitted()
    steps.fail(10)
    steps.circuit.judge(late, None, 200)
    steps.admitted()


def test_where_nobody_waited_for_the_probe_the_next_one_goes(steps):
    steps.fail(10)
    steps.now = 5.0
    steps.circuit.judge(steps.admitted(), None, None)
    steps.admitted()


# Through clients


@pytest.fixture
def short(monkeypatch):
    """Pauses that a test can wait for."""
    monkeypatch.setattr("vercel_sql.api.circuit._SHORTEST", 0.3)


def use_up(sim, client, request, kind=APIError):
    """Sends until the server is left alone."""
    for _ in range(10):
        with pytest.raises(kind):
            client.send(request)


def test_a_request_to_a_server_that_is_left_alone_is_not_sent(sim, make_client, read, write):
    sim.faults(kind="status", status=500, times=None)
    client = make_client(sim, attempts=1)
    use_up(sim, client, read)
    for request in (read, write):
        with pytest.raises(CircuitOpenError, match="failed 10 times in a row") as raised:
            client.send(request)
        assert not raised.value.outcome_unknown
        assert f"127.0.0.1:{sim.port}" in str(raised.value)
        assert raised.value.method == request.method.http
        assert sim.token not in str(raised.value)
    assert len(sim.requests()) == 10


def test_all_clients_of_the_process_leave_it_alone(sim, simulate, make_client, read):
    sim.faults(kind="status", status=500, times=None)
    use_up(sim, make_client(sim, attempts=1), read)
    with pytest.raises(CircuitOpenError):
        make_client(sim, token="vcp_anotherToken00001").send(read)
    assert make_client(simulate(1)).send(read).status == 200


def test_it_is_found_again_when_it_is_back(sim, make_client, read, short):
    client = make_client(sim, attempts=1)
    sim.pause()
    use_up(sim, client, read, TransportError)
    with pytest.raises(CircuitOpenError, match="refused the connection"):
        client.send(read)
    sim.resume()
    deadline = time.monotonic() + 30
    while True:
        try:
            assert client.send(read).status == 200
            break
        except CircuitOpenError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert client.send(read).status == 200


def test_what_waits_to_be_sent_again_is_not_sent_when_the_server_is_left_alone(
    sim, make_client, read, method
):
    sim.faults(kind="status", status=503, headers={"Retry-After": "1"}, path="/v5/*")
    sim.faults(kind="status", status=500, times=None, path="/v6/*")
    waiting = ThreadPoolExecutor(1)
    later = waiting.submit(make_client(sim).send, read)
    deadline = time.monotonic() + 30
    while not sim.requests():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    listing = build_request(method("list_auth_tokens"), {}, {"limit": 1})
    other = make_client(sim, attempts=1)
    for _ in range(9):
        with pytest.raises(ServerError):
            other.send(listing)
    with pytest.raises(CircuitOpenError):
        later.result(30)
    waiting.shutdown()
    assert [record.path for record in sim.requests()].count("/v5/user/tokens/current") == 1


def test_a_refusal_by_the_api_is_no_failure(sim, make_client, read):
    sim.faults(kind="status", status=400, times=None)
    client = make_client(sim, attempts=1)
    for _ in range(15):
        with pytest.raises(BadRequestError):
            client.send(read)


# Through SQL


def test_lookups_side_by_side_stop_hammering_a_server_that_fails(sim):
    sim.faults(kind="status", status=502, times=None)
    ids = ", ".join(f"'t{number}'" for number in range(20))
    with vercel_sql.connect(sim.token, api_url=sim.url) as con:
        with pytest.raises((ServerError, CircuitOpenError)):
            con.execute(f"SELECT id FROM {TABLE} WHERE id IN ({ids})")
        assert len(sim.requests()) <= 10 + 8, "ten, and what was under way then"
        before = len(sim.requests())
        with pytest.raises(CircuitOpenError, match="it is left alone until"):
            con.execute(f"SELECT id FROM {TABLE}").fetchall()
        assert len(sim.requests()) == before


def test_lookups_side_by_side_stop_hammering_a_server_that_hangs_up(serve):
    lock = threading.Lock()
    heads = []

    def hang_up(_connection):
        with lock:
            heads.append(1)

    server = serve(hang_up)
    ids = ", ".join(f"'t{number}'" for number in range(20))
    with (
        vercel_sql.connect("vcp_notOfAnyAccount0001", api_url=server.url) as con,
        pytest.raises((TransportError, CircuitOpenError)),
    ):
        con.execute(f"SELECT id FROM {TABLE} WHERE id IN ({ids})")
    assert len(heads) <= 10 + 8
    assert server.connections <= 10 + 8
