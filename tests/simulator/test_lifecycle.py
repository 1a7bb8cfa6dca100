"""A simulator starts, stops, and has hand-made tokens where a test wants them."""

import socket
import threading
import time

import httpx
import pytest

from vercel_sql.simulator import Simulator


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "vercel-simulator"]


def get(url):
    return httpx.get(url, trust_env=False, verify=False, timeout=30)


def is_closed(connection):
    """Whether the server has closed a connection; one left open fails by its timeout."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_it_stops_and_closes_its_port():
    with Simulator(0) as simulator:
        assert get(simulator.url + "/v2/user").status_code == 403
        assert simulator.url in repr(simulator)
        assert simulator.token not in repr(simulator)
    assert threads() == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", simulator.port), timeout=1)
    simulator.stop()


def test_starting_and_stopping_is_quick():
    began = time.monotonic()
    for _ in range(20):
        with Simulator(0) as simulator:
            get(simulator.url + "/v2/user")
    assert time.monotonic() - began < 5


def test_its_end_waits_for_nobody(caplog, capfd):
    with Simulator(0) as simulator:
        simulator.faults(kind="latency", ms=60_000)
        errors = []

        def ask():
            try:
                get(simulator.url + "/v2/user")
            except httpx.TransportError as error:
                errors.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        deadline = time.monotonic() + 5
        while not simulator.requests() and time.monotonic() < deadline:
            time.sleep(0.005)
        idle = socket.create_connection(("127.0.0.1", simulator.port), timeout=5)
        began = time.monotonic()
    assert time.monotonic() - began < 2
    asking.join(5)
    assert not asking.is_alive()
    assert len(errors) == 1
    with idle:
        assert is_closed(idle)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert capfd.readouterr() == ("", "")


def test_connections_made_at_the_last_moment_are_closed_too():
    for count in range(12):
        with Simulator(0) as simulator:
            address = ("127.0.0.1", simulator.port)
            connections = [socket.create_connection(address, timeout=5) for _ in range(count)]
        for connection in connections:
            with connection:
                assert is_closed(connection)


def test_many_live_at_once(start, connect):
    simulators = [start(0, seed=seed) for seed in range(8)]
    assert len({simulator.port for simulator in simulators}) == 8
    for number, simulator in enumerate(simulators):
        api = connect(simulator)
        for _ in range(number):
            api.post("/v3/user/tokens", json={"name": "x"})
    assert [len(s.state.tokens()) for s in simulators] == list(range(1, 9))


def test_a_port_that_is_taken_is_an_error():
    with Simulator(0) as first, pytest.raises(OSError):
        Simulator(0, port=first.port).start()


def test_a_port_can_be_chosen_and_used_again():
    with Simulator(0) as simulator:
        port = simulator.port
    with Simulator(0, port=port) as again:
        assert again.url == f"http://127.0.0.1:{port}"
        assert get(again.url).status_code == 404


def test_it_starts_once():
    simulator = Simulator(0)
    assert repr(simulator) == "Simulator(not started)"
    with pytest.raises(RuntimeError):
        _ = simulator.url
    with simulator, pytest.raises(RuntimeError):
        simulator.start()


def test_hand_made_tokens_may_be_anything(start, connect):
    odd = {"id": "odd", "createdAt": "yesterday", "activeAt": 1.5, "scopes": None, "new": [{}]}
    simulator = start([odd, {"name": "second", "createdAt": 5}])
    simulator.state.add_token(
        {"id": "bare"}, created_at=7, bearer="known", without=["name", "type", "origin"]
    )
    tokens = connect(simulator).get("/v6/user/tokens").json()["tokens"]
    by_id = {token["id"]: token for token in tokens}
    assert by_id["odd"] | odd == by_id["odd"]
    assert not {"name", "type", "origin"} & set(by_id["bare"])
    assert [token.get("name") for token in tokens[-2:]] == [None, "second"]
    assert connect(simulator, "known").get("/v5/user/tokens/current").status_code == 200
    with pytest.raises(ValueError):
        simulator.state.add_token({"id": "bare"})
    with pytest.raises(ValueError):
        simulator.state.add_token(bearer="known")
    assert len(simulator.state.tokens()) == 4


def test_latency_for_every_request(start, connect):
    api = connect(start(0, latency_ms=60))
    began = time.monotonic()
    api.get("/v2/user")
    assert time.monotonic() - began >= 0.06


def test_a_fixed_clock_goes_on_from_where_it_was_set(start, connect):
    now_ms = 1_500_000_000_000
    simulator = start(20, now_ms=now_ms)
    api = connect(simulator)
    created = api.post("/v3/user/tokens", json={"name": "x", "expiresAt": now_ms + 60_000})
    assert now_ms <= created.json()["token"]["createdAt"] < now_ms + 30_000
    assert api.post("/v3/user/tokens", json={"name": "x", "expiresAt": now_ms}).status_code == 400


def test_many_callers_at_once(start):
    simulator = start(0)

    def work():
        with httpx.Client(
            base_url=simulator.url,
            headers={"Authorization": f"Bearer {simulator.token}"},
            trust_env=False,
            verify=False,
        ) as api:
            for _ in range(10):
                id_ = api.post("/v3/user/tokens", json={"name": "x"}).json()["token"]["id"]
                api.get("/v6/user/tokens").raise_for_status()
                simulator.state.add_token()
                assert api.delete(f"/v3/user/tokens/{id_}").status_code == 200

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert len(simulator.state.tokens()) == 81
    records = simulator.requests()
    assert [record.index for record in records] == list(range(240))
    assert {record.status for record in records} == {200}
