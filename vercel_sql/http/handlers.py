"""What a call passes through on its way out and back: one handler for each concern.

Each handler is given the call and what sends it on, and gives the answer.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from vercel_sql.errors import (
    AnswerError,
    AnswerMismatchError,
    APIError,
    Error,
    ForbiddenError,
    InterfaceError,
    RateLimitedError,
    TransportError,
    UnauthorizedError,
)
from vercel_sql.http.answers import Answer, api_error
from vercel_sql.http.connections import Received, exchange, longest, not_whole
from vercel_sql.http.events import RequestEvent
from vercel_sql.http.proofs import found_at, is_about_itself, is_alike, resource_of
from vercel_sql.http.rate_limits import RateLimitHeaders
from vercel_sql.http.requests import Request, build_request
from vercel_sql.ledger.audit_log import count_request
from vercel_sql.ledger.journal import JournalHandle, journaled
from vercel_sql.logger import logger
from vercel_sql.manifest import Method
from vercel_sql.redaction.known import NotPicklable
from vercel_sql.runtime.process_state import SentScope
from vercel_sql.runtime.scope import GRACE, CancelScope

if TYPE_CHECKING:
    import httpx

    from vercel_sql.http.client import Client

log = logger("api")

_PASSING = (408, 429, 500, 502, 503, 504)
# The network wants a login first; nobody logs in between two attempts.
_LOGIN_FIRST = 511
# How many seconds a request waits altogether for what may pass, but for rate limits.
_MOST_WAIT = 120.0
# How many seconds the read may take.
_CONFIRM_SECONDS = 10.0
# By how much the clocks of a server's machines may differ, in milliseconds.
_SLACK_MS = 60_000
_FIRST_BACKOFF, _MOST_BACKOFF = 0.2, 8.0


@dataclass(frozen=True)
class Call(NotPicklable):
    """One call of a method.

    Attributes:
        client: makes it.
        request: the request.
        bearer: the connection's own token, where it goes out with that.
        handle: is given what the journal says of a secret that is made.
        attempt: 1 for the first time that it is sent.
    """

    client: Client
    request: Request
    bearer: str | None = field(repr=False)
    handle: JournalHandle = field(repr=False)
    attempt: int = 1

    @property
    def authorization(self) -> str | None:
        """The ``Authorization`` header that it goes out with."""
        own = f"Bearer {self.bearer}" if self.bearer is not None else None
        return self.request.authorization or own


Send: TypeAlias = Callable[[Call], Answer]
Handler: TypeAlias = Callable[[Call, Send], Answer]


def audit(call: Call, send: Send) -> Answer:
    """Notes a write in the audit log."""
    auditor = call.client.auditor
    if auditor is None or call.request.method.reads:
        return send(call)
    return auditor.audited(call.request, call.bearer, partial(send, call))


def renew(call: Call, send: Send) -> Answer:
    """Sends it once more with another token where its own is dead."""
    try:
        return send(call)
    except (UnauthorizedError, ForbiddenError) as error:
        if call.bearer is None or not error.is_dead:
            raise
        client, bearer = call.client, call.bearer
        renewed = client.current_scope.run(partial(client.credential.renew, bearer))
        client.redactor.add(renewed)
        if renewed is None:
            raise
    # The API refused to act for a dead token, so that even a write may be sent again.
    return send(replace(call, bearer=renewed))


def journal(call: Call, send: Send) -> Answer:
    """Has what makes a secret in the journal before it goes out."""
    client, method = call.client, call.request.method
    url, clock = client.urls[method.server], client.clock(method.server)
    client.connections.prepare(url)
    with journaled(call.request, url, clock, call.bearer, client.redactor, call.handle):
        return send(call)


def confirm(call: Call, send: Send) -> Answer:
    """Asks again where an answer says that there is nothing."""
    return call.client.proofs.believed(call.request.method, partial(send, call))


def retry(call: Call, send: Send) -> Answer:
    """Sends it again, where that is safe; what a rate limit put off does not count."""
    client, method = call.client, call.request.method
    number, put_off, waited = 1, 0, 0.0
    while True:
        try:
            return send(replace(call, attempt=number))
        except Error as error:
            seconds = pause(error, number)
            is_last = waited + seconds > _MOST_WAIT or number - put_off >= client.attempts
            if not _may_retry(method, error) or (is_last and not _is_over_limit(error)):
                raise
            put_off += _is_over_limit(error)
            reason = f"status {error.status}" if isinstance(error, APIError) else "no answer"
        number, waited = number + 1, waited + seconds
        client.connections.drop(call.request.line)
        if seconds:
            log.info("%s: sent again in %.1f s", reason, seconds)
            client.current_scope.sleep(seconds, what="the request is to be sent again")


def _may_retry(method: Method, error: BaseException) -> bool:
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
    return _is_over_limit(error) and error.code == "rate_limited"


def _is_over_limit(error: BaseException) -> bool:
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
    if _is_over_limit(error):
        return 0.0
    longest = min(_FIRST_BACKOFF * 2.0 ** min(attempt - 1, 10), _MOST_BACKOFF)
    jittered = random.uniform(0, longest)  # noqa: S311 - no secret hangs on it
    asked = getattr(error, "retry_after", None)
    return jittered if asked is None else float(asked) + min(jittered, 0.25)


READS: tuple[Handler, ...] = (renew, confirm, retry)
WRITES: tuple[Handler, ...] = (audit, renew, confirm, retry)
SECRETS: tuple[Handler, ...] = (audit, renew, journal, confirm, retry)
"""What reads, writes, and calls that make a secret pass through, the outermost first."""


def send(call: Call) -> Answer:
    """Sends a call through the handlers of its effect."""
    method = call.request.method
    handlers = SECRETS if method.makes_secret else READS if method.reads else WRITES
    chain: Send = _attempt
    for handler in reversed(handlers):
        chain = _through(chain, handler)
    return chain(call)


def _through(inner: Send, handler: Handler) -> Send:
    return lambda call: handler(call, inner)


def _attempt(call: Call) -> Answer:
    """Sends it once, when the rate limit allows that, and judges the answer."""
    method, client = call.request.method, call.client
    budgets = client.servers.budgets(method, call.authorization)
    permit = budgets.wait(method, client.current_scope)
    received: Received | None = None
    began = time.monotonic()
    try:
        received = _timed(call)
    finally:
        budgets.end(method, permit, received)
    try:
        return _judged(call, received, began)
    except APIError as error:
        if _is_over_limit(error) and _may_retry(method, error):
            budgets.refused(method, error.retry_after)
        raise


def _timed(call: Call) -> Received:
    """Sends it once; tells observers and the log, and learns the server's clock."""
    import httpx

    client, method = call.client, call.request.method
    received: Received | None = None
    started = time.perf_counter()
    try:
        received = _exchange(call)
    except httpx.HTTPError as error:
        from vercel_sql.http.diagnosis import no_answer

        raise no_answer(client, call.request, error) from None
    finally:
        elapsed = time.perf_counter() - started
        if not method.reads:
            count_request(method, received.status if received else None)
        _tell(call, received, elapsed * 1000)
    client.clock(method.server).learn(received.headers.get("date"), elapsed)
    return received


def _exchange(call: Call) -> Received:
    """Sends it once; what only reads is given up at once where its scope ends."""
    client, request, method = call.client, call.request, call.request.method
    scope = client.current_scope
    scope.check()
    url, (each, altogether) = client.urls[method.server], _waits(client, method)
    headers = _headers(call)

    def act() -> Received:
        with client.connections.lent(url, request.line) as connections:
            received = exchange(
                connections,
                method.http,
                url + request.target,
                content=request.content,
                headers=headers,
                timeout=each,
                wanted=lambda: not (method.reads and scope.is_over),
            )
        if received.is_spent:
            client.connections.drop(request.line)
        return received

    try:
        # The answer to a write is waited for, and kept, also where nobody waits for us.
        return (scope if method.reads else SentScope()).run(act, altogether)
    except TimeoutError:
        client.connections.renew()
        raise not_whole(altogether) from None
    except RuntimeError:
        if not client.connections.closed:
            raise
        raise InterfaceError("the connection was closed while a request was made") from None


def _waits(client: Client, method: Method) -> tuple[float, float]:
    """How many seconds each wait for bytes may take, and a request altogether.

    A create ends soon after its statement, since its outcome is looked up then.
    """
    scope, seconds = client.current_scope, client.request_timeout
    left = scope.remaining()
    if method.reads:
        return scope.within(seconds), longest(seconds)
    if method.trace is None or left is None:
        return seconds, longest(seconds)
    return min(seconds, left + GRACE), min(longest(seconds), left + GRACE)


def _headers(call: Call) -> httpx.Headers:
    import httpx

    # httpx's own type, whose repr masks the authorization wherever our variables are shown.
    headers = httpx.Headers()
    if call.authorization is not None:
        headers["Authorization"] = call.authorization
    if call.request.body is not None:
        headers["Content-Type"] = call.request.content_type
    return headers


def _judged(call: Call, received: Received, began: float) -> Answer:
    """The answer, where its status is 2xx, it can be read, and it is the request's own."""
    client, request, status = call.client, call.request, received.status
    host = client.servers.host(request.method.server)
    answer = Answer(request, status, received.headers, received.body, client.redactor, host)
    if client.proofs.is_replayed(request, received.headers, received.body):
        raise answer.mismatched("the same answer came before")
    if not 200 <= status < 300:
        raise refused(client, answer, call.authorization, began)
    if received.problem is not None:
        raise answer.unusable(received.problem)
    client.proofs.check(answer, call.authorization)
    return answer


def _tell(call: Call, received: Received | None, milliseconds: float) -> None:
    """Tells observers and the log of a request."""
    client, is_logged = call.client, log.isEnabledFor(logging.DEBUG)
    if not client.requests and not is_logged:
        return
    status = received.status if received is not None else None
    mask = client.redactor.mask
    event = RequestEvent.of(call.request, mask, status, milliseconds, call.attempt)
    if is_logged:
        left = RateLimitHeaders.read(received.headers) if received is not None else None
        log.debug("%s", event.in_words(left))
    client.requests.notify(event)


def refused(client: Client, answer: Answer, authorization: str | None, began: float) -> APIError:
    """The error for an answer whose status is not 2xx, confirmed as far as one read can do so."""
    method = answer.request.method
    error = api_error(answer, client.servers.origin(method.server), authorization)
    is_refusal = 400 <= error.status < 500 and error.status != 408
    if is_refusal and not method.reads and authorization is not None:
        _confirm(client, answer, error, authorization, began)
    return error


def _confirm(
    client: Client, answer: Answer, error: APIError, authorization: str, began: float
) -> None:
    """Confirms the refusal of a write, in which nothing shows which request it belongs to.

    One that says that nothing was done is confirmed by one read on a connection of its own:

    - A refused create is looked for among the newest rows. It is not sent again, and does not
      count as refused, where one of them may be its own.
    - Where a deletion is told that there is no such row, the row is got.
    - Where the deletion of a credential's own row is told that it is dead, the credential is tried.

    The read may be refused as well: then two answers say the same, and are believed. Other refusals
    of a deletion say nothing of its row. What makes a secret but no row, such as the exchange of a
    code, can't be looked up: its refusal is taken at its word.
    """
    request = answer.request
    if request.method.trace is not None and client.proofs.may_be_mixed_up:
        # The read might be answered with what was true before.
        raise answer.mismatched(
            f"an answer with status {error.status} shows nothing of its request"
        )
    question = _question(request, error)
    if question is None:
        return
    try:
        with client.scoped(CancelScope(_CONFIRM_SECONDS)):
            question = replace(client.complete(question), authorization=authorization)
            found = client.send(question)
            rows = found_at(found.content(), question.method.rows)
    except Error as failure:
        is_refused = isinstance(failure, APIError) and 400 <= failure.status < 500
        if is_refused or error.status == 429:
            return
        raise _unconfirmed(error, failure) from None
    reason = _contradicted(client, request, error, rows, began)
    if reason is not None:
        raise answer.mismatched(reason)


def _question(request: Request, error: APIError) -> Request | None:
    """The read that would contradict a refusal; None where none would."""
    method, resource = request.method, resource_of(request.method)
    if resource is None:
        return None
    lister, getter = resource.lister, resource.getter
    if method.trace is not None and lister is not None and lister.paging is not None:
        size = {lister.paging.size_parameter: lister.paging.size}
        return build_request(_sent_once(lister), {}, size)
    says_gone = error.status == 404 and method.missing_is_empty
    says_dead = error.is_dead and is_about_itself(request, resource)
    if getter is None or not (says_gone or says_dead):
        return None
    key = request.given[method.required[0].name]
    return build_request(_sent_once(getter), {getter.required[0].name: key})


def _sent_once(method: Method) -> Method:
    """The same, never sent again: what it says is the second answer already."""
    return msgspec.structs.replace(method, retry="refused", missing_is_empty=False)


def _contradicted(
    client: Client, request: Request, error: APIError, rows: list[Any], began: float
) -> str | None:
    """What contradicts a refusal, in words; None where nothing does."""
    trace, resource = request.method.trace, resource_of(request.method)
    assert resource is not None  # noqa: S101 - it was asked
    rows = [row for row in rows if isinstance(row, dict)]
    there = [row for row in rows if not resource.is_gone(row)]
    if trace is None:
        if rows and not there:
            return None
        is_gone = error.status == 404
        return f"it says that the row is {'gone' if is_gone else 'of a dead token'}, and it is not"
    now = client.clock(request.method.server).earliest_ms()
    elapsed = (time.monotonic() - began) * 1000
    since = None if now is None else now - elapsed - _SLACK_MS
    for row in there:
        key, made_at = row.get(resource.key), row.get(trace.since)
        is_new = since is None or not isinstance(made_at, int) or made_at >= since
        values = [(request.argument(p), row.get(column)) for column, p in trace.matches.items()]
        is_like = all(is_alike(str(asked), str(shown)) for asked, shown in values)
        if is_new and is_like and not client.proofs.knows(resource, key):
            return f"it says that nothing was made, and {key} may have been"
    return None


def _unconfirmed(error: APIError, failure: Error) -> AnswerError:
    return AnswerError(
        f"{str(error).rstrip('.')}. This may be the answer to another request, and could not be "
        f"confirmed: {failure}",
        method=error.detail.method,
        path=error.detail.path,
        outcome_unknown=True,
    )
