"""Answers that come late, in drips, or never."""

import time

import httpx
import pytest

from .test_connections import CREATE, Wire, content_length


def wait_for(condition):
    """Wait until something is so, for five seconds at most."""
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert condition()


def newest(simulator):
    return simulator.state.tokens()[0]["name"]


@pytest.mark.parametrize("acts", [False, True])
def test_a_hang_ends_without_an_answer(simulator, acts):
    simulator.faults(kind="hang", ms=150, acts=acts)
    with Wire(simulator) as wire:
        began = time.monotonic()
        wire.ask(*CREATE)
        assert wire.until_closed() == b""
        assert time.monotonic() - began >= 0.15
    (record,) = simulator.requests()
    assert (record.status, record.acted, record.faults) == (None, acts, ["hang"])
    assert (newest(simulator) == "x") is acts


def test_a_hang_lasts_until_the_caller_gives_up_and_acts_at_its_beginning(api, simulator):
    simulator.faults(kind="hang", acts=True)
    with Wire(simulator) as wire:
        wire.ask(*CREATE)
        wait_for(lambda: newest(simulator) == "x")
        assert api.get("/v2/user").status_code == 200, "others are served meanwhile"
    with pytest.raises(httpx.ReadTimeout):
        simulator.faults(kind="hang")
        api.get("/v2/user", timeout=0.05)
    assert api.get("/v2/user").status_code == 200


def test_a_hang_does_not_keep_the_server_from_its_end(simulator, capfd):
    simulator.faults(kind="hang")
    with Wire(simulator) as wire:
        wire.ask()
        wait_for(lambda: simulator.requests())
        began = time.monotonic()
        simulator.stop()
        assert time.monotonic() - began < 5
        assert wire.until_closed() == b""
    assert capfd.readouterr() == ("", "")


def test_what_was_created_is_there_while_its_caller_still_waits(simulator):
    simulator.faults(kind="latency", ms=60_000, acts_first=True)
    with Wire(simulator) as wire:
        wire.ask(*CREATE)
        wait_for(lambda: newest(simulator) == "x")
        (record,) = simulator.requests()
        assert (record.acted, record.status) == (True, None)


def test_waits_before_and_after_acting_add_up(api, simulator):
    simulator.faults(
        {"kind": "latency", "ms": 60}, {"kind": "latency", "ms": 60, "acts_first": True}
    )
    began = time.monotonic()
    assert api.get("/v2/user").status_code == 200
    assert time.monotonic() - began >= 0.12


def test_a_drip_gives_the_whole_answer_at_last(api, simulator):
    whole = api.get("/v2/user").content
    simulator.faults(kind="drip", ms=2, bytes=40)
    began = time.monotonic()
    with api.stream("GET", "/v2/user") as answer:
        assert b"".join(answer.iter_raw()) == whole
    assert time.monotonic() - began >= 0.002 * (len(whole) // 40)
    assert api.get("/v2/user").status_code == 200, "the connection stays good"


def test_the_headers_of_a_drip_come_at_once(simulator):
    simulator.faults(kind="drip", ms=60_000)
    with Wire(simulator) as wire:
        wire.ask()
        head = b""
        while b"\r\n\r\n" not in head:
            head += wire._more()
        head, _, body = head.partition(b"\r\n\r\n")
        assert content_length(head) > 100
        assert body == b""
    assert simulator.requests()[0].acted


def test_the_body_of_a_drip_comes_in_pieces(simulator):
    simulator.faults(kind="drip", ms=50, bytes=4)
    with Wire(simulator) as wire:
        wire.ask()
        received = wire._more()
        while not received.partition(b"\r\n\r\n")[2]:
            received += wire._more()
    head, _, body = received.partition(b"\r\n\r\n")
    assert len(body) % 4 == 0
    assert len(body) < content_length(head)


def test_the_headers_of_a_drip_can_be_held_back(simulator):
    simulator.faults(kind="drip", ms=80, bytes=10**6, headers_first=False)
    with Wire(simulator) as wire:
        began = time.monotonic()
        wire.ask()
        wire._more()
        assert time.monotonic() - began >= 0.08


def test_an_empty_body_drips_too(api, simulator):
    simulator.faults(
        {"kind": "body", "body": "", "times": 1},
        {"kind": "drip", "ms": 1, "path": "/nowhere"},
        {"kind": "drip", "ms": 1, "headers_first": False},
    )
    assert api.get("/v2/user").content == b""
    assert api.get("/nowhere").status_code == 404
    assert api.get("/v2/user").status_code == 200


def test_a_caller_who_leaves_ends_the_drip(simulator, capfd):
    simulator.faults(kind="drip", ms=5)
    with Wire(simulator) as wire:
        wire.ask()
        wire._more()
    with Wire(simulator) as wire:
        wire.ask()
        assert wire.answer()[0].startswith(b"HTTP/1.1 200 ")
    simulator.stop()
    assert capfd.readouterr() == ("", "")
