"""Rate limits, counted for each endpoint apart, or as Vercel documents them."""

import math
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from vercel_sql.simulator.clock import Clock
from vercel_sql.simulator.messages import ApiError

_WRITTEN = re.compile(r"([0-9]{1,9})/([0-9]{1,6}(?:\.[0-9]{1,3})?)", re.ASCII)


@dataclass(frozen=True)
class RateLimit:
    """At most so many requests in so many seconds, to each endpoint.

    Raises:
        ValueError: Either number is not greater than zero.
    """

    requests: int
    seconds: float

    def __post_init__(self) -> None:
        if self.requests < 1 or not self.seconds > 0:
            raise ValueError("a rate limit allows at least one request in more than 0 seconds")

    @classmethod
    def parse(cls, text: str) -> "RateLimit":
        """Read `N/SECONDS`, such as `100/60`.

        Raises:
            ValueError: The text is something else.
        """
        match = _WRITTEN.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not N/SECONDS, such as 100/60")
        return cls(int(match[1]), float(match[2]))


LIMITS = ("vercel", "none")
"""What the limits may be called."""

_GENEROUS = RateLimit(100_000, 60)
"""What the headers tell where no limit is set."""

_DOCUMENTED = {
    "token creation": (RateLimit(32, 3600), ["POST /v3/user/tokens"]),
    "token deletion": (RateLimit(50, 300), ["DELETE /v3/user/tokens/{token_id}"]),
    "token retrieval": (
        RateLimit(120, 60),
        ["GET /v6/user/tokens", "GET /v5/user/tokens", "GET /v5/user/tokens/{token_id}"],
    ),
    "user retrieval": (RateLimit(500, 60), ["GET /v2/user"]),
    "team retrieval": (
        RateLimit(600, 60),
        ["GET /v1/teams", "GET /v2/teams", "GET /v2/teams/{team}", "GET /teams/{team}"],
    ),
}
"""The limits by the names that Vercel's documentation has for them, and the endpoints of each."""

VERCEL = {
    endpoint: (name, limit)
    for name, (limit, endpoints) in _DOCUMENTED.items()
    for endpoint in endpoints
}
"""For each endpoint with a documented limit, the limit's name and the limit."""


@dataclass
class _Window:
    """One window: when it ends, by a clock that nobody sets and by the account's."""

    ends_at: float
    told_end_ms: int
    used: int = 0


class RateLimiter:
    """Counts requests in fixed windows, each of which begins with its first request.

    When they end is told by the account's clock, as `Date` is, because a server has one clock for
    both. Time that is let pass at once passes for windows too. `limit` is that of each endpoint
    that has none in `named`, by which endpoints share limits; None for none.
    """

    def __init__(
        self,
        limit: RateLimit | None,
        clock: Clock,
        named: Mapping[str, tuple[str, RateLimit]] | None = None,
    ) -> None:
        self._limit = limit
        self._named = named or {}
        self._clock = clock
        self._windows: dict[str, _Window] = {}
        self._lock = threading.Lock()

    def take(self, endpoint: str) -> dict[str, str]:
        """Count one request to an endpoint, and give the headers for its answer.

        Raises:
            ApiError: The limit is spent (429); the error has headers of its own.
        """
        name, real = self._named.get(endpoint, (endpoint, self._limit))
        limit = real or _GENEROUS
        now = self._clock.steady_seconds()
        with self._lock:
            window = self._windows.get(name)
            if window is None or window.ends_at <= now:
                window = self._windows[name] = self._open(limit, now)
            refused = real is not None and window.used >= limit.requests
            window.used += not refused
            remaining = limit.requests - window.used
        if real is None:
            remaining = max(remaining, 1)  # a client must never wait for a limit that is not there
        headers = {
            "X-RateLimit-Limit": str(limit.requests),
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset": str(_whole_seconds(window.told_end_ms)),
        }
        if refused:
            raise _refusal(limit, window.told_end_ms, window.ends_at - now, headers)
        return headers

    def _open(self, limit: RateLimit, now: float) -> _Window:
        """Begin a window; its end is told a millisecond late rather than early."""
        told_ms = self._clock.now_ms() + 1
        return _Window(now + limit.seconds, told_ms + math.ceil(limit.seconds * 1000))


def _whole_seconds(milliseconds: int) -> int:
    return math.ceil(milliseconds / 1000)


def _refusal(
    limit: RateLimit, reset_ms: int, seconds_left: float, headers: dict[str, str]
) -> ApiError:
    return ApiError(
        429,
        f"Rate limit exceeded: {limit.requests} requests in {limit.seconds:g} s",
        headers=headers | {"Retry-After": str(math.ceil(seconds_left))},
        limit={
            "remaining": 0,
            "reset": _whole_seconds(reset_ms),
            "resetMs": reset_ms,
            "total": limit.requests,
        },
    )
