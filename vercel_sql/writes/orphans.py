"""Rows that creates without an answer may have made, so that their secrets are lost.

A create is never sent again. A random mark at the end of the new row's name proves that the row is
its own: it has 80 random bits and is drawn for one create, which is sent once. It is in the
journal before the request goes out, and told to nobody else. So a row whose name ends with it was
made by that create, or by somebody who copied the name of that very row. Where two rows have it,
neither is proven; and our rotation does not carry marks over. (A copy whose original is gone can't
be told from it.)

Name, time and account prove nothing: another machine may make a row of the same name at any time.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from vercel_sql.catalog.ddl import literal
from vercel_sql.catalog.pages import listed_fields
from vercel_sql.catalog.rows import TableShape
from vercel_sql.errors import Error, NotSupportedError, TransportError, UnknownOutcomeError
from vercel_sql.http.client import Client
from vercel_sql.http.proofs import is_alike
from vercel_sql.http.requests import Request, build_request
from vercel_sql.http.server_clock import ServerClock, boot_id, steady_ms
from vercel_sql.ledger.journal import PendingCreate, now_ms
from vercel_sql.ledger.journal_files import CreateHistory, Intent
from vercel_sql.manifest import Method, RecoveryLookup, Resource
from vercel_sql.runtime.scope import CancelScope
from vercel_sql.writes.deletes import delete_row, refuse_own_key
from vercel_sql.writes.policy import OnOrphan

# How many seconds the account may be searched, and again as many for revoking a row.
SEARCH_SECONDS = 10.0
# How many milliseconds older than its create a row may seem: the server's `Date` and the times of
# its rows may come from machines whose clocks differ.
_SLACK_MS = 60_000
_NO_KEY = "(unreadable"  # the text in place of a key begins so
_MARK_BITS = 80
_MARK = re.compile(rf" ~[a-z2-7]{{{_MARK_BITS // 5}}}$")
_LATER = "Run vercel-sql recover before you repeat the statement: it tells the outcome"


class _Unread:
    """Stands in place of a value that can't be read."""

    def __str__(self) -> str:
        return "(unreadable)"


_UNREAD = _Unread()


@dataclass(frozen=True)
class Row:
    """What has to be known of a row to say whether a create made it.

    Attributes:
        key: its key.
        made_at: when it was made, in milliseconds since the epoch by the server's clock; 0 if
            unknown.
        values: the columns that a create chooses; one that can't be read may be anything.
        is_gone: whether it counts as deleted, though it is still listed.
    """

    key: str
    made_at: int
    values: dict[str, Any] = field(default_factory=dict)
    is_gone: bool = False

    def __str__(self) -> str:
        return f"{self.key} (made {in_words(self.made_at)})" if self.made_at else self.key


@dataclass(frozen=True)
class _Search:
    """The result of a search for the row of a create.

    Attributes:
        rows: those that it may have made.
        is_proven: whether it surely made them.
        since: no row that was made before is its own (ms since the epoch, by the server's clock).
        server_at: the server's time of the search (ms since the epoch).
    """

    rows: Sequence[Row]
    is_proven: bool
    since: int | None = None
    server_at: int | None = None


def marked(request: Request) -> tuple[Request, str | None]:
    """A create with a mark of its own, and the mark; as it is where its method takes none."""
    name = None if request.method.trace is None else request.method.trace.mark
    value = None if name is None else request.argument(name)
    if name is None or not isinstance(value, str):
        return request, None
    drawn = base64.b32encode(secrets.token_bytes(_MARK_BITS // 8)).decode("ascii").lower()
    mark = f" ~{drawn}"
    parameter = request.method.parameter(name)
    assert parameter is not None  # noqa: S101 - the manifest's check
    key, new = parameter.key, f"{unmarked(value)}{mark}"
    if parameter.location == "query":
        query = tuple((each, new if each == key else text) for each, text in request.query)
        return replace(request, query=query), mark
    return replace(request, body={**(request.body or {}), key: new}), mark


def unmarked(value: str) -> str:
    return _MARK.sub("", value)


def without_mark(trace: RecoveryLookup | None, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A creator's arguments without a mark: only the row that they were read from has it."""
    name = None if trace is None else trace.mark
    value = arguments.get(name or "")
    return {**arguments, **({name: unmarked(value)} if name and isinstance(value, str) else {})}


def explained(
    client: Client,
    resource: Resource,
    create: PendingCreate | None,
    error: Error,
    on_orphan: OnOrphan,
    made: Row | None = None,
) -> Error:
    """The error of a write; if its outcome is unknown, with the rows that it may have made.

    ``made`` is the row that its answer names, where that lacks the secret.
    """
    outcome = None if create is None else create.outcome
    if create is None or outcome is None or outcome.state != "unknown":
        return error
    if made is not None:
        # Without a secret it may be the answer to anybody's question about a row of that name; but
        # what it repeats of the request was checked, and so was a mark.
        is_known = made.key in create.journal.known_keys() or made.key in create.intent.there
        search = _Search([made], is_proven=create.intent.mark is not None and not is_known)
        return _reported(client, resource, create, search, error, str(error), on_orphan)
    method = resource.methods[create.intent.method]
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
        with client.scoped(CancelScope(SEARCH_SECONDS)):
            search = _searched(client, resource, method, create)
    except (Error, OSError) as failure:
        reason = f"The account could not be searched for it: {failure}"
        return UnknownOutcomeError(f"{text}. {reason}. {_LATER}", cause=error)
    return _reported(client, resource, create, search, error, text, on_orphan)


def _searched(client: Client, resource: Resource, method: Method, create: PendingCreate) -> _Search:
    assert method.trace is not None  # noqa: S101 - asked only for such methods
    intent = create.intent
    rows = listed(client, resource, method.trace)
    clock = client.clock(method.server)
    since, server_at = earliest(CreateHistory(intent), clock), clock.earliest_ms()
    if intent.mark is not None:
        found = [row for row in proven(rows, intent) if not row.is_gone]
        # Somebody may have copied the name, mark and all.
        return _Search(found, is_proven=len(found) == 1, since=since, server_at=server_at)
    # The journal is read after the listing: whoever made a row of it has noted its answer before.
    found = candidates(rows, intent, since, create.journal.known_keys())
    return _Search(found, is_proven=False, since=since, server_at=server_at)


def _reported(
    client: Client,
    resource: Resource,
    create: PendingCreate,
    search: _Search,
    error: Error,
    text: str,
    on_orphan: OnOrphan,
) -> UnknownOutcomeError:
    """The error that names what was found, which is revoked if that was asked for and is proven."""
    keys = [row.key for row in search.rows]
    reason = client.redactor.mask(str(error))
    create.unknown(reason, keys, since=search.since, server_at=search.server_at)
    left = ""
    if on_orphan == "revoke" and keys and not search.is_proven:
        left = "It was not revoked, since nothing proves that it is yours (see --mark-names)"
    elif on_orphan == "revoke" and keys:
        try:
            with client.scoped(CancelScope(SEARCH_SECONDS)):
                for key in keys:
                    revoke(client, resource, key)
        except Error as failure:
            left = f"It could not be revoked ({str(failure).rstrip('.')})"
        else:
            create.settled("revoked")
            found = f"{text}. The request created {named(search.rows)}, which was revoked"
            return UnknownOutcomeError(
                found, cause=error, orphans=keys, is_proven=True, revoked=keys[0]
            )
    text = ". ".join(filter(None, (text, left, _advice(client, resource, create, search))))
    is_proven = search.is_proven and bool(keys)
    return UnknownOutcomeError(text, cause=error, orphans=keys, is_proven=is_proven)


def _advice(client: Client, resource: Resource, create: PendingCreate, search: _Search) -> str:
    values = " and ".join(f"{name} {value!r}" for name, value in create.intent.values.items())
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
    table = f"{client.provider.name}.{resource.full_name}"
    return f"DELETE FROM {table} WHERE {resource.key} = {literal(key)}"


def listed(client: Client, resource: Resource, trace: RecoveryLookup) -> list[Row]:
    """All rows of a resource, as far as creates can be found by them."""
    lister, shape = resource.lister, TableShape(resource)
    assert lister is not None  # noqa: S101 - the manifest has one wherever there is a trace
    gone = [] if resource.gone is None else [resource.gone]
    names = list(dict.fromkeys([resource.key, trace.since, *trace.matches, *gone]))
    columns = [shape.resource_column(name) for name in names]
    rows: list[Row] = []
    for keys, fields in listed_fields(client, shape, lister, {}, columns):
        client.doubts.tell(fields.doubts)
        table = {name: fields.arrays[name].to_pylist() for name in names}
        for position, stand_in in enumerate(keys):
            values = {name: column[position] for name, column in table.items()}
            in_doubt = None if fields.in_doubt is None else fields.in_doubt[position].as_py()
            values |= dict.fromkeys(in_doubt or (), _UNREAD)
            key, made_at = values[resource.key], values[trace.since]
            if key is _UNREAD:
                key = f"{_NO_KEY} {resource.key}, {stand_in[1:]})"
            chosen = {name: values[name] for name in trace.matches}
            # What can't be read may be there.
            is_gone = any(values[name] not in (None, _UNREAD) for name in gone)
            rows.append(Row(key, made_at if isinstance(made_at, int) else 0, chosen, is_gone))
    return rows


def proven(rows: Iterable[Row], intent: Intent) -> list[Row]:
    """The rows that a create surely made: those that end with its mark."""
    mark = intent.mark
    if mark is None:
        return []
    return [row for row in rows if any(str(value).endswith(mark) for value in row.values.values())]


def candidates(
    rows: Iterable[Row], intent: Intent, since: int | None, known: Collection[str]
) -> list[Row]:
    """The rows that a create may have made, as may anybody else.

    Nothing is found if the intent does not say what its row is like. None of its rows was made
    before ``since`` (from `earliest`), or has a key that other creates are ``known`` to have made.
    """
    if not intent.values:
        return []
    return [
        row
        for row in rows
        if not row.is_gone
        and all(_is_alike(value, row.values.get(name)) for name, value in intent.values.items())
        and (since is None or not row.made_at or row.made_at >= since)
        and row.key not in known
        and row.key not in intent.there
    ]


def _is_alike(asked: Any, shown: Any) -> bool:
    if shown is _UNREAD:
        return True
    are_texts = isinstance(asked, str) and isinstance(shown, str)
    return is_alike(asked, shown) if are_texts else bool(asked == shown)


def earliest(create: CreateHistory, clock: ServerClock) -> int | None:
    """The time at the server (ms since the epoch) before which no row of a create was made.

    It is known from a `Date` from before the create, or from one from now and how long ago the
    create was; None if neither is known. This machine's clock isn't compared with it.
    """
    moments = [each.since for each in create.unknowns if each.since is not None]
    if create.intent.server_at is not None:
        moments.append(create.intent.server_at - _SLACK_MS)
    elapsed, now = elapsed_ms(create.intent), clock.earliest_ms()
    if elapsed is not None and now is not None:
        moments.append(now - elapsed - _SLACK_MS)
    return min(moments, default=None)


def elapsed_ms(intent: Intent) -> int | None:
    """How long ago a create began, in milliseconds; None if this machine can't tell.

    Two of its clocks have to agree: one that can be set, and one that can't.
    """
    if intent.steady_at is None or intent.boot is None or intent.boot != boot_id():
        return None
    elapsed = steady_ms() - intent.steady_at
    is_plausible = elapsed >= 0 and abs(now_ms() - intent.at - elapsed) < _SLACK_MS
    return elapsed if is_plausible else None


def revoke(client: Client, resource: Resource, key: str) -> None:
    """Revokes a row, unless it is the calling credential's own; one that is gone is fine."""
    remover = resource.remover
    if remover is None:
        raise NotSupportedError(f"vercel.{resource.full_name} has no DELETE")
    if key.startswith(_NO_KEY):
        raise NotSupportedError(
            f"vercel.{resource.full_name}: a row is revoked by its {resource.key}, which can't be "
            "read here. Revoke it in Vercel's dashboard"
        )
    refuse_own_key(client, resource, [key])
    delete_row(client, build_request(remover, {remover.required[0].name: key}))


def named(rows: Sequence[Row], most: int = 5) -> str:
    """A few rows in words, and how many more there are."""
    text = ", ".join(map(str, rows[:most]))
    return text if len(rows) <= most else f"{text} and {len(rows) - most} more"


def in_words(milliseconds: int) -> str:
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"at {milliseconds} ms since the epoch"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
