"""When a request is sent again, and after how long: the rules, carried out by tenacity."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vercel_sql.errors import AnswerMismatchError, APIError, RateLimitedError, TransportError
from vercel_sql.manifest import Method

if TYPE_CHECKING:
    import tenacity

_PASSING = (408, 429, 500, 502, 503, 504)
# The network wants a login first; nobody logs in between two attempts.
_LOGIN_FIRST = 511
# How many seconds a request waits altogether for what may pass, but for rate limits.
_MOST_WAIT = 120.0


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
    return is_over_limit(error) and error.code == "rate_limited"


def is_over_limit(error: BaseException) -> bool:
    """Whether a request was over a rate limit, so that it will pass once that lets it.

    A 429 of somebody else's that does not say when is a failure like others.
    """
    if not isinstance(error, RateLimitedError):
        return False
    return error.code == "rate_limited" or error.retry_after is not None


def pause(state: tenacity.RetryCallState) -> float:
    """Seconds until the next attempt: what the server asked for, else a jittered backoff.

    0 after a rate limit's refusal: that is waited for in line with other requests.
    """
    if is_over_limit(_failure(state)):
        return 0.0
    asked = getattr(_failure(state), "retry_after", None)
    # Imported here, as httpx is: most of what is run sends nothing.
    import tenacity

    jittered = tenacity.wait_random_exponential(multiplier=0.2, max=8)(state)
    if asked is None:
        return jittered
    return float(asked) + min(jittered, 0.25)


def stop(attempts: int) -> Callable[[tenacity.RetryCallState], bool]:
    """Stops one request after so many attempts; what a rate limit put off is none.

    Args:
        attempts: how often a request is sent at most.
    """
    put_off = 0

    def over(state: tenacity.RetryCallState) -> bool:
        nonlocal put_off
        if is_over_limit(_failure(state)):
            put_off += 1
            return False
        too_long = state.idle_for + state.upcoming_sleep > _MOST_WAIT
        return too_long or state.attempt_number - put_off >= attempts

    return over


def _failure(state: tenacity.RetryCallState) -> BaseException:
    failure = state.outcome.exception() if state.outcome else None
    assert failure is not None  # noqa: S101 - only failures are followed by another attempt
    return failure
