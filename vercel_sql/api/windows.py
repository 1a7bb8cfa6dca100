"""How many requests one endpoint still takes: what its answers' headers say, and what is sent."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

from vercel_sql.manifest import Limit

# How long the first request of a window is waited for, since its answer tells the new limit
# (seconds). One that hangs must not hold up all others.
HEAD_START = 1.0
# The last request of a window waits until it may be over, where that is so near (seconds).
_NEAR = 2.0
# What is added to when a window ought to end, so that clocks may be that unequal (seconds).
_MARGIN = 0.01
# A reset that has been over for so long, when it is told, is no moment but something else; one that
# is so far ahead may be in milliseconds. A refusal's own word, `Retry-After`, has no such bounds.
_STALE, _FAR = 2.0, 7 * 86_400.0
# How many seconds, and what part of a documented window, to wait at most before a request that may
# be refused again, where the refusals do not say how long, or say too little each time.
_BACKOFF, _BACKOFF_SHARE = 8.0, 0.05


@dataclass(frozen=True)
class Told:
    """What one answer says about a limit.

    Attributes:
        limit: requests in a window.
        remaining: requests left in this window.
        reset: when the window ends, in seconds since the epoch, by the server's clock.
    """

    limit: int
    remaining: int
    reset: float

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> Told | None:
        """The ``X-RateLimit-*`` headers; None where they are not there, or make no sense."""
        try:
            told = cls(
                int(headers["x-ratelimit-limit"]),
                int(headers["x-ratelimit-remaining"]),
                float(headers["x-ratelimit-reset"]),
            )
        except (KeyError, ValueError):
            return None
        return told if told.limit > 0 and math.isfinite(told.reset) else None


@dataclass(frozen=True, eq=False)
class Turn:
    """Leave to send one request.

    Attributes:
        asked: when it was given, by a clock that nobody sets.
        over: the reset of the last window that was over by then.
        span: how long the window was when its last request went; None for all others.
    """

    asked: float
    over: float
    span: float | None = None


@dataclass(frozen=True)
class Forecast:
    """What a limit does to requests that are yet to be sent.

    Attributes:
        wait: for how many seconds they wait at least.
        likely: how many seconds they probably take.
        limit: the limit.
    """

    wait: float
    likely: float
    limit: Limit


@dataclass
class _Window:
    """A window; it was seen open first at `opened`, by a clock that nobody sets."""

    limit: int
    left: int
    reset: float
    opened: float


class EndpointBudget:
    """One endpoint: who asks is given a turn, or told how long to wait.

    Times are given: `now` by a clock that nobody sets, `server_now` by the server's, which may be
    behind but not ahead.

    `X-RateLimit-Reset` is in whole seconds, and windows may end up to a second before. So the
    last request of a window is kept until it may have ended, if that is soon: its answer tells,
    and it is in the budget in any case.
    """

    def __init__(self, documented: Limit | None = None) -> None:
        self._documented = documented
        self._window: _Window | None = None
        self._in_flight = 0
        self._first: Turn | None = None
        self._limit: int | None = None
        self._span = 0.0
        self._closed = 0.0
        self._refusals = 0
        self._sent, self._began = 0, 0.0
        self._is_unlimited = False
        self._over = 0.0
        self._too_short = 0.0
        self._slack = 0.0

    def told(self) -> Told | None:
        """What is left, as far as it is known."""
        window = self._window
        return None if window is None else Told(window.limit, window.left, window.reset)

    def ask(self, now: float, server_now: float, *, in_line: bool) -> Turn | float:
        """A turn, or how many seconds to wait before asking again."""
        if now < self._closed:
            return self._closed - now
        self._end_window(server_now)
        window = self._window
        if window is None:
            return self._ask_blindly(now)
        end = now + window.reset + self._slack - server_now
        if window.left < 1:
            return max(end - now, 0.001)
        span = None
        if window.left == 1 and (in_line or self._in_flight):
            hold = self._may_be_over(window, end) - now
            if 0 < hold <= _NEAR:
                return hold
            span = now - window.opened
        window.left -= 1
        return self._turn(now, span)

    def _turn(self, now: float, span: float | None = None) -> Turn:
        self._in_flight += 1
        self._began = self._began if self._sent else now
        self._sent += 1
        return Turn(now, self._over, span)

    def _ask_blindly(self, now: float) -> Turn | float:
        """One goes first where nothing is known of the window; its answer tells."""
        if self._is_unlimited:
            return self._turn(now)
        if self._first is None:
            self._first = self._turn(now)
            return self._first
        wait = self._first.asked + HEAD_START - now
        if wait > 0:
            return wait
        if self._limit is not None and self._in_flight >= self._limit:
            return HEAD_START
        return self._turn(now)

    def _may_be_over(self, window: _Window, end: float) -> float:
        """When a window that is over at `end` for sure has probably ended: after whole seconds."""
        span = math.ceil(max(end - 1 - window.opened, self._too_short))
        return min(window.opened + span + _MARGIN, end)

    def _end_window(self, server_now: float) -> None:
        window = self._window
        if window is not None and server_now >= window.reset + self._slack:
            self._over, self._window, self._first = window.reset, None, None

    def end(
        self, turn: Turn, told: Told | None, now: float, server_now: float, *, answered: bool
    ) -> bool:
        """Takes over what came of a turn; says whether those who wait should ask again."""
        self._in_flight -= 1
        was_first = turn is self._first
        if was_first:
            self._first = None
        if told is None or not -_STALE <= told.reset - server_now <= _FAR:
            self._is_unlimited = self._is_unlimited or (answered and self._window is None)
            return was_first
        self._is_unlimited = False
        window = self._window
        if window is not None and told.reset <= window.reset:
            self._lower(window, told, turn)
            return was_first
        return self._open(turn, told, now, server_now) or was_first

    def accepted(self) -> None:
        """Notes that a request was not refused."""
        self._refusals = 0

    def refused(self, now: float, pause: float | None) -> None:
        """Lets nobody ask for a while, since a request was over the limit."""
        if now >= self._closed:  # else this one was under way with the one before
            self._refusals += 1
        # What the refusal says is right, whatever other answers said.
        self._window, self._first, self._is_unlimited = None, None, False
        wait = self._backoff()
        if pause is not None:
            wait = pause + min(wait, 0.25) if self._refusals == 1 else max(pause, wait)
        elif now >= self._closed:
            wait = max(wait, self._until_documented_end(now))
        self._closed, self._sent = max(self._closed, now + wait), 0

    def _backoff(self) -> float:
        window = self._documented.seconds if self._documented is not None else 0.0
        doubled = min(0.25 * 2.0 ** min(self._refusals - 1, 16), _BACKOFF + _BACKOFF_SHARE * window)
        return doubled * random.uniform(0.5, 1)  # noqa: S311 - it only spreads requests

    def _until_documented_end(self, now: float) -> float:
        """How long the documented window goes on, where it is spent; 0 where nobody knows."""
        limit = self._documented
        if limit is None or self._sent < limit.requests:
            return 0.0
        return self._began + limit.seconds - now

    def forecast(self, count: int, now: float, server_now: float) -> Forecast | None:
        """How long so many more requests take because of the limit; None where they need not wait."""
        limit = self.limit
        if limit is None:
            return None
        self._end_window(server_now)
        window, left, first = self._window, limit.requests, 0.0
        if now < self._closed:
            left, first = 0, self._closed - now
        elif window is not None:
            left, first = window.left, max(window.reset - server_now, 0.001)
        if count <= left:
            return None
        wait = (math.ceil((count - left) / limit.requests) - 1) * limit.seconds + (
            first or limit.seconds
        )
        # Where nothing is known of the window, others may have used it.
        likely = wait if first else max(wait, count * limit.seconds / limit.requests)
        return Forecast(wait, likely, limit)

    @property
    def limit(self) -> Limit | None:
        """The limit as the server told it, else as it is documented."""
        documented = self._documented
        if self._limit is None or (documented is not None and documented.requests == self._limit):
            return documented
        return Limit(requests=self._limit, seconds=self._span)

    def _lower(self, window: _Window, told: Told, turn: Turn) -> None:
        """Within a window what is left only shrinks: what is under way has been taken off."""
        if told.reset == window.reset:
            window.left = min(window.left, told.remaining)
            if turn.span is not None:
                self._too_short = max(self._too_short, turn.span)

    def _open(self, turn: Turn, told: Told, now: float, server_now: float) -> bool:
        """Begins a window; what is under way may all count in it."""
        if told.reset <= self._over:
            if turn.over < told.reset:
                return False  # asked while that window was open, and late
            # It ought to be over, and is not: the server rounds its resets down.
            self._slack = 1.0
        if told.limit != self._limit:
            self._limit, self._too_short, self._span = told.limit, 0.0, 0.0
        self._span = max(self._span, told.reset - server_now)
        left = max(0, min(told.limit - 1 - self._in_flight, told.remaining))
        self._window, self._first = _Window(told.limit, left, told.reset, now), None
        return True
