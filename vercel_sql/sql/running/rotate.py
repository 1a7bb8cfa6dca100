"""EXEC of a rotation: its requests are known before the first write, and go out one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import duckdb

from vercel_sql.api import Request
from vercel_sql.errors import NotApprovedError, RowCountError
from vercel_sql.manifest import Method
from vercel_sql.sql.running.delete import looked_up
from vercel_sql.sql.running.plan import Match, Plan, in_words, warning
from vercel_sql.sql.running.prepared import Limits, Outcome
from vercel_sql.sql.running.resolve import Target
from vercel_sql.writes.budget import Pace
from vercel_sql.writes.rotation import Rotation


@dataclass(frozen=True)
class PreparedRotation:
    """A rotation before its first write: the old row was read.

    Attributes:
        what: the statement in a few words, for errors.
        target: the resource.
        method: the manifest's method.
        rotation: what is carried out.
        find: looks the old row up, as its deletion would show it.
    """

    what: str
    target: Target
    method: Method
    rotation: Rotation
    find: Callable[[], Sequence[Match]]

    @property
    def requests(self) -> Sequence[Request]:
        """What will be sent, in order."""
        return self.rotation.requests

    @property
    def write_count(self) -> int:
        """How many of them change something."""
        return sum(not each.method.reads for each in self.requests)

    @property
    def matches(self) -> Callable[[], Sequence[Match]]:
        """Finds for each request the row that it is about: the last one takes the old row away."""
        others = [Match(None)] * (len(self.requests) - 1)
        return lambda: [*others, *self.find()]

    @property
    def notes(self) -> Sequence[str | None]:
        """What a request itself does not show, for each of them."""
        return self.rotation.notes

    def run(self, limits: Limits) -> Outcome:
        """Carries it out; see `Rotation.run`.

        Raises:
            RowCountError: another number of rows than one was expected.
            TooManyWritesError: its two writes are more than the statement may send.
            WaitTooLongError: they would wait too long for rate limits.
            NotApprovedError: the caller did not approve it.
            Error: as for `Rotation.run`.
        """
        if limits.expect_rows not in (None, 1):
            raise RowCountError(
                f"{self.what}: 1 row would be changed, and {limits.expect_rows} were expected. "
                "Nothing was changed"
            )
        pace = Pace.of(self.target.catalog.client, [each.method for each in self.requests])
        limits.take(self.what, pace, self.write_count)
        self._refuse_unapproved(limits.approve, pace)
        secrets = frozenset(column.name for column in self.method.returns if column.secret)
        table = self.rotation.run()
        return Outcome(table, 1, secrets, written=table)

    def _refuse_unapproved(self, approve: Callable[[Plan], bool] | None, pace: Pace) -> None:
        if approve is None:
            return
        client = self.target.catalog.client
        shown = [client.redactor.mask(in_words(client, each)) for each in self.requests]
        told = tuple(
            f"{text} ({note})" if note else text
            for text, note in zip(shown, self.notes, strict=True)
        )
        plan = Plan(
            self.what,
            len(told),
            told,
            rows=1,
            writes=self.write_count,
            makes_secret=True,
            caution=partial(warning, self.find),
            pace=pace,
        )
        if not approve(plan):
            raise NotApprovedError(f"{self.what}: not approved. Nothing was changed")


def prepare_rotation(
    con: duckdb.DuckDBPyConnection,
    target: Target,
    method: Method,
    arguments: dict[str, Any],
    limits: Limits,
    where: str,
) -> PreparedRotation:
    """A rotation up to its first write.

    Raises:
        Error: as for `Rotation`.
    """
    resource = target.resource
    called = [each for each in (resource.creator, resource.remover) if each is not None]
    limits.refuse_slow(where, Pace.of(target.catalog.client, called))
    rotation = Rotation(
        target.catalog.client,
        target.resource,
        method,
        arguments,
        limits.keeping,
        where=where,
        table=target.full_name,
    )
    find = partial(looked_up, con, target, [rotation.old.key], means_itself=False)
    return PreparedRotation(where, target, method, rotation, find)
