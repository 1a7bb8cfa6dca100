"""When a request is sent again, and after how long."""

from __future__ import annotations

import random

from vercel_sql.errors import AnswerMismatchError, APIError, RateLimitedError, TransportError
from vercel_sql.manifest import Method

_PASSING = (408, 429, 500, 502, 503, 504)
# The network wants a login first; nobody logs in between two attempts.
_LOGIN_FIRST = 511
# How many seconds a request waits altogether for what may pass, but for rate limits.
_MOST_WAIT = 120.0
_FIRST_BACKOFF, _MOST_BACKOFF = 0.2, 8.0


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


def pause(error: BaseException, attempt: int) -> float:
    """Seconds until the next attempt: what the server asked for, else a jittered backoff.

    0 after a rate limit's refusal: that is waited for in line with other requests.
    """
    if is_over_limit(error):
        return 0.0
    longest = min(_FIRST_BACKOFF * 2.0 ** min(attempt - 1, 10), _MOST_BACKOFF)
    jittered = random.uniform(0, longest)  # noqa: S311 - no secret hangs on it
    asked = getattr(error, "retry_after", None)
    return jittered if asked is None else float(asked) + min(jittered, 0.25)


class Attempts:
    """The attempts of one request.

    Attributes:
        number: the number of the attempt that is under way, counted from 1.
    """

    def __init__(self, method: Method, most: int) -> None:
        self.number = 1
        self._method = method
        self._most = most
        self._put_off = 0
        self._waited = 0.0

    def next_after(self, error: BaseException) -> float | None:
        """Seconds until the next attempt after one that failed; None where there is none."""
        if not may_retry(self._method, error):
            return None
        seconds = pause(error, self.number)
        if is_over_limit(error):
            self._put_off += 1
        elif self._waited + seconds > _MOST_WAIT or self.number - self._put_off >= self._most:
            return None
        self._waited += seconds
        self.number += 1
        return seconds
