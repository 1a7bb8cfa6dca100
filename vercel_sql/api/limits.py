"""The rate budget: what the answers' headers say is left, shared by all threads of a process."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from queue import Queue
from typing import Any

from vercel_sql.api.cancel_scope import CancelScope
from vercel_sql.api.logger import logger
from vercel_sql.api.server_clock import ServerClock
from vercel_sql.api.shared import Shared
from vercel_sql.api.windows import HEAD_START, EndpointBudget, Told, Turn
from vercel_sql.manifest import Method

log = logger("api")

RATE_LIMIT = "the rate limit lets the next request go"
"""What is waited for where a limit is spent, in words for an error."""


class RateBudgets:
    """The budgets of all endpoints of one server, for one credential.

    A limit that is spent is waited for before the next request, rather than run into, and each
    request that is under way counts. What others take out of the same limit is learned with the
    next answer.
    """

    def __init__(self) -> None:
        self._all: defaultdict[str, EndpointBudget] = defaultdict(EndpointBudget)
        self._in_line: defaultdict[str, set[Queue[Any]]] = defaultdict(set)
        self._lock = threading.Lock()

    def get(self, method: Method) -> Told | None:
        """What is left of a method's limit, as far as it is known."""
        endpoint = _endpoint(method)
        with self._lock:
            return self._all[endpoint].told() if endpoint in self._all else None

    def wait(self, method: Method, clock: ServerClock, scope: CancelScope, patience: float) -> Turn:
        """Waits until a request may be sent.

        Whoever has a turn gives it back by `end`.

        Args:
            method: the method that is called.
            clock: the server's clock.
            scope: what limits the waiting.
            patience: how many seconds to wait at most. A wait beyond that is left to the server
                to confirm, with an error of its own.

        Raises:
            StatementCancelledError: the scope ended.
        """
        endpoint, waited = _endpoint(method), 0.0
        box: Queue[Any] = Queue()
        while True:
            turn = self._ask(endpoint, clock, box, patience - waited)
            if isinstance(turn, Turn):
                return turn
            if turn > HEAD_START:
                log.info("%s: the rate limit is spent, waiting %.1f s", method.name, turn)
            began = time.monotonic()
            try:
                # What is this near may be known sooner, from another request's answer.
                pause = scope.within(turn) if turn <= HEAD_START else turn
                woken = scope.sleep(pause, box, RATE_LIMIT)
            finally:
                with self._lock:
                    self._in_line[endpoint].discard(box)
            waited += time.monotonic() - began if woken else turn
            box = Queue()

    def _ask(
        self, endpoint: str, clock: ServerClock, box: Queue[Any], patience: float
    ) -> Turn | float:
        """A turn, or how long to wait for what is put into the box then."""
        server_now = clock.cautious_ms() / 1000
        with self._lock:
            budget, line = self._all[endpoint], self._in_line[endpoint]
            turn = budget.ask(time.monotonic(), server_now, in_line=bool(line))
            if isinstance(turn, float):
                if turn > patience:
                    return budget.force(time.monotonic())
                line.add(box)
            return turn

    def end(
        self, method: Method, turn: Turn, clock: ServerClock, headers: Mapping[str, str] | None
    ) -> None:
        """Gives a turn back.

        Args:
            method: the method that is called.
            turn: the turn.
            clock: the server's clock.
            headers: those of the answer; None where there was none.
        """
        endpoint, told = _endpoint(method), None if headers is None else Told.read(headers)
        server_now = clock.cautious_ms() / 1000
        with self._lock:
            news = self._all[endpoint].end(
                turn, told, time.monotonic(), server_now, answered=headers is not None
            )
            if news:
                for box in self._in_line[endpoint]:
                    box.put(None)


def _endpoint(method: Method) -> str:
    """What has a limit of its own."""
    return f"{method.http} {method.path}"


rate_budgets = Shared(RateBudgets)
"""The budgets of each base URL and credential."""
