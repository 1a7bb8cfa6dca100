"""The rate budget: what the answers' headers say is left, shared by all threads of a client."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """What is left of one endpoint's limit.

    Attributes:
        limit: requests in a window.
        remaining: requests left in this window.
        reset: when the window ends, in seconds since the epoch.
    """

    limit: int
    remaining: int
    reset: float


class RateBudgets:
    """The budgets of all endpoints of a client.

    A limit that is spent is waited for before the next request, rather than run into.
    """

    def __init__(self) -> None:
        self._budgets: dict[str, Budget] = {}
        self._lock = threading.Lock()

    def learn(self, endpoint: str, headers: Mapping[str, str]) -> None:
        """Takes over what an answer's ``X-RateLimit-*`` headers say."""
        try:
            budget = Budget(
                int(headers["x-ratelimit-limit"]),
                int(headers["x-ratelimit-remaining"]),
                float(headers["x-ratelimit-reset"]),
            )
        except (KeyError, ValueError):
            return
        with self._lock:
            self._budgets[endpoint] = budget

    def get(self, endpoint: str) -> Budget | None:
        """The last budget that an endpoint told."""
        return self._budgets.get(endpoint)

    def reserve(self, endpoint: str) -> float:
        """Takes one request from the budget; gives the seconds to wait first, mostly 0."""
        with self._lock:
            budget = self._budgets.get(endpoint)
            if budget is None:
                return 0.0
            wait = budget.reset - time.time()
            if wait <= 0:
                del self._budgets[endpoint]
                return 0.0
            if budget.remaining > 0:
                self._budgets[endpoint] = Budget(budget.limit, budget.remaining - 1, budget.reset)
                return 0.0
            return wait
