"""The connections of a client: each carries one request, or the pages of one listing."""

from __future__ import annotations

import os
import threading
import weakref
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vercel_sql.api.transport import certificates, make_http_client, no_certificates, proxy_for
from vercel_sql.errors import InterfaceError

if TYPE_CHECKING:
    import httpx

MOST_CONNECTIONS = 16


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
