"""From a failure of the network to an error that says what failed, where, and what to do."""

from __future__ import annotations

import httpx

from vercel_sql.api.redaction import Redactor
from vercel_sql.api.requests import Request
from vercel_sql.errors import TransportError


def no_answer(
    request: Request, base: str, error: httpx.HTTPError, redactor: Redactor
) -> TransportError:
    """The error for a request that got no answer.

    Args:
        request: the request.
        base: the base URL that it was sent to.
        error: what httpx says.
        redactor: masks what is secret.
    """
    method = request.method
    unsent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
    unknown = not unsent and not method.reads
    reason = redactor.mask(str(error)).rstrip(".") or type(error).__name__
    path = redactor.mask(request.path)
    text = f"vercel.{method.resource}: {method.name} failed: {method.http} {path} "
    text += f"at {base} got no answer: {reason}"
    if unknown:
        text += ". It may have been carried out all the same, and was not sent again"
    if unknown and method.trace is None:
        text += ": list the table before you repeat the statement"
    return TransportError(text, method=method.http, path=path, outcome_unknown=unknown)
