"""What a write is about to send, in words: for whoever approves it, and for EXPLAIN."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from vercel_sql.api import Client, Request
from vercel_sql.manifest import Caution
from vercel_sql.writes.budget import Pace


@dataclass(frozen=True)
class Plan:
    """A write whose requests are known and of which none was sent.

    Attributes:
        what: the statement in a few words, such as ``DELETE FROM vercel.…``.
        count: how many requests it sends, each about one row.
        first: the first of the requests in words, secrets masked.
        rows: how many rows they are about, where it is not one each.
        writes: how many of them change something, where not all do.
        makes_secret: whether an answer shows a secret this once.
        caution: tells what it does that the requests do not show; empty if nothing. It may read
            from the API, so it is asked only where somebody gets to see it.
        pace: what rate limits do to it.
    """

    SHOWN: ClassVar[int] = 3

    what: str
    count: int
    first: tuple[str, ...]
    rows: int | None = None
    writes: int | None = None
    makes_secret: bool = False
    caution: Callable[[], str] = field(default=str, compare=False)
    pace: Pace = field(default_factory=Pace)


class Match(NamedTuple):
    """The row that a request is about.

    Attributes:
        text: the row as JSON text; None where there is none.
        caution: what its deletion does beside; None if nothing, or where nobody knows.
    """

    text: str | None
    caution: Caution | None = None


def warning(find: Callable[[], Sequence[Match]]) -> str:
    """How many rows of a deletion are to be cautious about, and why; empty if none."""
    matches = find()
    found = [match.caution for match in matches if match.caution is not None]
    if not found:
        return ""
    noun, effect = found[0].noun, found[0].effect
    if len(matches) == 1:
        return f"The row is a {noun}: {effect}"
    are = f"is a {noun}" if len(found) == 1 else f"are {noun}s"
    return f"{len(found)} of the {len(matches)} rows {are}: {effect}"


def in_words(client: Client, request: Request) -> str:
    """A request as the client will send it, in words; what the manifest calls secret is masked."""
    request = client.complete(request)
    query = "&".join(f"{name}={value}" for name, value in request.shown_query.items())
    text = f"{request.method.http} {request.path}" + (f"?{query}" if query else "")
    return f"{text} with {as_json(request.shown_body)}" if request.body else text


def as_json(values: Mapping[str, Any] | None) -> str | None:
    """Fields as JSON for people; None where there are none."""
    return json.dumps(values, ensure_ascii=False, default=str) if values else None
