"""What clients that leave, and clients that come in crowds, do to the others of a server."""

from __future__ import annotations

import re
import socket
import threading
import time
from contextlib import ExitStack
from typing import Any

import pytest

from vercel_sql.server import message

from .conftest import SCALE, Asking, attach
from .test_front import CONNECT, ENDLESS, PATIENCE, SELECT, Clock, answered, head


def connected(server: Any) -> bytes:
    """A session of a client of our own."""
    (token,) = re.findall(r"TOKEN '([^']+)'", server.pasted()[1])
    body = message.with_token(CONNECT, token.encode())
    answer = answered(server, head(server, len(body)), body).partition(b"\r\n\r\n")[2]
    kind, session = message.kind_and_session(answer)
    assert kind == message.CONNECTED, answer
    return session


def request(server: Any, session: bytes, text: str = "", kind: int = message.QUERY) -> bytes:
    """A statement, or another request of a session, as it goes over the wire."""
    start = b"\x01\x00" + bytes([kind]) + b"\x02\x00\x20" + session + b"\x03\x00\x07\xff\xff"
    size = bytes([len(text) & 0x7F | 0x80, len(text) >> 7])
    body = start + (b"\x01\x00" + size + text.encode() + b"\xff\xff" if text else b"")
    return head(server, len(body)) + body


@pytest.fixture
def sending(front: Any) -> Any:
    """Sends a request and leaves its connection open: ``sending(session, text)``."""
    with ExitStack() as stack:

        def send(*arguments: Any) -> socket.socket:
            raw = socket.create_connection(("127.0.0.1", front.port), timeout=PATIENCE)
            stack.callback(raw.close)
            raw.sendall(request(front, *arguments))
            return raw

        yield send


def comes_to_rest(server: Any) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        before = server.cpu()
        time.sleep(0.5)
        if server.cpu() - before < 0.1:
            return
        assert time.monotonic() < end, server.said()


def test_what_was_asked_by_clients_that_left_at_once_ends(front: Any, sending: Any) -> None:
    for session in [connected(front) for _ in range(12 * SCALE)]:
        sending(session, ENDLESS).close()
    comes_to_rest(front)
    Clock(front).ask()


def test_a_request_whose_client_left_while_it_waited_is_not_run(
    front: Any, sending: Any, until: Any
) -> None:
    session, before = connected(front), front.cpu()
    first = sending(session, ENDLESS)
    until(lambda: front.cpu() > before + 0.2, "it runs")
    for _ in range(40):  # more than may wait
        sending(session, ENDLESS).close()
        time.sleep(0.01)
    first.close()
    began = time.monotonic()
    assert b"at last" in answered(front, request(front, session, "SELECT error('at last')"))
    print(f"\nthe session was free after {time.monotonic() - began:.2f} s", end="")
    comes_to_rest(front)


def test_requests_that_wait_for_their_own_session_are_in_nobodys_way(
    front: Any, sending: Any
) -> None:
    clock, crowd = Clock(front), []
    for session in [connected(front) for _ in range(16)]:
        crowd += [sending(session, ENDLESS) for _ in range(10)]
    for _ in range(5):
        clock.ask()
    for each in crowd:
        each.close()
    comes_to_rest(front)


def test_a_cancel_does_not_wait_for_what_it_is_to_end(front: Any, sending: Any, until: Any) -> None:
    session, before = connected(front), front.cpu()
    running = sending(session, ENDLESS)
    until(lambda: front.cpu() > before + 0.2, "it runs")
    began = time.monotonic()
    sending(session, "", message.CANCEL)
    assert b"was cancelled" in running.recv(65536)
    print(f"\nit was cancelled after {time.monotonic() - began:.2f} s", end="")
    comes_to_rest(front)


def test_a_statement_after_the_end_of_its_session_is_refused(
    front: Any, sending: Any, until: Any
) -> None:
    session, before = connected(front), front.cpu()
    first = sending(session, ENDLESS)
    until(lambda: front.cpu() > before + 0.2, "it runs")
    sending(session, "", message.DISCONNECT)
    time.sleep(0.1)
    last = sending(session, "SELECT 1")
    first.close()
    assert b"Invalid connection id" in last.recv(65536)


def test_a_crowd_of_sessions_ends_no_statement_and_no_client(
    front: Any, sending: Any, until: Any
) -> None:
    con, before = attach(front), front.cpu()
    assert con.execute(SELECT).fetchall() == [(42,)]
    running = sending(connected(front), ENDLESS)
    until(lambda: front.cpu() > before + 0.2, "it runs")
    for _ in range(540):
        connected(front)
    running.settimeout(0.5)
    with pytest.raises(TimeoutError):
        running.recv(1)
    assert con.execute(SELECT).fetchall() == [(42,)]


def test_a_client_fetches_with_many_threads(front: Any) -> None:
    con = attach(front)
    con.execute("SET threads = 64")
    asked = Asking(con, "FROM vercel.query('SELECT range, repeat(''x'', 50) FROM range(500000)')")
    assert len(asked.answered()) == 500_000, asked.error


def test_bursts_of_connections_cut_off_no_request(front: Any) -> None:
    clock, over = Clock(front), threading.Event()

    def burst() -> None:
        while not over.is_set():
            with ExitStack() as stack:
                for _ in range(400):
                    raw = stack.enter_context(socket.socket())
                    raw.setblocking(False)
                    raw.connect_ex(("127.0.0.1", front.port))

    thread = threading.Thread(target=burst)
    thread.start()
    try:
        for _ in range(20 * SCALE):
            clock.ask()
    finally:
        over.set()
        thread.join()
    print(f"\nin bursts SELECT 42 took {clock.longest:.2f} s at most", end="")


def test_nothing_of_it_left_a_traceback(front: Any) -> None:
    said = front.said()
    assert "Traceback" not in said and "Task was destroyed" not in said, said  # noqa: PT018
