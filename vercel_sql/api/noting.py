"""Notes in the journal what is sent and would be lost, and what is known of it afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vercel_sql.api.cancel_scope import AbandonedError
from vercel_sql.api.journal import Entry, journal
from vercel_sql.api.redaction import MASK, Redactor
from vercel_sql.api.requests import Request
from vercel_sql.api.server_clock import ServerClock
from vercel_sql.errors import APIError, RequestError, StatementCancelledError

_LONGEST_VALUE = 500


@dataclass
class Trail:
    """What the journal says about one write, for whoever sends it and keeps its secret.

    Whoever sends what makes a secret goes on with the entry: until it has an end there, the write
    is one that `vercel-sql recover` looks into.

    Attributes:
        saved_in: the file that its secret will be saved in.
        mark: the random end of one of the new row's values, where it has one.
        there: the keys of rows that are known to be there before: none of them is the new one.
        entry: what was noted when it was sent last; None where nothing was sent, or where its
            method makes no secret.
    """

    saved_in: Path | None = None
    mark: str | None = None
    there: tuple[str, ...] = ()
    entry: Entry | None = None

    def lost(self, reason: str) -> None:
        """Notes that an answer came which can't be used, unless something else was noted."""
        if self.entry is not None and self.entry.outcome is None:
            self.entry.unknown(reason)


@contextmanager
def noted(
    request: Request,
    url: str,
    clock: ServerClock,
    bearer: str | None,
    redactor: Redactor,
    trail: Trail,
) -> Iterator[None]:
    """Notes a write before it is sent, and how it failed, where it did.

    Args:
        request: the write.
        url: the base URL that it is sent to.
        clock: the server's.
        bearer: the connection's token, where it goes along.
        redactor: knows what is secret.
        trail: is given the entry.

    Raises:
        JournalError: it can't be noted, so nothing may be sent.
    """
    trail.entry = journal().begin(
        server_at=clock.earliest_ms(),
        url=url,
        account=None if bearer is None else fingerprint(bearer),
        resource=request.method.resource,
        method=request.method.name,
        values=_values(request, redactor),
        mark=trail.mark,
        about=_about(request, redactor),
        secrets_file=None if trail.saved_in is None else str(trail.saved_in.absolute()),
        there=trail.there,
    )
    try:
        yield
    except BaseException as error:
        reason = redactor.mask(str(error)) or type(error).__name__
        if is_unsent(error):
            trail.entry.unsent(reason)
        else:
            trail.entry.unknown(reason)
        raise


def fingerprint(bearer: str) -> str:
    """What tells one account's token from another's without being of use to anybody."""
    return hashlib.sha256(bearer.encode()).hexdigest()[:16]


def is_unsent(error: BaseException) -> bool:
    """Whether a write surely was not carried out that failed so."""
    if isinstance(error, APIError):
        # A redirect, a time-out or a failure may come from between here and the API.
        return 400 <= error.status < 500 and error.status != 408
    if isinstance(error, RequestError):
        return not error.outcome_unknown
    # What was given up goes on, and nobody knows how it ends.
    return isinstance(error, StatementCancelledError) and not isinstance(error, AbandonedError)


def _values(request: Request, redactor: Redactor) -> dict[str, Any]:
    """The columns of the new row that are known; none where one of them may be secret."""
    trace = request.method.trace
    if trace is None:
        return {}
    found = {column: request.argument(name) for column, name in trace.matches.items()}
    if any(value is None or redactor.mask(str(value)) != str(value) for value in found.values()):
        return {}
    return found


def _about(request: Request, redactor: Redactor) -> dict[str, Any]:
    """What else is sent, as far as it is no secret."""
    shown = {**request.shown_query, **(request.shown_body or {})}
    texts = {name: redactor.mask(str(value)) for name, value in shown.items() if value != MASK}
    return {name: text[:_LONGEST_VALUE] for name, text in texts.items()}
