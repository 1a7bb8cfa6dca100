"""When a request is sent again, and after how long: the rules, carried out by tenacity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tenacity

from vercel_sql.errors import AnswerMismatchError, APIError, TransportError
from vercel_sql.manifest import Method

_PASSING = (408, 429, 500, 502, 503, 504)
# The network wants a login first; nobody logs in between two attempts.
_LOGIN_FIRST = 511
_backoff = tenacity.wait_random_exponential(multiplier=0.2, max=8)


def may_retry(method: Method, error: BaseException) -> bool:
    """Whether a request may be sent again after it failed so.

    What changes something is sent again only where it surely was not carried out: no connection
    was made, or the API said that the request was over the limit.
    """
    if isinstance(error, AnswerMismatchError):
        return method.retry == "safe"
    if isinstance(error, TransportError):
        return not error.lasting and (method.retry == "safe" or not error.outcome_unknown)
    if not isinstance(error, APIError):
        return False
    if method.retry == "safe":
        return error.status in _PASSING or (error.status > 504 and error.status != _LOGIN_FIRST)
    return error.status == 429 and error.code == "rate_limited"


def pause(state: tenacity.RetryCallState) -> float:
    """Seconds until the next attempt: what the server asked for, else a jittered backoff."""
    asked = getattr(_failure(state), "retry_after", None)
    jittered = _backoff(state)
    if asked is None:
        return jittered
    return float(asked) + min(jittered, 0.25)


def stop(attempts: int, patience: float) -> Callable[[tenacity.RetryCallState], bool]:
    """Stops after so many attempts; while only rate limits hinder, after so many seconds.

    Args:
        attempts: how often a request is sent at most.
        patience: how many seconds the waits may last altogether.
    """

    def over(state: tenacity.RetryCallState) -> bool:
        too_long = state.idle_for + state.upcoming_sleep > patience
        if getattr(_failure(state), "status", None) == 429:
            return too_long
        return too_long or state.attempt_number >= attempts

    return over


def _failure(state: tenacity.RetryCallState) -> Any:
    return state.outcome.exception() if state.outcome else None
