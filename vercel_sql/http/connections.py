"""A client's connections, and one exchange on them: memory and time are bounded."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vercel_sql.errors import InterfaceError
from vercel_sql.http.transport import (
    certificates,
    make_http_client,
    no_certificates,
    proxy_for,
    unlogged,
)
from vercel_sql.redaction.hidden import NotPicklable

if TYPE_CHECKING:
    import httpx

MOST_CONNECTIONS = 16
# The largest page of the API is some hundred kilobytes.
MOST_BYTES = 32 * 2**20
# How many times as long as one wait for bytes an answer may take that keeps trickling in.
_TRICKLE = 10
# How long to wait for a connection at most, in seconds.
CONNECT_SECONDS = 10.0


class _Pool:
    """A pool, how many requests are under way on it, and whether it closes with the last."""

    def __init__(self, url: str, http: httpx.Client) -> None:
        self.url = url
        self.http = http
        self.users = 0
        self.is_over = False


class Line:
    """What requests that belong together go out on, one after the other: one connection.

    Whatever arrives unasked on a connection is taken for the next answer. A line is for answers
    that prove which request they belong to, such as the pages of one listing; every other request
    goes out on a connection of its own.
    """

    most = 1
    kept = 1

    def __init__(self) -> None:
        self.pool: _Pool | None = None
        self.is_over = False


class _SingleUse(Line):
    """Any number of requests, none of which goes out on a connection that was used before."""

    most = MOST_CONNECTIONS
    kept = 0


class Connections:
    """The connections of a client; threads share it.

    A request that nobody waits for any more goes on until the server or its time-out ends it, and
    holds its connection so long. `renew` leaves such requests to themselves.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._single: defaultdict[str, _SingleUse] = defaultdict(_SingleUse)
        self._open: set[_Pool] = set()
        self.closed = False

    @contextmanager
    def lent(self, url: str, line: Line | None = None) -> Iterator[httpx.Client]:
        """What to send one request with; made at the first one."""
        pool = self._lend(url, line)
        try:
            yield pool.http
        finally:
            self._give_back(pool)

    @contextmanager
    def line(self) -> Iterator[Line]:
        """A line, for as long as the context lasts; nothing goes out on it afterwards."""
        line = Line()
        try:
            yield line
        finally:
            line.is_over = True
            self.drop(line)

    def prepare(self, url: str) -> None:
        """Finds out before the first request whether the environment's settings can be used."""
        with self.lent(url):
            pass

    def renew(self) -> None:
        """Gives all requests from now on a pool of their own, if some are still under way."""
        for line in list(self._single.values()):
            if line.pool is not None and line.pool.users:
                self.drop(line)

    def drop(self, line: Line | None) -> None:
        """Has the next request of a line, if there is one, go out on a new connection.

        The old one is closed, once nothing is under way on it.
        """
        if line is None:
            return
        with self._lock:
            pool, line.pool = line.pool, None
            if pool is not None:
                pool.is_over = True
        if pool is not None:
            self._close_unused(pool)

    @property
    def waits_for(self) -> str | None:
        """The base URL of a server that a request is under way to; None where there is none."""
        with self._lock:
            return next((pool.url for pool in self._open if pool.users), None)

    def close(self) -> None:
        """Closes all connections, whatever is under way on them."""
        with self._lock:
            self.closed = True
            pools = list(self._open)
        for pool in pools:
            pool.http.close()

    def _lend(self, url: str, line: Line | None) -> _Pool:
        with self._lock:
            line = line or self._single[url]
            if self.closed or line.is_over:
                raise InterfaceError("the connection is closed")
            if line.pool is None:
                line.pool = self._made(url, line)
                self._open.add(line.pool)
            line.pool.users += 1
            return line.pool

    def _give_back(self, pool: _Pool) -> None:
        with self._lock:
            pool.users -= 1
        self._close_unused(pool)

    def _close_unused(self, pool: _Pool) -> None:
        """Closes a pool that is over and that nothing is under way on."""
        with self._lock:
            if pool.users or not pool.is_over:
                return
            self._open.discard(pool)
        pool.http.close()

    def _made(self, url: str, line: Line) -> _Pool:
        proxy = proxy_for(url)
        context = certificates() if url.startswith("https:") else no_certificates()
        return _Pool(url, make_http_client(url, proxy, context, line.most, line.kept))


def close_when_dropped(owner: object, connections: Connections) -> None:
    """Closes connections when their owner is collected and nobody has closed them."""
    weakref.finalize(owner, _close_own, connections, os.getpid()).atexit = False


def _close_own(connections: Connections, pid: int) -> None:
    """After a fork, they are the parent's."""
    if os.getpid() == pid:
        connections.close()


@dataclass(frozen=True)
class Received(NotPicklable):
    """What came back.

    Attributes:
        status: the HTTP status.
        headers: the headers.
        body: the decoded body, empty where it can't be used.
        problem: why the body can't be used, or None.
        is_spent: whether its connection must not be used again.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    problem: str | None = None
    is_spent: bool = True


def exchange(
    connections: httpx.Client,
    method: str,
    url: str,
    *,
    content: bytes | None,
    headers: httpx.Headers,
    timeout: float,
    wanted: Callable[[], bool] = lambda: True,
) -> Received:
    """Sends one request and reads its answer, as long as somebody wants it.

    `timeout` is in seconds for each wait for bytes. Raises `httpx.HTTPError` where no whole
    answer came.
    """
    import httpx

    limits = httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS))
    end = time.monotonic() + longest(timeout)
    with (
        unlogged(),
        connections.stream(method, url, content=content, headers=headers, timeout=limits) as answer,
    ):
        body = bytearray()
        try:
            encoding = _encoding(answer.headers)
            for piece in answer.iter_raw():
                if time.monotonic() > end or not wanted():
                    raise not_whole(longest(timeout))
                body += piece
                if len(body) > MOST_BYTES:
                    raise _too_long()
            decoded = _unpacked(body) if encoding == "gzip" and body else bytes(body)
        except _Unusable as error:
            # What is left of it is not read.
            return Received(answer.status_code, answer.headers, b"", str(error))
    return Received(answer.status_code, answer.headers, decoded, is_spent=_has_left_over(answer))


class _Unusable(Exception):  # noqa: N818 - it is not an error of its own, only the reason for one
    """A body that can't be read."""


def _too_long() -> _Unusable:
    return _Unusable(f"it is longer than {MOST_BYTES // 2**20} MiB")


def _encoding(headers: Mapping[str, str]) -> str:
    encoding = headers.get("content-encoding", "").strip().lower().removeprefix("x-")
    if encoding not in ("", "identity", "gzip"):
        raise _Unusable("its Content-Encoding was not asked for")
    return encoding


def _unpacked(body: bytearray) -> bytes:
    """A gzip body; httpx would unpack any size, and take a part of it for the whole."""
    import gzip
    import io
    import zlib

    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
            unpacked = file.read(MOST_BYTES + 1)
    except EOFError:
        raise _Unusable("its compression ends in the middle") from None
    except (OSError, zlib.error):
        raise _Unusable("its compression is broken") from None
    if len(unpacked) > MOST_BYTES:
        raise _too_long()
    return unpacked


def _has_left_over(answer: httpx.Response) -> bool:
    """Whether more bytes came than the answer has: they would be taken for the next one.

    h11 keeps them, where httpcore's look at the socket does not find them, and neither offers a
    public way to ask. Where their insides change, no connection is used twice, which is only slow.
    """
    stream: Any = answer.stream
    try:
        connection = stream._stream._httpcore_stream._stream._connection
        left_over, _ = connection._h11_state.trailing_data
    except AttributeError:
        return True
    return bool(left_over)


def longest(timeout: float) -> float:
    """How many seconds a request may take altogether, where each wait may take so many."""
    return timeout * _TRICKLE


def not_whole(seconds: float) -> httpx.ReadTimeout:
    """The error for an answer that trickles in, when it has taken so long altogether."""
    import httpx

    return httpx.ReadTimeout(f"the answer was not whole after {seconds:.3g} s")
