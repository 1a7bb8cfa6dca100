"""What a write may do, what it is about to send, and what it gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from vercel_sql.errors import Error, NotApprovedError, ProgrammingError
from vercel_sql.http.client import Client
from vercel_sql.http.requests import Request
from vercel_sql.ledger.secrets_file import SecretsFile
from vercel_sql.manifest import Caution, Method
from vercel_sql.redaction.hidden import NotPicklable
from vercel_sql.writes.policy import Pace, WriteBudget, WritePolicy

if TYPE_CHECKING:
    import pyarrow as pa


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


@dataclass(frozen=True)
class Limits:
    """What the caller of a statement allows.

    Attributes:
        expect_rows: the number of rows that a write must change; None allows any.
        keeping: where secrets that are shown once are saved first, and what becomes of lost rows.
        rows_dropped: what drops the rows, in words; None where the caller is given them.
        approve: is told what a write is about to send, and says whether to go on; None allows all.
        allowance: how many writes the statement may still send.
        parallel_deletes: how many rows are deleted at a time.
        max_wait: how many seconds a write may wait for rate limits; None does not limit it.
    """

    expect_rows: int | None = None
    keeping: WritePolicy = field(default_factory=WritePolicy)
    rows_dropped: str | None = None
    approve: Callable[[Plan], bool] | None = None
    allowance: WriteBudget = field(default_factory=WriteBudget)
    parallel_deletes: int = 8
    max_wait: float | None = None

    @property
    def secrets_file(self) -> SecretsFile | None:
        """Where secrets that are shown once are saved first."""
        return self.keeping.secrets_file

    def refusal(self, what: str, pace: Pace, writes: int) -> Error | None:
        """The error where a statement's writes are too many or take too long."""
        return pace.refusal(what, self.max_wait) or self.allowance.refusal(what, writes)

    def take(self, what: str, pace: Pace, writes: int) -> None:
        """Allows a statement's writes, or none of them."""
        self.refuse_slow(what, pace)
        self.allowance.take(what, writes)

    def refuse_slow(self, what: str, pace: Pace) -> None:
        """Stops, as soon as their number is known, writes that would wait too long."""
        if refusal := pace.refusal(what, self.max_wait):
            raise refusal

    def require_approval(self, plan: Plan) -> None:
        """Stops, before the first request, a write that the caller does not approve."""
        if self.approve is not None and not self.approve(plan):
            raise NotApprovedError(f"{plan.what}: not approved. Nothing was changed")

    def refuse_dropped(self, method: Method, where: str) -> None:
        """Stops, before the first request, what would make a secret that nobody gets to see."""
        if self.rows_dropped is None or self.secrets_file is not None:
            return
        secret = ", ".join(column.name for column in method.returns if column.secret)
        if secret:
            raise ProgrammingError(
                f"{where}: {self.rows_dropped}, and {secret} is shown this once and never again. "
                "Use one INSERT … SELECT, or an execute of its own, or connect with "
                "secrets_file=…"
            )


@dataclass(frozen=True)
class Outcome(NotPicklable):
    """The result of one of our statements.

    Attributes:
        table: its rows.
        changed: how many rows it changed; None where it changed nothing by nature.
        secrets: the columns whose values are shown this once.
        written: the rows that it wrote or deleted, for an error that comes later.
        done: what tells these rows from others.
        only_counts: whether its rows are but the number of those that it changed.
    """

    table: pa.Table = field(repr=False)
    changed: int | None = None
    secrets: frozenset[str] = frozenset()
    written: pa.Table | None = field(default=None, repr=False)
    done: tuple[str, ...] = ()
    only_counts: bool = False


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
