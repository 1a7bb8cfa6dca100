"""Finds the rows that creates without an answer may have made: rows whose secret is lost."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from vercel_sql.api import Client, build_request, walk
from vercel_sql.api.journal import now_ms
from vercel_sql.api.journal_records import Intent, Story
from vercel_sql.api.proofs import is_alike
from vercel_sql.api.server_clock import ServerClock
from vercel_sql.api.steady_clock import boot_id, steady_ms
from vercel_sql.errors import NotSupportedError
from vercel_sql.manifest import Resource, Trace
from vercel_sql.tables.calls import refuse_own_key
from vercel_sql.tables.deleting import delete_row
from vercel_sql.tables.pages import field_reader, page_reader
from vercel_sql.tables.shape import TableShape

# By so many milliseconds a row may seem older than the create that made it: the server's `Date`
# and its rows may be told by machines of its own whose clocks differ.
_SLACK_MS = 60_000
_NO_KEY = "(unreadable"  # what is told in place of a key begins so


class _Unread:
    """What stands in place of a value that can't be read."""

    def __str__(self) -> str:
        return "(unreadable)"


_UNREAD = _Unread()


@dataclass(frozen=True)
class Row:
    """What has to be known of a row to say whether a create made it.

    Attributes:
        key: its key.
        made_at: when it was made, in milliseconds since the epoch by the server's clock; 0 where
            that can't be told.
        values: the columns that a create chooses; one that can't be read may be anything.
        is_gone: whether it counts as deleted, though it is still listed.
    """

    key: str
    made_at: int
    values: dict[str, Any] = field(default_factory=dict)
    is_gone: bool = False

    def __str__(self) -> str:
        return f"{self.key} (made {in_words(self.made_at)})" if self.made_at else self.key


def listed(client: Client, resource: Resource, trace: Trace) -> list[Row]:
    """All rows of a resource, as far as creates can be found by them.

    Raises:
        Error: it can't be listed to its end.
    """
    lister, shape = resource.lister, TableShape(resource)
    assert lister is not None  # noqa: S101 - the manifest has one wherever there is a trace
    gone = [] if resource.gone is None else [resource.gone]
    names = list(dict.fromkeys([resource.key, trace.since, *trace.matches, *gone]))
    read = field_reader(shape, lister, [shape.resource_column(name) for name in names])
    rows: list[Row] = []
    for page, fresh in walk(client, lister, {}, page_reader(shape, lister)):
        fields = read(page)
        client.doubts.tell(fields.doubts)
        columns = {name: fields.arrays[name].to_pylist() for name in names}
        for position in range(fields.count) if fresh is None else fresh:
            values = {name: column[position] for name, column in columns.items()}
            in_doubt = None if fields.in_doubt is None else fields.in_doubt[position].as_py()
            values |= dict.fromkeys(in_doubt or (), _UNREAD)
            rows.append(_row(resource, trace, values, page.keys[position]))
    return rows


def _row(resource: Resource, trace: Trace, values: dict[str, Any], stand_in: str) -> Row:
    key, made_at = values[resource.key], values[trace.since]
    if key is _UNREAD:
        key = f"{_NO_KEY} {resource.key}, {stand_in[1:]})"
    chosen = {name: values[name] for name in trace.matches}
    # What can't be read may be there.
    is_gone = resource.gone is not None and values[resource.gone] not in (None, _UNREAD)
    return Row(key, made_at if isinstance(made_at, int) else 0, chosen, is_gone)


def proven(rows: Iterable[Row], intent: Intent) -> list[Row]:
    """The rows that a create surely made: those that end with its mark (see `marks`)."""
    mark = intent.mark
    return [row for row in rows if mark and any(_ends(v, mark) for v in row.values.values())]


def _ends(value: Any, mark: str) -> bool:
    return isinstance(value, str) and value.endswith(mark)


def candidates(
    rows: Iterable[Row], intent: Intent, since: int | None, known: Collection[str]
) -> list[Row]:
    """The rows that a create may have made, as may anybody else.

    Args:
        rows: those that there are.
        intent: the create; nothing is found where it does not say what its row is like.
        since: the time at the server before which none of its rows was made, from `earliest`.
        known: the keys of rows that other creates are known to have made.
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


def earliest(story: Story, clock: ServerClock) -> int | None:
    """The time at the server (ms since the epoch) before which no row of a create was made.

    The server tells it, by a `Date` from before the create, or by one from now and how long ago
    the create was. No moment of this machine's clock is compared with it. None where neither is
    known.
    """
    told = [each.since for each in story.unknowns if each.since is not None]
    if story.intent.server_at is not None:
        told.append(story.intent.server_at - _SLACK_MS)
    elapsed, now = elapsed_ms(story.intent), clock.earliest_ms()
    if elapsed is not None and now is not None:
        told.append(now - elapsed - _SLACK_MS)
    return min(told, default=None)


def elapsed_ms(intent: Intent) -> int | None:
    """How long ago a create began, in milliseconds; None where this machine can't tell.

    Two of its clocks have to agree about it: one that may be set, and one that may not.
    """
    if intent.steady_at is None or intent.boot is None or intent.boot != boot_id():
        return None
    elapsed = steady_ms() - intent.steady_at
    is_plausible = elapsed >= 0 and abs(now_ms() - intent.at - elapsed) < _SLACK_MS
    return elapsed if is_plausible else None


def value_at(content: Any, path: Iterable[str]) -> Any:
    """What stands at a path in decoded JSON; None where nothing does."""
    for name in path:
        content = content.get(name) if isinstance(content, dict) else None
    return content


def revoke(client: Client, resource: Resource, key: str) -> None:
    """Revokes a row; one that is gone already is fine.

    Raises:
        ProgrammingError: it is the calling credential's own.
        Error: it could not be done.
    """
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
    """A few rows for people, and how many more there are."""
    text = ", ".join(map(str, rows[:most]))
    return text if len(rows) <= most else f"{text} and {len(rows) - most} more"


def in_words(milliseconds: int) -> str:
    """A moment for people."""
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"at {milliseconds} ms since the epoch"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
