"""Looks for the rows that creates without an answer may have left: rows whose secret is lost."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from vercel_sql.api import Client, build_request, walk
from vercel_sql.api.journal import LATEST_MS
from vercel_sql.api.journal_records import Intent
from vercel_sql.api.secrets_file import answers_in
from vercel_sql.api.server_clock import ServerClock
from vercel_sql.errors import NotSupportedError
from vercel_sql.manifest import Method, Resource, Trace
from vercel_sql.tables.calls import refuse_own_key, require_answer, send_or_missing
from vercel_sql.tables.pages import page_reader, rows_at
from vercel_sql.tables.shape import TableShape


@dataclass(frozen=True)
class Row:
    """What has to be known of a row to say whether it came of a create.

    Attributes:
        key: its key.
        made_at: when it was made, in milliseconds since the epoch by the server's clock.
        values: the columns that a create chooses.
    """

    key: str
    made_at: int
    values: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.key} (made {in_words(self.made_at)})"


def listed(client: Client, resource: Resource, trace: Trace) -> list[Row]:
    """All rows of a resource, as far as creates can be found by them.

    Raises:
        Error: it can't be listed to its end.
    """
    lister = resource.lister
    assert lister is not None  # noqa: S101 - the manifest has one wherever there is a trace
    rows: list[Row] = []
    for page, fresh in walk(client, lister, {}, page_reader(TableShape(resource), lister)):
        found = rows_at(page.answer, lister.rows)
        of_page = found if fresh is None else [found[position] for position in fresh]
        rows += [row for row in (_row(resource, trace, each) for each in of_page) if row]
    return rows


def _row(resource: Resource, trace: Trace, fields: dict[str, Any]) -> Row | None:
    key, made_at = fields.get(resource.key), fields.get(trace.since)
    if not isinstance(key, str) or not isinstance(made_at, int):
        return None
    return Row(key, made_at, {name: fields.get(name) for name in trace.matches})


def candidates(
    rows: Iterable[Row],
    intent: Intent,
    clock: ServerClock,
    known: Collection[str],
    ended_at: int | None = None,
) -> list[Row]:
    """The rows that may have come of a create, and not from any other that is known.

    Args:
        rows: those that there are.
        intent: the create; nothing is found where it does not say what its row is like.
        clock: the server's.
        known: the keys of rows that came of something else, beside those that the create knew.
        ended_at: when it was given up, in milliseconds since the epoch by this machine's clock.
    """
    if not intent.values:
        return []
    begun = clock.earliest(intent.at)
    since = begun if intent.server_at is None else min(begun, intent.server_at)
    known = {*known, *intent.there}
    last = max(clock.at(ended_at or intent.at), intent.server_at or 0)
    until = last + round(clock.uncertainty * 1000) + LATEST_MS
    return [
        row
        for row in rows
        if row.values == intent.values and since <= row.made_at <= until and row.key not in known
    ]


def saved_keys(path: str | None, method: Method) -> set[str]:
    """The keys of the rows whose secrets are in a file."""
    if path is None or method.trace is None:
        return set()
    needed = [c.name for c in method.returns if c.secret and c.stored and not c.optional]
    whole = (
        line
        for line in answers_in(path, method)
        if all(isinstance(line.get(name), str) for name in needed)
    )
    found = (value_at(line, method.trace.key) for line in whole)
    return {key for key in found if isinstance(key, str)}


def value_at(content: Any, path: Iterable[str]) -> Any:
    """What stands at a path in decoded JSON; None where nothing does."""
    for name in path:
        content = content.get(name) if isinstance(content, dict) else None
    return content


def revoke(client: Client, resource: Resource, key: str) -> None:
    """Takes a row away; one that is gone already is fine.

    Raises:
        ProgrammingError: it is the calling credential's own.
        Error: it could not be done.
    """
    remover = resource.remover
    if remover is None:
        raise NotSupportedError(f"vercel.{resource.full_name} has no DELETE")
    refuse_own_key(client, resource, [key])
    answer = send_or_missing(client, build_request(remover, {remover.required[0].name: key}))
    if answer is not None:
        require_answer(remover, answer)


def in_words(milliseconds: int) -> str:
    """A moment for people."""
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"at {milliseconds} ms since the epoch"
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
