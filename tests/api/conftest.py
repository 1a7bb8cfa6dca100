"""Servers on loopback beside the simulated API: a proxy that only listens, and one with TLS."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest


class Listener:
    """Takes connections, keeps the head of each request, and answers all the same."""

    def __init__(self, answer: bytes, context: ssl.SSLContext | None = None) -> None:
        self.heads: list[str] = []
        self._answer = answer
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def port(self) -> int:
        return self._socket.getsockname()[1]

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.settimeout(5)
            with connection, suppress(OSError):
                self._answer_one(connection)

    def _answer_one(self, connection: socket.socket) -> None:
        if self._context is not None:
            with self._context.wrap_socket(connection, server_side=True) as secured:
                self._exchange(secured)
        else:
            self._exchange(connection)

    def _exchange(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            received = connection.recv(65536)
            if not received:
                return
            head += received
        self.heads.append(head.decode("latin-1"))
        connection.sendall(self._answer)


def plain_answer(status: str, body: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    """Starts listeners: ``listen("200 OK", "{}")``."""
    with ExitStack() as stack:

        def start(status: str, body: str = "", context: ssl.SSLContext | None = None) -> Listener:
            listener = Listener(plain_answer(status, body), context)
            stack.callback(listener.close)
            return listener

        yield start
