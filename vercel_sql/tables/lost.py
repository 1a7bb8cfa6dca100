"""What is found out, said and done about a create whose answer was lost. It is never sent again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vercel_sql.api import CancelScope, Client
from vercel_sql.api.journal import Entry
from vercel_sql.api.journal_records import Story, Unknown
from vercel_sql.errors import Error, TransportError, UnknownOutcomeError
from vercel_sql.manifest import Method, Resource
from vercel_sql.tables.catalog import literal
from vercel_sql.tables.keeping import OnOrphan
from vercel_sql.tables.orphans import Row, candidates, earliest, listed, named, proven, revoke

# How many seconds the account may be searched, and then may a row be revoked, each.
SEARCH_SECONDS = 10.0
_LATER = "Run vercel-sql recover before you repeat the statement: it tells the outcome"


@dataclass(frozen=True)
class _Search:
    """What was found out about a create.

    Attributes:
        rows: those that it may have made.
        is_proven: whether it surely made them.
        since: no row that was made before is its own (ms since the epoch, by the server's clock).
        server_at: the server's time when this was found out (ms since the epoch).
    """

    rows: Sequence[Row]
    is_proven: bool
    since: int | None = None
    server_at: int | None = None


def explained(
    client: Client, resource: Resource, entry: Entry | None, error: Error, on_orphan: OnOrphan
) -> Error:
    """The error of a write, which says what it may have made where nobody knows.

    Args:
        client: sent it.
        resource: what it was about.
        entry: what the journal says about it, if anything.
        error: how it failed.
        on_orphan: whether to revoke what it made, where that is proven.
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
        reason = f"The account could not be searched for it: {failure}"
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
    # Without a secret it may be the answer to anybody's question about a row of that name; but
    # what it repeats of the request was checked, and so was a mark.
    is_known = made.key in entry.journal.known_keys() or made.key in entry.intent.there
    search = _Search([made], is_proven=entry.intent.mark is not None and not is_known)
    return _told(client, resource, entry, search, error, str(error), on_orphan)


def _searched(client: Client, resource: Resource, method: Method, entry: Entry) -> _Search:
    assert method.trace is not None  # noqa: S101 - asked only for such methods
    intent = entry.intent
    rows = listed(client, resource, method.trace)
    clock = client.clock(method.server)
    since, server_at = earliest(Story(intent), clock), clock.earliest_ms()
    if intent.mark is not None:
        found = [row for row in proven(rows, intent) if not row.is_gone]
        # Somebody may have copied the name, mark and all.
        return _Search(found, is_proven=len(found) == 1, since=since, server_at=server_at)
    # The journal is read after the listing: who made a row of it has noted its answer before.
    found = candidates(rows, intent, since, entry.journal.known_keys())
    return _Search(found, is_proven=False, since=since, server_at=server_at)


def _told(
    client: Client,
    resource: Resource,
    entry: Entry,
    search: _Search,
    error: Error,
    text: str,
    on_orphan: OnOrphan,
) -> UnknownOutcomeError:
    """The error that names what was found; where it was asked for and is proven, it is revoked."""
    keys = [row.key for row in search.rows]
    reason = client.redactor.mask(str(error))
    entry.unknown(reason, keys, since=search.since, server_at=search.server_at)
    left = ""
    if on_orphan == "revoke" and keys:
        left = (
            _revoked(client, resource, keys)
            if search.is_proven
            else "It was not revoked, since nothing proves that it is yours (see --mark-names)"
        )
        if not left:
            entry.settled("revoked")
            found = f"{text}. The request created {named(search.rows)}, which was revoked"
            return UnknownOutcomeError(
                found, cause=error, orphans=keys, is_proven=True, revoked=keys[0]
            )
    advice = _advice(client, resource, entry, search)
    told = ". ".join(part for part in (text, left, advice) if part)
    is_proven = search.is_proven and bool(keys)
    return UnknownOutcomeError(told, cause=error, orphans=keys, is_proven=is_proven)


def _revoked(client: Client, resource: Resource, keys: Sequence[str]) -> str:
    """Revokes rows; gives what hindered it, or nothing."""
    try:
        with client.apart(CancelScope(SEARCH_SECONDS)):
            for key in keys:
                revoke(client, resource, key)
    except Error as failure:
        return f"It could not be revoked ({str(failure).rstrip('.')})"
    return ""


def _advice(client: Client, resource: Resource, entry: Entry, search: _Search) -> str:
    """What was found, and what to run."""
    values = " and ".join(f"{name} {value!r}" for name, value in entry.intent.values.items())
    if not values:
        return "It can't be looked up by values that may be secret: list the table"
    if not search.rows:
        return (
            f"There is nothing new with {values} so far, but the request may still arrive. Run "
            "vercel-sql recover in some minutes, before you repeat the statement"
        )
    rows = named(search.rows)
    if search.is_proven:
        run = "; ".join(deletion(client, resource, row.key) for row in search.rows)
        return f"The request created {rows}, and nobody has its secret: {run}"
    run = deletion(client, resource, search.rows[0].key if len(search.rows) == 1 else "…")
    return (
        f"It may have created {rows}, or somebody else did: nothing proves whose it is. "
        f"Find out whether anybody uses it, and if not: {run}"
    )


def deletion(client: Client, resource: Resource, key: str) -> str:
    """The statement that revokes a row."""
    table = f"{client.provider.name}.{resource.full_name}"
    return f"DELETE FROM {table} WHERE {resource.key} = {literal(key)}"
