"""Rate limits, counted for each endpoint apart, or as Vercel documents them."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from vercel_sql.simulator.clock import Clock
from vercel_sql.simulator.messages import ApiError

_WRITTEN = re.compile(r"([0-9]{1,9})/([0-9]{1,6}(?:\.[0-9]{1,3})?)", re.ASCII)


@dataclass(frozen=True)
class RateLimit:
    """At most so many requests in so many seconds, to each endpoint; both greater than zero."""

    requests: int
    seconds: float

    def __post_init__(self) -> None:
        if self.requests < 1 or not self.seconds > 0:
            raise ValueError("a rate limit allows at least one request in more than 0 seconds")

    @classmethod
    def parse(cls, text: str) -> "RateLimit":
        """Read `N/SECONDS`, such as `100/60`; a ValueError if it is something else."""
        match = _WRITTEN.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not N/SECONDS, such as 100/60")
        return cls(int(match[1]), float(match[2]))


LIMITS = ("vercel", "none")
"""What the limits may be called."""

_GENEROUS = RateLimit(100_000, 60)
"""What the headers tell where no limit is set."""

VERCEL = {
    "POST /v3/user/tokens": ("token creation", RateLimit(32, 3600)),
    "DELETE /v3/user/tokens/{token_id}": ("token deletion", RateLimit(50, 300)),
    "GET /v6/user/tokens": ("token retrieval", RateLimit(120, 60)),
    "GET /v5/user/tokens": ("token retrieval", RateLimit(120, 60)),
    "GET /v5/user/tokens/{token_id}": ("token retrieval", RateLimit(120, 60)),
    "GET /v2/user": ("user retrieval", RateLimit(500, 60)),
    "GET /v1/teams": ("team retrieval", RateLimit(600, 60)),
    "GET /v2/teams": ("team retrieval", RateLimit(600, 60)),
    "GET /v2/teams/{team}": ("team retrieval", RateLimit(600, 60)),
    "GET /teams/{team}": ("team retrieval", RateLimit(600, 60)),
}
"""The documented limits, with the names that endpoints share them by."""


@dataclass
class _Window:
    """One window: when it ends, by a clock that nobody sets and by the account's."""

    ends_at: float
    told_end_ms: int
    used: int = 0


class RateLimiter:
    """Counts requests in fixed windows, each of which begins with its first request.

    Their ends are by the account's clock, as `Date` is, and `advance` moves them too. `limit` is
    for each endpoint without one in `named`, whose names endpoints share limits by; None for none.
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

    def take(self, endpoint: str) -> dict[str, str]:
        """Count one request to an endpoint, and give the headers for its answer.

        If the limit is spent, the ApiError (429) has these headers, and more.
        """
        name, real = self._named.get(endpoint, (endpoint, self._limit))
        limit = real or _GENEROUS
        now = self._clock.steady_seconds()
        window = self._windows.get(name)
        if window is None or window.ends_at <= now:
            # Its end is told a millisecond late rather than early.
            told_end_ms = self._clock.now_ms() + 1 + math.ceil(limit.seconds * 1000)
            window = self._windows[name] = _Window(now + limit.seconds, told_end_ms)
        refused = real is not None and window.used >= limit.requests
        window.used += not refused
        remaining = limit.requests - window.used
        if real is None:
            remaining = max(remaining, 1)  # a client must never wait for a limit that is not there
        reset = math.ceil(window.told_end_ms / 1000)
        headers = {
            "X-RateLimit-Limit": str(limit.requests),
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset": str(reset),
        }
        if not refused:
            return headers
        told = {"remaining": 0, "reset": reset, "resetMs": window.told_end_ms}
        raise ApiError(
            429,
            f"Rate limit exceeded: {limit.requests} requests in {limit.seconds:g} s",
            headers=headers | {"Retry-After": str(math.ceil(window.ends_at - now))},
            extra={"limit": {**told, "total": limit.requests}},
        )
