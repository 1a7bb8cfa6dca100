"""A server that is dead for a while, and back with what it held."""

import socket
import threading

import httpx
import pytest

from vercel_sql.simulator import Simulator

from .test_connections import CREATE, Wire
from .test_slow_answers import wait_for

LIST = "/v6/user/tokens"


def test_while_paused_connecting_is_refused(api, simulator):
    url = simulator.url
    simulator.pause()
    with pytest.raises(httpx.ConnectError):
        api.get(LIST)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", simulator.port), timeout=5)
    simulator.resume()
    assert simulator.url == url
    assert api.get(LIST).status_code == 200


def test_it_comes_back_with_all_that_it_held(api, simulator):
    made = api.post("/v3/user/tokens", json={"name": "x"}).json()["token"]["id"]
    simulator.faults(kind="status", status=503, after=1)
    for _ in range(3):
        simulator.pause()
        simulator.resume()
    assert api.get(f"/v5/user/tokens/{made}").status_code == 200
    assert api.get(LIST).status_code == 503
    assert [record.index for record in simulator.requests()] == [0, 1, 2]


def test_what_is_under_way_ends_and_is_not_done(simulator, caplog, capfd):
    simulator.faults(kind="latency", ms=60_000)
    with Wire(simulator) as wire, Wire(simulator) as idle:
        wire.ask(*CREATE)
        wait_for(lambda: simulator.requests())
        simulator.pause()
        for each in (wire, idle):
            assert each.until_closed() == b""
    simulator.resume()
    (record,) = simulator.requests()
    assert (record.acted, record.status) == (False, None)
    assert simulator.state.tokens()[0]["name"] != "x"
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert capfd.readouterr() == ("", "")


def test_nobody_else_gets_the_port_meanwhile(simulator):
    simulator.pause()
    others = [Simulator(0) for _ in range(20)]
    try:
        assert simulator.port not in [other.start().port for other in others]
    finally:
        for other in others:
            other.stop()
    simulator.resume()


def test_it_can_be_stopped_while_it_is_paused():
    with Simulator(0) as simulator:
        simulator.pause()
    assert not [each for each in threading.enumerate() if each.name == "vercel-simulator"]
    with Simulator(0, port=simulator.port) as again:
        assert httpx.get(again.url, trust_env=False, verify=False).status_code == 404
    with pytest.raises(RuntimeError):
        simulator.resume()


def test_pausing_and_resuming_take_turns(simulator):
    with pytest.raises(RuntimeError):
        simulator.resume()
    simulator.pause()
    with pytest.raises(RuntimeError):
        simulator.pause()
    simulator.resume()
    with pytest.raises(RuntimeError):
        Simulator(0).pause()
