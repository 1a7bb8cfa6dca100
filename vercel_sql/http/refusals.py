"""Whose refusal it is: nothing in an error answer shows which request it belongs to.

A refusal that says that nothing was done is confirmed by one read on a connection of its own:

- A refused create is looked for among the newest rows. It is not sent again, and does not count as
  refused, where one of them may be its own.
- Where a deletion is told that there is no such row, the row is got.
- Where the deletion of a credential's own row is told that it is dead, the credential is tried.

The read may be refused as well, since there is no such row, or since the credential may not do
this either. Then two answers say the same, and are believed. Other refusals of a deletion say
nothing of its row. What makes a secret but no row, such as the exchange of a code, can't be looked
up: its refusal is taken at its word. A read that is told that there is no such row is sent again
by the client.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from vercel_sql.errors import AnswerError, APIError, Error
from vercel_sql.http.answers import Answer, Origin, api_error
from vercel_sql.http.proofs import found_at, is_about_itself, is_alike, resource_of
from vercel_sql.http.requests import Request, build_request
from vercel_sql.manifest import Method
from vercel_sql.runtime.scope import CancelScope

if TYPE_CHECKING:
    from vercel_sql.http.client import Client

# How many seconds the read may take.
_PATIENCE = 10.0
# By how much the clocks of a server's machines may differ, in milliseconds.
_SLACK_MS = 60_000


def refused(
    client: Client, answer: Answer, origin: Origin, authorization: str | None, began: float
) -> APIError:
    """The error for an answer whose status is not 2xx, confirmed as far as one read can do so."""
    request, mask = answer.request, client.redactor.mask
    error = api_error(
        request.method,
        request.path,
        answer.status,
        answer.headers,
        answer.body,
        mask,
        origin,
        authorization,
    )
    is_refusal = 400 <= error.status < 500 and error.status != 408
    if is_refusal and not request.method.reads and authorization is not None:
        _confirm(client, answer, error, authorization, began)
    return error


def _confirm(
    client: Client, answer: Answer, error: APIError, authorization: str, began: float
) -> None:
    """Raises what `refused` does where the refusal of a write is not its own."""
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
        with client.scoped(CancelScope(_PATIENCE)):
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
