"""What is found out, said and done about a create whose answer was lost. It is never sent again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from vercel_sql.api import CancelScope, Client
from vercel_sql.api.journal import Entry, now_ms
from vercel_sql.api.journal_records import Unknown
from vercel_sql.errors import Error, TransportError, UnknownOutcomeError
from vercel_sql.manifest import Method, Resource
from vercel_sql.tables.catalog import literal
from vercel_sql.tables.orphans import Row, candidates, listed, revoke, saved_keys

OnOrphan: TypeAlias = Literal["report", "revoke"]
# How many seconds the account may be searched, and then may a row be revoked, each.
SEARCH_SECONDS = 10.0
_LATER = "Run vercel-sql recover later, before you repeat the statement: it tells what came of it"


@dataclass(frozen=True)
class _Search:
    """What was found out about a create.

    Attributes:
        rows: those that may have come of it.
        rivals: how many other creates they may have come of.
    """

    rows: Sequence[Row]
    rivals: int = 0

    @property
    def is_certain(self) -> bool:
        """Whether there is one row, and nothing else that it may have come of."""
        return len(self.rows) == 1 and not self.rivals


def explained(
    client: Client, resource: Resource, entry: Entry | None, error: Error, on_orphan: OnOrphan
) -> Error:
    """The error of a write, which says what may have come of it where nobody knows.

    Args:
        client: sent it.
        resource: what it was about.
        entry: what the journal says about it, if anything.
        error: how it failed.
        on_orphan: whether to revoke what came of it, where that is certain.
    """
    if entry is None or not isinstance(entry.outcome, Unknown):
        return error
    method = resource.methods[entry.intent.method]
    if method.trace is None:
        return error
    scope = client.current_scope
    late = f"{scope.timed_out()}: " if scope.is_over and not scope.is_cancelled else ""
    text = f"{late}{str(error).rstrip('.')}"
    if not isinstance(error, TransportError):
        text += ". It may have been carried out all the same, and was not sent again"
    if scope.is_cancelled:
        return UnknownOutcomeError(f"{text}. {_LATER}", cause=error)
    try:
        with client.apart(CancelScope(SEARCH_SECONDS)):
            search = _searched(client, resource, method, entry)
    except (Error, OSError) as failure:
        reason = f"What came of it could not be looked up: {failure}"
        return UnknownOutcomeError(f"{text}. {reason}. {_LATER}", cause=error)
    return _told(client, resource, entry, search, error, text, on_orphan)


def secretless(
    client: Client,
    resource: Resource,
    entry: Entry | None,
    error: Error,
    on_orphan: OnOrphan,
    *,
    made: Row,
) -> Error:
    """The error of a write that was carried out, and whose answer names the row but no secret."""
    if entry is None:
        return error
    return _told(client, resource, entry, _Search([made]), error, str(error), on_orphan)


def _searched(client: Client, resource: Resource, method: Method, entry: Entry) -> _Search:
    assert method.trace is not None  # noqa: S101 - asked only for such methods
    intent = entry.intent
    rows = listed(client, resource, method.trace)
    # The journal is read after the listing: who made a row of it has noted that before, or has
    # noted that it is about to.
    noted = entry.journal.snapshot()
    known = noted.known_keys | saved_keys(intent.secrets_file, method)
    found = candidates(rows, intent, client.clock(method.server), known, now_ms())
    return _Search(found, len(noted.rivals(intent)))


def _told(
    client: Client,
    resource: Resource,
    entry: Entry,
    search: _Search,
    error: Error,
    text: str,
    on_orphan: OnOrphan,
) -> UnknownOutcomeError:
    """The error that names what was found; where it was asked for and is certain, it is revoked."""
    keys = [row.key for row in search.rows]
    entry.unknown(client.redactor.mask(str(error)), keys)
    left = ""
    if on_orphan == "revoke" and keys:
        left = "It was not revoked, since it is not certain that this came of it"
        if search.is_certain:
            left = _revoked(client, resource, keys[0])
        if not left:
            entry.settled("revoked")
            found = f"{text}. This came of it, and was revoked: {search.rows[0]}"
            return UnknownOutcomeError(found, cause=error, orphans=keys, revoked=keys[0])
    advice = _advice(client, resource, entry, search)
    told = ". ".join(part for part in (text, left, advice) if part)
    return UnknownOutcomeError(told, cause=error, orphans=keys)


def _revoked(client: Client, resource: Resource, key: str) -> str:
    """Revokes a row; gives what hindered it, or nothing."""
    try:
        with client.apart(CancelScope(SEARCH_SECONDS)):
            revoke(client, resource, key)
    except Error as failure:
        return f"It could not be revoked ({str(failure).rstrip('.')})"
    return ""


def _advice(client: Client, resource: Resource, entry: Entry, search: _Search) -> str:
    """What was found, and what to run."""
    values = " and ".join(f"{name} {value!r}" for name, value in entry.intent.values.items())
    named = " and ".join(entry.intent.values)
    if not values:
        return "It can't be looked up by values that may be secret: list the table"
    if not search.rows:
        return (
            f"Nothing new with {values} is there so far, but the request may still arrive. Run "
            "vercel-sql recover in some minutes, before you repeat the statement"
        )
    rows = ", ".join(map(str, search.rows))
    if len(search.rows) == 1:
        run = deletion(client, resource, search.rows[0].key)
        if search.rivals:
            return (
                f"This may have come of it: {rows}, or of another create of the same {named} that "
                "is under way. Run vercel-sql recover when that has ended, before you repeat the "
                "statement"
            )
        return f"This may have come of it: {rows}. If so, nobody has its secret: {run}"
    run = deletion(client, resource, "…")
    return (
        f"One of {len(search.rows)} with {values} may have come of it: {rows}. Find out which "
        f"nobody uses, and revoke that: {run}"
    )


def deletion(client: Client, resource: Resource, key: str) -> str:
    """The statement that revokes a row."""
    table = f"{client.provider.name}.{resource.full_name}"
    return f"DELETE FROM {table} WHERE {resource.key} = {literal(key)}"
