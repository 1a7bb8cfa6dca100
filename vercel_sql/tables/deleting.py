"""Deletes one row by its key, and finds out what came of it where the answer leaves that open."""

from __future__ import annotations

from vercel_sql.api import CancelScope, Client, Request, build_request
from vercel_sql.errors import (
    APIError,
    Error,
    RequestError,
    ServerError,
    TransportError,
)
from vercel_sql.manifest import Resource
from vercel_sql.tables.calls import require_answer, send_or_missing
from vercel_sql.tables.pages import rows_at

# How many seconds to look for a row whose deletion was not answered.
_PATIENCE = 10.0
# A proxy stopped waiting for the server, which may go on.
_GATEWAY_TIMEOUT = 504
_ADVICE = "was not sent again: list the table before you repeat the statement"


def delete_row(client: Client, request: Request) -> bool:
    """Deletes a row; False where it was gone already.

    Raises:
        APIError: Vercel refused it, or failed.
        RequestError: the answer was lost, can't be used, or was that of another request.
    """
    answer = send_or_missing(client, request)
    if answer is None:
        return False
    # A proxy's page with status 200 must not pass for a deletion.
    require_answer(request.method, answer)
    return True


def settle_deletion(
    client: Client, resource: Resource, key: str, error: BaseException, *, was_seen: bool
) -> None:
    """Finds out what came of a deletion that failed: returns where the row is gone.

    An answer that was lost, is not one of the method's, or says that the server failed, leaves
    open whether the row is gone. Then it is looked up, and never deleted a second time. A refusal
    is believed unless a row that was seen before is gone now.

    Args:
        client: looks it up.
        resource: what the row is of.
        key: what the row is found by.
        error: how the deletion failed.
        was_seen: whether the row is known to have been there. Else its key may be mistyped, and to
            find no such row is not enough.

    Raises:
        APIError: it was refused, or the server failed and the row is still there; with
            ``outcome_unknown``, it may have been deleted, or be deleted yet.
        RequestError: the answer was lost, and the rest is the same.
        BaseException: the error, where it leaves nothing open.
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
    if found is None:
        raise _in_doubt(error, f"It may have been carried out all the same, and {_ADVICE}")
    if found and _is_late(error):
        raise _in_doubt(error, f"The row was still there afterwards, may go yet, and {_ADVICE}")
    if found:
        raise _still_there(error)
    if not was_seen:
        raise _in_doubt(error, "There is no such row now, and whether there was one is not known")


def is_there(
    client: Client, resource: Resource, key: str, *, as_listed: bool = False
) -> bool | None:
    """Whether there is a row of that key; None where that can't be found out now.

    Args:
        client: asks.
        resource: what the row is of.
        key: its key.
        as_listed: whether a row that counts as deleted is there as long as it is listed.
    """
    getter, reference = resource.getter, resource.self_reference
    if getter is None or (reference is not None and key == reference.value):
        return None
    request = build_request(getter, {getter.required[0].name: key})
    try:
        # Also where the statement's time is over: whoever waits for it decides how long.
        with client.apart(CancelScope(_PATIENCE)):
            answer = send_or_missing(client, request)
            rows = [] if answer is None else rows_at(answer, getter.rows)
    except Error:
        return None
    if answer is None:
        return False
    found = next((row for row in rows if row.get(resource.key) == key), None)
    return None if found is None else as_listed or not resource.is_gone(found)


def _is_late(error: RequestError | ServerError) -> bool:
    """Whether the server may still be at it: nobody waited for its answer to the end."""
    if isinstance(error, ServerError):
        return error.status == _GATEWAY_TIMEOUT
    return isinstance(error, TransportError) and error.timed_out


def _still_there(error: RequestError | ServerError) -> Error:
    """The error, with what is known now."""
    text = f"{_bare(error)}. The row is still there, and was not tried again"
    if isinstance(error, APIError):
        return _again(error, text)
    return type(error)(text, method=error.method, path=error.path)


def _in_doubt(error: RequestError | ServerError, known: str) -> Error:
    """The error for what may have been carried out: how it failed, and what is known of the row."""
    text = f"{_bare(error)}. {known}"
    if isinstance(error, APIError):
        in_doubt = _again(error, text)
        in_doubt.outcome_unknown = True
        return in_doubt
    return type(error)(text, method=error.method, path=error.path, outcome_unknown=True)


def _again(error: APIError, text: str) -> APIError:
    """The error with another text."""
    told = type(error)(text, error.detail)
    told.retry_after = error.retry_after
    return told


def _bare(error: Error) -> str:
    """What happened, without the advice for those who do not know what came of it."""
    return str(error).partition(". It may have been carried out")[0].rstrip(". ")
