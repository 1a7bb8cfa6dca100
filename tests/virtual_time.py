"""Time that waits for rate limits move on at once, for the client and a simulated account alike."""

from __future__ import annotations

import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from types import SimpleNamespace
from typing import Any

import pytest

from vercel_sql.http.rate_limits import FIRST_RESPONSE_WAIT_S, RateBudgets
from vercel_sql.http.server_clock import ServerClock, server_clocks, steady_seconds
from vercel_sql.simulator import Simulator

PATIENCE = 30  # seconds
_REAL = time.monotonic


class VirtualTime:
    """The clocks of this process's client, and of the accounts that were added to it.

    A wait for a rate limit lets the time pass at once, when no request is under way any more;
    everything else takes as long as it takes.

    Attributes:
        waits: how long each of these waits was to be, in seconds.
        under_way: how many requests are.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waits: list[float] = []
        self.under_way = 0
        self._ahead_ms = 0
        self._accounts: list[Simulator] = []
        self._lock = threading.Lock()
        clocks = SimpleNamespace(monotonic=self.monotonic)
        clocks.time = time.time
        monkeypatch.setattr("vercel_sql.http.rate_limits.time", clocks)
        monkeypatch.setattr("vercel_sql.runtime.scope.time", clocks)
        monkeypatch.setattr("vercel_sql.http.rate_limits.Future", lambda: _News(self.monotonic()))
        monkeypatch.setattr("vercel_sql.runtime.scope.wait", self._wait)
        monkeypatch.setattr(server_clocks, "_make", self._server_clock)
        self._count_requests(monkeypatch)

    @property
    def passed(self) -> float:
        """How many seconds were let pass."""
        return self._ahead_ms / 1000

    def monotonic(self) -> float:
        return _REAL() + self.passed

    def add(self, account: Simulator) -> Simulator:
        """Lets time pass for an account too."""
        account.advance(self.passed)
        self._accounts.append(account)
        return account

    def reach(self, moment: float) -> None:
        """Lets time pass until a moment of `monotonic`."""
        with self._lock:
            more = int((moment - self.monotonic()) * 1000) + 1
            if more > 0:
                for account in self._accounts:
                    account.advance(more / 1000)
                self._ahead_ms += more

    def _count_requests(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wait, end = RateBudgets.wait, RateBudgets.end

        def begun(*given: Any) -> Any:
            turn = wait(*given)
            with self._lock:
                self.under_way += 1
            return turn

        def ended(*given: Any) -> None:
            end(*given)
            with self._lock:
                self.under_way -= 1

        monkeypatch.setattr(RateBudgets, "wait", begun)
        monkeypatch.setattr(RateBudgets, "end", ended)

    def _wait(
        self, futures: Any, timeout: float | None = None, return_when: str = "ALL_COMPLETED"
    ) -> Any:
        news = next((each for each in futures if isinstance(each, _News)), None)
        if news is None or timeout is None:
            return wait(futures, timeout, return_when)
        self.waits.append(timeout)
        if timeout <= FIRST_RESPONSE_WAIT_S:
            return wait(futures, timeout, return_when)
        hang = _REAL() + PATIENCE
        while self.under_way and _REAL() < hang:
            found = wait(futures, 0.005, FIRST_COMPLETED)
            if found.done:
                return found
        # No later than that, though others may have let time pass since it was asked for.
        self.reach(news.made + timeout)
        return wait(futures, 0)

    def _server_clock(self) -> ServerClock:
        return ServerClock(
            lambda: time.time() + self.passed, lambda: steady_seconds() + self.passed
        )


class _News(Future[None]):
    """What a wait for a rate limit waits for."""

    def __init__(self, made: float) -> None:
        super().__init__()
        self.made = made
