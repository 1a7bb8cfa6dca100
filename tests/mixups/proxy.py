"""A broken proxy on raw sockets: it doubles, swaps, replays, delays, cuts and repacks answers."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random
from typing import Any

LIMIT = 30.0  # seconds that any wait may take
WITHHELD = {
    "swapped",
    "another_endpoint",
    "another_of_the_endpoint",
    "the_same_again",
    "cut",
    "cut_in_gzip_chunks",
    "length_too_short",
}
"""Faults after which the client has not had the true answer as a whole."""


@dataclass(frozen=True)
class Message:
    """A request or an answer."""

    first: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def header(self, name: bytes) -> bytes:
        return next((value for key, value in self.headers if key == name), b"")

    def with_headers(self, *changed: tuple[bytes, bytes]) -> Message:
        names = {name for name, _ in changed}
        kept = tuple(pair for pair in self.headers if pair[0] not in names)
        return replace(self, headers=(*kept, *changed))

    def packed(self) -> bytes:
        lines = b"".join(b"%b: %b\r\n" % pair for pair in self.headers)
        return b"%b\r\n%b\r\n%b" % (self.first, lines, self.body)


def read_message(connection: socket.socket) -> Message | None:
    """The next message of a connection, by its Content-Length; None where there is none."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    headers = tuple(_header(line) for line in lines)
    message = Message(first, headers, b"")
    length = int(message.header(b"content-length") or 0)
    while len(body) < length:
        piece = connection.recv(65536)
        if not piece:
            return None
        body += piece
    return replace(message, body=body)


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.strip().lower(), value.strip()


class MixingProxy:
    """Stands before a server; each answer has a fault with some probability.

    Args:
        port: where the server listens on loopback.
        seed: what is drawn.
        kinds: the names of the faults, which are methods here.
        probability: how many answers of a hundred have a fault.
        has_ids: whether answers keep the header that tells one from all others.
    """

    def __init__(
        self, port: int, seed: int, kinds: list[str], probability: int, *, has_ids: bool = True
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.kinds = kinds
        self.probability = probability
        self.is_on = True
        self._port = port
        self._has_ids = has_ids
        self._random = Random(seed)
        self._past: list[tuple[bytes, Message, bool]] = []
        self._waiting: list[tuple[Any, ...]] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(LIMIT)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(LIMIT)
            self._open.add(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        unasked: list[bytes] = []
        with connection, suppress(OSError):
            while (request := read_message(connection)) is not None:
                for late in unasked:
                    connection.sendall(late)
                unasked.clear()
                answer = self._ask(request)
                fault = self._drawn()
                if fault is None:
                    connection.sendall(answer.packed())
                else:
                    self.counts[fault] += 1
                    if not getattr(self, fault)(connection, request, answer, unasked):
                        break
                with self._lock:
                    self._past.append((request.first, answer, fault not in WITHHELD))
        self._open.discard(connection)

    def _ask(self, request: Message) -> Message:
        with socket.create_connection(("127.0.0.1", self._port), LIMIT) as server:
            server.sendall(request.packed())
            answer = read_message(server)
        assert answer is not None
        return answer if self._has_ids else _without_id(answer)

    def _drawn(self) -> str | None:
        with self._lock:
            if not self.is_on or self._random.randrange(100) >= self.probability:
                return None
            return self._random.choice(self.kinds)

    def _number(self, least: int, most: int) -> int:
        with self._lock:
            return self._random.randint(least, most)

    def _old(self, wanted: Callable[[bytes], bool], *, was_had: bool = False) -> Message | None:
        with self._lock:
            found = [
                answer
                for first, answer, had in self._past
                if wanted(first) and (had or not was_had)
            ]
            return self._random.choice(found) if found else None

    # The faults: each says whether the connection goes on.

    def twice(self, connection, request, answer, unasked) -> bool:
        connection.sendall(answer.packed() * 2)
        return True

    def twice_late(self, connection, request, answer, unasked) -> bool:
        connection.sendall(answer.packed())
        pause = self._number(1, 50) / 1000

        def again() -> None:
            time.sleep(pause)
            with suppress(OSError):
                connection.sendall(answer.packed())

        thread = threading.Thread(target=again)
        self._threads.append(thread)
        thread.start()
        return True

    def twice_on_next(self, connection, request, answer, unasked) -> bool:
        connection.sendall(answer.packed())
        unasked.append(answer.packed())
        return True

    def swapped(self, connection, request, answer, unasked) -> bool:
        """Answers of two connections change places, where two are under way."""
        with self._lock:
            # Who has waited longer was not woken, and has gone since.
            fresh = [each for each in self._waiting if time.monotonic() < each[4]]
            partner = fresh.pop() if fresh else None
            self._waiting = fresh
            if partner is not None:
                partner[2].append(answer)
                partner[3].set()
                answer = partner[1]
            else:
                until = time.monotonic() + 0.2
                mine: tuple = (connection, answer, [], threading.Event(), until)
                self._waiting.append(mine)
        if partner is None:
            mine[3].wait(0.1)
            with self._lock:
                if mine in self._waiting:
                    self._waiting.remove(mine)
            answer = mine[2][0] if mine[2] else answer
        connection.sendall(answer.packed())
        return True

    def another_endpoint(self, connection, request, answer, unasked) -> bool:
        def is_other(first: bytes) -> bool:
            return _endpoint(first) != _endpoint(request.first)

        connection.sendall((self._old(is_other) or answer).packed())
        return True

    def another_of_the_endpoint(self, connection, request, answer, unasked) -> bool:
        """An older answer to another request of the same kind: another row, another page."""

        def is_other(first: bytes) -> bool:
            return first != request.first and _endpoint(first) == _endpoint(request.first)

        connection.sendall((self._old(is_other) or answer).packed())
        return True

    def the_same_again(self, connection, request, answer, unasked) -> bool:
        """An older answer to the very same request, which may be true no more.

        The client has had it before: nothing tells one that it never had from the true one.
        """
        old = self._old(lambda first: first == request.first, was_had=True)
        connection.sendall((old or answer).packed())
        return True

    def cut(self, connection, request, answer, unasked) -> bool:
        packed = answer.packed()
        head = packed.index(b"\r\n\r\n") + 4
        connection.sendall(packed[: self._number(head, len(packed) - 1)])
        return False

    def length_too_short(self, connection, request, answer, unasked) -> bool:
        """What is left of the body stands where the next answer should begin."""
        short = self._number(0, max(0, len(answer.body) - 1))
        connection.sendall(answer.with_headers((b"content-length", b"%d" % short)).packed())
        return True

    def closed_after(self, connection, request, answer, unasked) -> bool:
        connection.sendall(answer.packed())
        time.sleep(0.03)
        return False

    def late(self, connection, request, answer, unasked) -> bool:
        time.sleep(self._number(1, 50) / 1000)
        connection.sendall(answer.packed())
        return True

    def in_gzip_chunks_and_twice(self, connection, request, answer, unasked) -> bool:
        packed = _chunked(answer)
        connection.sendall(packed)
        connection.sendall(packed)
        return True

    def cut_in_gzip_chunks(self, connection, request, answer, unasked) -> bool:
        packed = _chunked(answer)
        connection.sendall(packed[: self._number(packed.index(b"\r\n\r\n"), len(packed) - 1)])
        return False


def _chunked(answer: Message) -> bytes:
    body = gzip.compress(answer.body)
    pieces = [body[at : at + 100] for at in range(0, len(body), 100)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    kept = tuple(pair for pair in answer.headers if pair[0] != b"content-length")
    described = ((b"content-encoding", b"gzip"), (b"transfer-encoding", b"chunked"))
    return Message(answer.first, kept + described, chunks + b"0\r\n\r\n").packed()


def _without_id(answer: Message) -> Message:
    kept = tuple(pair for pair in answer.headers if pair[0] != b"x-vercel-id")
    return replace(answer, headers=kept)


def _endpoint(first: bytes) -> tuple[bytes, bytes]:
    method, target, _ = first.split(b" ")
    path = target.partition(b"?")[0]
    parent = path.rpartition(b"/")[0]
    return method, parent if parent.endswith(b"/user/tokens") else path
