"""The rate budget: what the answers' headers say is left, shared by all threads of a process."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from queue import Queue
from typing import Any

from vercel_sql.api.cancel_scope import CancelScope
from vercel_sql.api.durations import moment_in, spelled
from vercel_sql.api.exchange import Received
from vercel_sql.api.logger import logger
from vercel_sql.api.server_clock import ServerClock
from vercel_sql.api.shared import Shared
from vercel_sql.api.windows import HEAD_START, EndpointBudget, Forecast, Told, Turn
from vercel_sql.manifest import Method

log = logger("api")

# From how many seconds on a wait is told to whoever does not watch the progress.
_WORTH_TELLING = 5.0


class RateBudgets:
    """The budgets of all endpoints of one server, for one credential.

    A limit that is spent is waited for before the next request, rather than run into, and each
    request that is under way counts. What others take out of the same limit is learned with the
    next answer.
    """

    def __init__(self) -> None:
        self._all: dict[str, EndpointBudget] = {}
        self._in_line: defaultdict[str, set[Queue[Any]]] = defaultdict(set)
        self._told: dict[str, float] = {}
        self._lock = threading.Lock()

    def get(self, method: Method) -> Told | None:
        """What is left of a method's limit, as far as it is known."""
        endpoint = _endpoint(method)
        with self._lock:
            return self._all[endpoint].told() if endpoint in self._all else None

    def wait(self, method: Method, clock: ServerClock, scope: CancelScope) -> Turn:
        """Waits until a request may be sent, for as long as the scope lasts.

        Whoever has a turn gives it back by `end`.
        """
        endpoint, what = _endpoint(method), f"the rate limit lets {method.name} go on"
        while True:
            box: Queue[Any] = Queue()
            turn = self._ask(method, clock, box)
            if isinstance(turn, Turn):
                return turn
            try:
                if turn > HEAD_START:
                    scope.begin_limit_wait(turn, what)
                    self._tell(method, turn)
                    scope.sleep(turn, box, what)
                else:
                    # What is this near may be known sooner, from another request's answer.
                    scope.sleep(scope.within(turn), box, what)
            finally:
                with self._lock:
                    self._in_line[endpoint].discard(box)

    def _tell(self, method: Method, seconds: float) -> None:
        """Says what is waited for and until when; once, however many threads wait."""
        endpoint, end = _endpoint(method), time.monotonic() + seconds
        with self._lock:
            if end < self._told.get(endpoint, 0.0) + HEAD_START:
                return
            self._told[endpoint] = end
        log.log(
            logging.WARNING if seconds >= _WORTH_TELLING else logging.INFO,
            "%s is waiting for the rate limit until %s (%s)",
            method.name,
            moment_in(seconds),
            spelled(seconds),
        )

    def _ask(self, method: Method, clock: ServerClock, box: Queue[Any]) -> Turn | float:
        """A turn, or how long to wait for what is put into the box then."""
        server_now = clock.cautious_ms() / 1000
        with self._lock:
            line = self._in_line[_endpoint(method)]
            turn = self._of(method).ask(time.monotonic(), server_now, in_line=bool(line))
            if isinstance(turn, float):
                line.add(box)
            return turn

    def end(
        self, method: Method, turn: Turn, clock: ServerClock, received: Received | None
    ) -> None:
        """Gives a turn back."""
        endpoint = _endpoint(method)
        told = None if received is None else Told.read(received.headers)
        server_now = clock.cautious_ms() / 1000
        with self._lock:
            budget = self._of(method)
            if received is not None and received.status != 429:
                budget.accepted()
            news = budget.end(
                turn, told, time.monotonic(), server_now, answered=received is not None
            )
            if news:
                for box in self._in_line[endpoint]:
                    box.put(None)

    def refused(self, method: Method, pause: float | None) -> None:
        """Has all requests of a method wait, since one was over the limit."""
        with self._lock:
            self._of(method).refused(time.monotonic(), pause)

    def forecast(self, method: Method, count: int, clock: ServerClock) -> Forecast | None:
        """What the limit does to so many requests; None where it does nothing, or is not known."""
        server_now = clock.cautious_ms() / 1000
        with self._lock:
            return self._of(method).forecast(count, time.monotonic(), server_now)

    def _of(self, method: Method) -> EndpointBudget:
        return self._all.setdefault(_endpoint(method), EndpointBudget(method.limit))


def _endpoint(method: Method) -> str:
    """What has a limit of its own."""
    return f"{method.http} {method.path}"


rate_budgets = Shared(RateBudgets)
"""The budgets of each base URL and credential."""
