"""The connections of a client: one pool, and a new one where requests were left behind on it."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import httpx

from vercel_sql.api.transport import make_http_client
from vercel_sql.errors import InterfaceError, TransportError

MOST_CONNECTIONS = 16


class _Pool:
    """A pool and how many requests are under way on it."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self.users = 0


class Connections:
    """The connection pool of a client; threads share it.

    A request that nobody waits for any more goes on until the server or its time-out ends it, and
    holds its connection so long. `renew` leaves such requests to themselves.

    Args:
        urls: the base URLs that the connections are for.
    """

    def __init__(self, urls: Iterable[str]) -> None:
        self._urls = tuple(urls)
        self._lock = threading.Lock()
        self._current: _Pool | None = None
        self._left: set[_Pool] = set()
        self._context: ssl.SSLContext | None = None
        self.closed = False

    @contextmanager
    def lent(self) -> Iterator[httpx.Client]:
        """The pool, for one request; made at the first one.

        Raises:
            InterfaceError: the client is closed.
            TransportError: the environment's proxy or certificate settings can't be used.
        """
        pool = self._lend()
        try:
            yield pool.http
        finally:
            self._give_back(pool)

    def prepare(self) -> None:
        """Finds out before the first request whether the environment's settings can be used.

        Raises:
            InterfaceError: the client is closed.
            TransportError: they can't.
        """
        with self.lent():
            pass

    def renew(self) -> None:
        """Gives all requests from now on a pool of their own, if some are still under way."""
        with self._lock:
            if self._current is not None and self._current.users:
                self._left.add(self._current)
                self._current = None

    def close(self) -> None:
        """Closes all connections, whatever is under way on them."""
        with self._lock:
            self.closed = True
            pools = [*self._left, *([self._current] if self._current else [])]
        for pool in pools:
            pool.http.close()

    def _lend(self) -> _Pool:
        with self._lock:
            if self.closed:
                raise InterfaceError("the connection is closed")
            if self._current is None:
                self._current = self._made()
            self._current.users += 1
            return self._current

    def _give_back(self, pool: _Pool) -> None:
        with self._lock:
            pool.users -= 1
            is_over = pool in self._left and not pool.users
            if is_over:
                self._left.remove(pool)
        if is_over:
            pool.http.close()

    def _made(self) -> _Pool:
        try:
            if self._context is None:
                # Made once: reading the CA bundle takes longer than many a request.
                self._context = httpx.create_ssl_context()
            return _Pool(make_http_client(self._urls, self._context, MOST_CONNECTIONS))
        except (ValueError, ImportError, OSError) as error:
            # httpx's own errors for HTTPS_PROXY, SSL_CERT_FILE and their like; what they
            # cite may hold a proxy's password.
            raise TransportError(
                "the proxy or certificate settings of the environment (HTTPS_PROXY, "
                f"ALL_PROXY, SSL_CERT_FILE, SSL_CERT_DIR) can't be used "
                f"({type(error).__name__})"
            ) from None
