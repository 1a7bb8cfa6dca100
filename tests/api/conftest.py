"""Requests, and servers beside the simulated API: a proxy that only listens, and one with TLS."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from vercel_sql.http.requests import build_request


@pytest.fixture
def read(method):
    """A request that changes nothing."""
    return build_request(method("get_auth_token"), {"tokenId": "current"})


@pytest.fixture
def write(method):
    """A request that makes a secret."""
    return build_request(method("create_auth_token"), {"name": "x"})


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


class RawServer:
    """Hands each connection that it takes to a function, in a thread of its own.

    Args:
        act: what to do with a connection; it is closed then.
        after: what has to be there before; the end of the request's head.
    """

    def __init__(self, act: Callable[[socket.socket], None], after: bytes = b"\r\n\r\n") -> None:
        self.connections = 0
        self._act, self._after = act, after
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        for each in (self._socket, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._answer, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            head = b""
            while self._after not in head:
                received = connection.recv(65536)
                if not received:
                    return
                head += received
            self._act(connection)


@pytest.fixture
def serve() -> Iterator[Callable[..., RawServer]]:
    """Starts servers that say what they like: ``serve(b"HTTP/1.1 …")`` or ``serve(function)``."""
    with ExitStack() as stack:

        def start(act: Callable[[socket.socket], None] | bytes, **options: bytes) -> RawServer:
            said = act
            if isinstance(said, bytes):
                server = RawServer(lambda connection: connection.sendall(said), **options)
            else:
                server = RawServer(said, **options)
            stack.callback(server.close)
            return server

        yield start


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    """Starts listeners: ``listen("200 OK", "{}")``."""
    with ExitStack() as stack:

        def start(status: str, body: str = "", context: ssl.SSLContext | None = None) -> Listener:
            listener = Listener(plain_answer(status, body), context)
            stack.callback(listener.close)
            return listener

        yield start
