"""Faults of the connection, as the socket sees them."""

import socket
import time

import pytest


class Wire:
    """A raw connection that says what came back, byte for byte."""

    def __init__(self, simulator):
        self._simulator = simulator
        self._socket = socket.create_connection(("127.0.0.1", simulator.port), timeout=5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def ask(self, target="/v2/user", method="GET", body=b""):
        head = (
            f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
            f"{self._simulator.token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._socket.sendall(head.encode() + body)

    def until_closed(self):
        """Read until the server closes; a connection left open fails by its timeout."""
        received = b""
        while chunk := self._socket.recv(65536):
            received += chunk
        return received

    def answer(self):
        """Read one whole answer; give its head and body."""
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, body = received.partition(b"\r\n\r\n")
        length = content_length(head)
        while len(body) < length:
            body += self._more()
        return head, body

    def _more(self):
        chunk = self._socket.recv(65536)
        assert chunk, "the server closed the connection"
        return chunk


def content_length(head):
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    raise AssertionError("no Content-Length")


CREATE = ("/v3/user/tokens", "POST", b'{"name":"x"}')


@pytest.mark.parametrize(("kind", "acted"), [("drop_before", False), ("drop_after", True)])
def test_dropped_without_one_byte(simulator, kind, acted):
    simulator.faults(kind=kind)
    with Wire(simulator) as wire:
        wire.ask(*CREATE)
        assert wire.until_closed() == b""
    (record,) = simulator.requests()
    assert (record.status, record.acted, record.faults) == (None, acted, [kind])
    assert (simulator.state.tokens()[0]["name"] == "x") is acted


@pytest.mark.parametrize(
    ("options", "kept"), [({}, 0.5), ({"bytes": 10}, 10), ({"bytes": 0}, 0), ({"bytes": 10**6}, -1)]
)
def test_cut_after_part_of_the_body(simulator, options, kept):
    simulator.faults(kind="cut_body", **options)
    with Wire(simulator) as wire:
        wire.ask()
        head, _, body = wire.until_closed().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    length = content_length(head)
    assert len(body) == {0.5: length // 2, -1: length - 1}.get(kept, kept) < length
    assert simulator.requests()[0].status == 200
    with Wire(simulator) as wire:
        wire.ask()
        assert wire.answer()[1].startswith(body)


def test_a_large_body_is_cut_too(start):
    simulator = start(200)
    simulator.faults(kind="cut_body", path="/v6/*")
    with Wire(simulator) as wire:
        wire.ask("/v6/user/tokens?limit=100")
        head, _, body = wire.until_closed().partition(b"\r\n\r\n")
    assert len(body) == content_length(head) // 2 > 15_000


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "cut_body"])
def test_dropped_on_a_connection_that_was_used_before(simulator, kind):
    simulator.faults(kind=kind, after=1)
    with Wire(simulator) as wire:
        wire.ask()
        wire.answer()
        wire.ask()
        rest = wire.until_closed()
    assert (rest == b"") is (kind != "cut_body")


def test_dropping_one_connection_leaves_the_others(simulator):
    simulator.faults(kind="drop_before", after=1)
    with Wire(simulator) as one, Wire(simulator) as other:
        one.ask()
        one.answer()
        other.ask()
        assert other.until_closed() == b""
        one.ask()
        assert one.answer()[0].startswith(b"HTTP/1.1 200 ")


def test_nothing_is_logged_about_a_fault(simulator, caplog, capfd):
    caplog.set_level("DEBUG")
    simulator.faults({"kind": "drop_before"}, {"kind": "drop_after"}, {"kind": "cut_body"})
    for _ in range(3):
        with Wire(simulator) as wire:
            wire.ask()
            wire.until_closed()
    simulator.stop()
    assert [r for r in caplog.records if r.levelname in ("WARNING", "ERROR", "CRITICAL")] == []
    assert capfd.readouterr() == ("", "")


def test_the_path_is_routed_as_it_was_on_the_wire(simulator):
    with Wire(simulator) as wire:
        wire.ask("/v5/user/tokens/%2e%2e%2F%2e%2e%2fv2%2Fuser")
        assert wire.answer()[0].startswith(b"HTTP/1.1 404 ")
        wire.ask("/v5/user/tokens/../../../v2/user")
        assert wire.answer()[0].startswith(b"HTTP/1.1 404 ")
        wire.ask("/v2%2Fuser")
        assert wire.answer()[0].startswith(b"HTTP/1.1 404 ")
    assert [record.path for record in simulator.requests()] == [
        "/v5/user/tokens/%2e%2e%2F%2e%2e%2fv2%2Fuser",
        "/v5/user/tokens/../../../v2/user",
        "/v2%2Fuser",
    ]


def test_the_absolute_form_that_proxies_are_sent_is_understood(simulator):
    with Wire(simulator) as wire:
        wire.ask("http://api.example.test/v2/user?a=b")
        assert wire.answer()[0].startswith(b"HTTP/1.1 200 ")
    (record,) = simulator.requests()
    assert (record.path, record.query) == ("/v2/user", [("a", "b")])


def test_a_request_that_is_not_finished_is_not_acted_on(simulator):
    with Wire(simulator) as wire:
        wire._socket.sendall(
            b"POST /registration HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
        )
    with Wire(simulator) as wire:
        wire.ask()
        wire.answer()
    assert [record.path for record in simulator.requests()] == ["/v2/user"]


def test_small_answers_are_not_held_back(simulator):
    with Wire(simulator) as wire:
        wire.ask()
        wire.answer()
        began = time.monotonic()
        for _ in range(40):
            wire.ask()
            wire.answer()
        assert time.monotonic() - began < 1.2, "Nagle's algorithm is at work"
