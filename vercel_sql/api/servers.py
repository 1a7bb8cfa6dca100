"""What a client knows of its servers, most of it together with all other clients of the process."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from hashlib import sha256
from urllib.parse import urlsplit

from vercel_sql.api.answers import Origin
from vercel_sql.api.circuit import Circuit, circuits
from vercel_sql.api.discovery import Discovery, discoveries
from vercel_sql.api.limits import RateBudgets, rate_budgets
from vercel_sql.api.server_clock import ServerClock, server_clocks
from vercel_sql.manifest import Method

# How many credentials' budgets a client keeps: its own, and those that requests bring along.
_MOST_BUDGETS = 8


class Servers:
    """The servers of one client: their clocks, circuits, rate budgets and discovery documents.

    What stands here is forgotten with the last client that asks the same server.
    """

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = dict(urls)
        self._clocks = {name: server_clocks.get(url) for name, url in urls.items()}
        self._circuits = {name: circuits.get(url) for name, url in urls.items()}
        self._discoveries = {name: discoveries.get(url) for name, url in urls.items()}
        self._budgets: dict[tuple[str, bytes], RateBudgets] = {}
        self._lock = threading.Lock()

    def clock(self, name: str) -> ServerClock:
        """What time it is at a server."""
        return self._clocks[name]

    def circuit(self, name: str) -> Circuit:
        """Whether a server is left alone for a while."""
        return self._circuits[name]

    def discovery(self, name: str) -> Discovery:
        """What a server says of its endpoints."""
        return self._discoveries[name]

    def host(self, name: str) -> str:
        """A server's host, with the port where it is no usual one."""
        return urlsplit(self._urls[name]).netloc

    def origin(self, name: str) -> Origin:
        """What the errors that a server answers are measured by."""
        clock = self._clocks[name]
        return Origin(self.host(name), clock.now_ms() / 1000, clock.note(self.host(name)))

    def budgets(self, method: Method, authorization: str | None) -> RateBudgets:
        """The rate budgets of a credential at a method's server."""
        key = self._urls[method.server], sha256((authorization or "").encode()).digest()
        with self._lock:
            found = self._budgets.pop(key, None) or rate_budgets.get(key)
            # Those of tokens that were replaced meanwhile go one by one.
            while len(self._budgets) >= _MOST_BUDGETS:
                del self._budgets[next(iter(self._budgets))]
            self._budgets[key] = found
        return found
