"""Deleting rows by their keys: what must not go, and what happened where the answer is unclear."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vercel_sql.catalog.pages import rows_at, send_or_missing
from vercel_sql.errors import (
    APIError,
    Error,
    ProgrammingError,
    RequestError,
    ServerError,
    TransportError,
)
from vercel_sql.http.answers import Answer
from vercel_sql.http.client import Client
from vercel_sql.http.decode import text_problem
from vercel_sql.http.requests import Request, build_request
from vercel_sql.manifest import Method, Resource
from vercel_sql.runtime.scope import CancelScope

LOOK_SECONDS = 10.0
"""How many seconds to look for a row whose deletion was not answered."""
# A proxy stopped waiting for the server, which may go on.
_GATEWAY_TIMEOUT = 504
_ADVICE = "was not sent again: list the table before you repeat the statement"


@dataclass(frozen=True)
class KeyedRow:
    """One row as the API sent it.

    Attributes:
        key: what identifies it.
        values: its fields, decoded exactly.
        answer: the answer that it is from.
    """

    key: str
    values: Mapping[str, Any]
    answer: Answer


def keyed_row(resource: Resource, getter: Method, answer: Answer) -> KeyedRow:
    """The row of an answer; `AnswerError` if there is none, or it has no key."""
    rows = rows_at(answer, getter.rows)
    key = rows[0].get(resource.key) if len(rows) == 1 else None
    if not isinstance(key, str) or text_problem(key) is not None:
        raise answer.unusable(f"it has no {resource.key}")
    return KeyedRow(key, rows[0], answer)


def own_request(resource: Resource, bearer: str | None = None) -> Request | None:
    """The request for the row of a bearer, the client's own if None, where rows are credentials."""
    reference, getter = resource.self_reference, resource.getter
    if reference is None or getter is None:
        return None
    request = build_request(getter, {getter.required[0].name: reference.value})
    if bearer is None:
        return request
    return replace(request, authorization=f"Bearer {bearer}", secrets=(bearer,))


def own_row(client: Client, resource: Resource, request: Request) -> KeyedRow:
    """The row that `own_request` asks for, always asked anew."""
    return keyed_row(resource, request.method, client.send(request))


def own_key(client: Client, resource: Resource) -> str | None:
    """The key of the calling credential's own row; None if there is no such row."""
    request = own_request(resource)
    return None if request is None else own_row(client, resource, request).key


def refuse_own_key(client: Client, resource: Resource, keys: list[str]) -> None:
    """Refuses a deletion of the credential that carries it out."""
    reference = resource.self_reference
    if reference is None or not keys:
        return
    own = own_key(client, resource)
    if own in keys:
        raise ProgrammingError(
            f"vercel.{resource.full_name}: {own} is the {resource.key} of the token that makes "
            "these calls, which is never deleted by accident. Nothing was deleted. Leave it out "
            f"({resource.key} <> '{own}'), or ask for just that: "
            f"WHERE {reference.condition}"
        )


def refuse_misleading_key(resource: Resource, keys: list[str]) -> None:
    """Refuses a deletion of a row whose key the API would take for the calling credential."""
    reference = resource.self_reference
    if reference is not None and reference.value in keys:
        raise ProgrammingError(
            f"vercel.{resource.full_name}: a row has the {resource.key} {reference.value!r}, which "
            "the API takes for the credential that makes these calls. Nothing was deleted"
        )


def require_answer(method: Method, answer: Answer) -> None:
    """Makes sure that an answer is one of the method's, and not some page with status 200."""
    content = answer.json()
    if not isinstance(content, dict):
        raise answer.unusable("it is not an object")
    for column in method.returns:
        if column.name not in content:
            raise answer.unusable(f"it has no {column.name}")


def delete_row(client: Client, request: Request) -> bool:
    """Deletes a row; False if it was gone already."""
    answer = send_or_missing(client, request)
    if answer is not None:
        # A proxy's page with status 200 must not pass for a deletion.
        require_answer(request.method, answer)
    return answer is not None


def settle_deletion(
    client: Client, resource: Resource, key: str, error: BaseException, *, was_seen: bool
) -> None:
    """Returns if a row is gone whose deletion failed; else raises the error, with what is known.

    An answer that was lost, is not one of the method's, or says that the server failed, leaves
    open whether the row is gone. Then it is looked up, and never deleted a second time; where that
    is no use, the error has ``outcome_unknown``. A refusal is believed unless a row that was seen
    before is gone now. If the row was not seen, its key may be mistyped, and finding no such row
    is not enough.
    """
    if isinstance(error, APIError) and not isinstance(error, ServerError):
        # It may be the answer to another request. That a row is listed as revoked proves nothing
        # here: it may have been so before.
        if was_seen and is_there(client, resource, key, as_listed=True) is False:
            return
        raise error
    if not isinstance(error, RequestError | ServerError):
        raise error
    if isinstance(error, RequestError) and not error.outcome_unknown:
        raise error
    found = is_there(client, resource, key)
    # What happened, without the advice for those who do not know the outcome.
    told = str(error).partition(". It may have been carried out")[0].rstrip(". ")
    if isinstance(error, ServerError):
        is_late = error.status == _GATEWAY_TIMEOUT
    else:
        is_late = isinstance(error, TransportError) and error.timed_out
    if found is None:
        known = f"It may have been carried out all the same, and {_ADVICE}"
    elif found and is_late:
        known = f"The row was still there afterwards, may go yet, and {_ADVICE}"
    elif found:
        raise _retold(error, f"{told}. The row is still there, and was not tried again", False)
    elif not was_seen:
        known = "There is no such row now, and whether there was one is not known"
    else:
        return
    raise _retold(error, f"{told}. {known}", True)


def _retold(error: RequestError | ServerError, text: str, is_unknown: bool) -> Error:
    if isinstance(error, RequestError):
        return type(error)(text, method=error.method, path=error.path, outcome_unknown=is_unknown)
    retold = type(error)(text, error.detail)
    retold.retry_after = error.retry_after
    retold.outcome_unknown = is_unknown
    return retold


def is_there(
    client: Client, resource: Resource, key: str, *, as_listed: bool = False
) -> bool | None:
    """Whether there is a row of that key; None if that can't be found out now."""
    getter, reference = resource.getter, resource.self_reference
    if getter is None or (reference is not None and key == reference.value):
        return None
    request = build_request(getter, {getter.required[0].name: key})
    try:
        # Also where the statement's time is over: whoever waits for it decides how long.
        with client.scoped(CancelScope(LOOK_SECONDS)):
            answer = send_or_missing(client, request)
            rows = [] if answer is None else rows_at(answer, getter.rows)
    except Error:
        return None
    if answer is None:
        return False
    found = next((row for row in rows if row.get(resource.key) == key), None)
    return None if found is None else as_listed or not resource.is_gone(found)
