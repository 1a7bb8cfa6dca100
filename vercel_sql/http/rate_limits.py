"""Rate limits: what the answers' headers say is left, shared by all threads of a process."""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from vercel_sql.http.connections import Received
from vercel_sql.logger import logger
from vercel_sql.manifest import Limit, Method
from vercel_sql.runtime.process_state import Shared
from vercel_sql.runtime.scope import CancelScope
from vercel_sql.text import moment_in, spelled

log = logger("api")

# How long the first request of a window is waited for, since its answer tells the new limit
# (seconds). One that hangs must not hold up all others.
FIRST_RESPONSE_WAIT_S = 1.0
# From how many seconds on a wait is told to whoever does not watch the progress.
_WORTH_TELLING = 5.0
# A reset this long before its own answer's Date is not a moment but something else; one this far
# ahead may be in milliseconds (seconds). `Retry-After` has no such bounds.
_STALE, _FAR = 2.0, 7 * 86_400.0
# How many seconds, and what part of a documented window, to wait at most before a request that may
# be refused again, where the refusals do not say how long, or say too little each time.
_BACKOFF, _BACKOFF_SHARE = 8.0, 0.05


@dataclass(frozen=True)
class RateLimitHeaders:
    """What one answer says about a limit.

    Attributes:
        limit: requests in a window.
        remaining: requests left in this window.
        reset: when the window ends, in seconds since the epoch, by the server's clock.
        seconds: how long that is after the same answer's ``Date``.
    """

    limit: int
    remaining: int
    reset: float
    seconds: float

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> RateLimitHeaders | None:
        """The ``X-RateLimit-*`` headers; None where they are missing, or make no sense."""
        date = time.time()
        with suppress(ValueError, OverflowError):
            date = parsedate_to_datetime(headers.get("date", "")).timestamp()
        try:
            reset = float(headers["x-ratelimit-reset"])
            limit, remaining = (
                int(headers[f"x-ratelimit-{name}"]) for name in ("limit", "remaining")
            )
        except (KeyError, ValueError):
            return None
        is_sensible = limit > 0 and -_STALE <= reset - date <= _FAR
        return cls(limit, remaining, reset, max(0.0, reset - date)) if is_sensible else None


@dataclass(frozen=True, eq=False)
class Permit:
    """Leave to send one request.

    Attributes:
        asked: when it was given, on the monotonic clock.
        over: the reset of the last window that was over by then.
    """

    asked: float
    over: float


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
    """A window; it ends at `end`, on the monotonic clock, or a little before."""

    limit: int
    left: int
    reset: float
    end: float


class EndpointBudget:
    """One endpoint: who asks is given a permit, or told how long to wait.

    `now` is always on the monotonic clock. Both ``Date`` and the reset are in whole seconds, so
    that a window is taken to last up to a second longer than it does.
    """

    def __init__(self, documented: Limit | None = None) -> None:
        # Those who wait to ask again, and until when people were told that somebody waits.
        self.in_line: set[Future[None]] = set()
        self.told = 0.0
        self._documented = documented
        self._window: _Window | None = None
        self._in_flight = 0
        self._first: Permit | None = None
        self._limit: int | None = None
        self._span = 0.0
        self._closed = 0.0
        self._refusals = 0
        self._sent, self._began = 0, 0.0
        self._is_unlimited = False
        self._over = 0.0
        self._slack = 0.0

    def known(self, now: float) -> RateLimitHeaders | None:
        """What is left of the window, as far as that is known."""
        window = self._window
        if window is None:
            return None
        left = max(0.0, window.end - now)
        return RateLimitHeaders(window.limit, window.left, window.reset, left)

    def ask(self, now: float) -> Permit | float:
        """A permit, or how many seconds to wait before asking again."""
        self._end_window(now)
        window, wait = self._window, self._closed - now
        if wait <= 0:
            wait = self._wait_blindly(now) if window is None else 0.0
            if window is not None and window.left < 1:
                wait = window.end - now
        if wait > 0:
            return wait
        self._in_flight += 1
        self._began = self._began if self._sent else now
        self._sent += 1
        permit = Permit(now, self._over)
        if window is not None:
            window.left -= 1
        elif not self._is_unlimited:
            self._first = self._first or permit
        return permit

    def _wait_blindly(self, now: float) -> float:
        """One goes first where nothing is known of the window; its answer tells."""
        if self._is_unlimited or self._first is None:
            return 0.0
        wait = self._first.asked + FIRST_RESPONSE_WAIT_S - now
        is_full = self._limit is not None and self._in_flight >= self._limit
        return FIRST_RESPONSE_WAIT_S if wait <= 0 and is_full else wait

    def _end_window(self, now: float) -> None:
        if self._window is not None and now >= self._window.end:
            self._over, self._window, self._first = self._window.reset, None, None

    def end(
        self, permit: Permit, told: RateLimitHeaders | None, now: float, *, answered: bool
    ) -> bool:
        """Takes a permit back, and what its answer says; whether those who wait ask again."""
        self._in_flight -= 1
        was_first = permit is self._first
        if was_first:
            self._first = None
        window = self._window
        if told is None:
            self._is_unlimited = self._is_unlimited or (answered and window is None)
            return was_first
        self._is_unlimited = False
        if window is None or told.reset > window.reset:
            return self._open(permit, told, now) or was_first
        if told.reset == window.reset:
            # What is left only shrinks: what is under way has been taken off already.
            window.left = min(window.left, told.remaining)
            window.end = min(window.end, now + told.seconds + self._slack)
        return was_first

    def _open(self, permit: Permit, told: RateLimitHeaders, now: float) -> bool:
        """Begins a window; what is under way may all count in it."""
        if told.reset <= self._over:
            if permit.over < told.reset:
                return False  # asked while that window was open, and late
            # It ought to be over, and is not: the server rounds its resets down.
            self._slack = 1.0
        if told.limit != self._limit:
            self._limit, self._span = told.limit, 0.0
        self._span = max(self._span, told.seconds)
        left = max(0, min(told.limit - 1 - self._in_flight, told.remaining))
        end = now + told.seconds + self._slack
        self._window, self._first = _Window(told.limit, left, told.reset, end), None
        return True

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

    def forecast(self, count: int, now: float) -> Forecast | None:
        """How long so many more requests take because of the limit; None where they don't wait."""
        limit = self._known_limit()
        if limit is None:
            return None
        self._end_window(now)
        window, left, first = self._window, limit.requests, 0.0
        if now < self._closed:
            left, first = 0, self._closed - now
        elif window is not None:
            left, first = window.left, window.end - now
        if count <= left:
            return None
        wait = (math.ceil((count - left) / limit.requests) - 1) * limit.seconds + (
            first or limit.seconds
        )
        # Where nothing is known of the window, others may have used it.
        likely = wait if first else max(wait, count * limit.seconds / limit.requests)
        return Forecast(wait, likely, limit)

    def _known_limit(self) -> Limit | None:
        """The limit as the server told it, else as it is documented."""
        documented = self._documented
        if self._limit is None or (documented is not None and documented.requests == self._limit):
            return documented
        return Limit(requests=self._limit, seconds=self._span)


class RateBudgets:
    """The budgets of all endpoints of one server, for one credential.

    A limit that is spent is waited for before the next request, rather than run into, and each
    request that is under way counts. What others take out of the same limit is learned with the
    next answer.
    """

    def __init__(self) -> None:
        self._all: dict[str, EndpointBudget] = {}
        self._lock = threading.Lock()

    @contextmanager
    def _of(self, method: Method) -> Iterator[EndpointBudget]:
        """The budget of what has a limit of its own, for this thread alone."""
        with self._lock:
            endpoint = f"{method.http} {method.path}"
            yield self._all.setdefault(endpoint, EndpointBudget(method.limit))

    def get(self, method: Method) -> RateLimitHeaders | None:
        """What is left of a method's limit, as far as that is known."""
        with self._of(method) as budget:
            return budget.known(time.monotonic())

    def wait(self, method: Method, scope: CancelScope) -> Permit:
        """Waits until a request may be sent; whoever has a permit gives it back by `end`."""
        what = f"the rate limit lets {method.name} go on"
        while True:
            news: Future[None] = Future()
            with self._of(method) as budget:
                permit = budget.ask(time.monotonic())
                if isinstance(permit, Permit):
                    return permit
                budget.in_line.add(news)
            try:
                if permit > FIRST_RESPONSE_WAIT_S:
                    scope.begin_limit_wait(permit, what)
                    self._tell(method, permit)
                else:
                    # What is this near may be known sooner, from another request's answer.
                    permit = scope.within(permit)
                scope.sleep(permit, news, what)
            finally:
                with self._lock:
                    budget.in_line.discard(news)

    def _tell(self, method: Method, seconds: float) -> None:
        """Says what is waited for and until when; once, however many threads wait."""
        end = time.monotonic() + seconds
        with self._of(method) as budget:
            if end < budget.told + FIRST_RESPONSE_WAIT_S:
                return
            budget.told = end
        log.log(
            logging.WARNING if seconds >= _WORTH_TELLING else logging.INFO,
            "%s is waiting for the rate limit until %s (%s)",
            method.name,
            moment_in(seconds),
            spelled(seconds),
        )

    def end(self, method: Method, permit: Permit, received: Received | None) -> None:
        """Gives a permit back, with the answer, if there was one."""
        told = None if received is None else RateLimitHeaders.read(received.headers)
        with self._of(method) as budget:
            if received is not None and received.status != 429:
                budget.accepted()
            if budget.end(permit, told, time.monotonic(), answered=received is not None):
                while budget.in_line:
                    budget.in_line.pop().set_result(None)

    def refused(self, method: Method, pause: float | None) -> None:
        """Has all requests of a method wait, since one was over the limit.

        `pause` is for how many seconds the server says; None where it does not say.
        """
        with self._of(method) as budget:
            budget.refused(time.monotonic(), pause)

    def forecast(self, method: Method, count: int) -> Forecast | None:
        """What the limit does to so many requests; None where it does nothing, or is not known."""
        with self._of(method) as budget:
            return budget.forecast(count, time.monotonic())


rate_budgets = Shared(RateBudgets)
"""The budgets of each base URL and credential."""
