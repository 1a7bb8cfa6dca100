"""A write that is ready to go: every request is known, and everything that can be checked was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import duckdb
import pyarrow as pa

from vercel_sql.api import Request, SecretsFile
from vercel_sql.api.redaction.unpickled import HoldsSecrets
from vercel_sql.errors import (
    DataError,
    NotApprovedError,
    PartialWriteError,
    ProgrammingError,
    RowCountError,
    StatementCancelledError,
)
from vercel_sql.manifest import Method
from vercel_sql.sql.running.plan import Plan, in_words
from vercel_sql.sql.running.resolve import Target
from vercel_sql.tables.writing import Keeping, carried_out, kept_rows


@dataclass(frozen=True)
class Limits:
    """What the caller of a statement allows.

    Attributes:
        expect_rows: the number of rows that a write must change; None allows any.
        keeping: where secrets that are shown once are saved first, and what becomes of lost rows.
        rows_kept: whether the caller is given the rows; ``executemany`` drops them.
        approve: is told what a write is about to send, and says whether to go on; None allows all.
        max_writes: how many writes a statement may send at most; None allows any number.
    """

    expect_rows: int | None = None
    keeping: Keeping = field(default_factory=Keeping)
    rows_kept: bool = True
    approve: Callable[[Plan], bool] | None = None
    max_writes: int | None = None

    @property
    def secrets_file(self) -> SecretsFile | None:
        """Where secrets that are shown once are saved first."""
        return self.keeping.secrets_file

    def refuse_dropped(self, method: Method, where: str) -> None:
        """Stops, before the first request, what would make a secret that nobody gets to see.

        Raises:
            ProgrammingError: the method's answer has a secret, and it is neither given nor saved.
        """
        if self.rows_kept or self.secrets_file is not None:
            return
        secret = ", ".join(column.name for column in method.returns if column.secret)
        if secret:
            raise ProgrammingError(
                f"{where}: executemany drops the rows, and {secret} is shown this once and never "
                "again. Use one INSERT … SELECT, or execute in a loop, or connect with "
                "secrets_file=…"
            )


@dataclass(frozen=True)
class Outcome(HoldsSecrets):
    """What a statement of ours gives.

    Attributes:
        table: its rows.
        changed: how many rows it changed; None where it changed nothing by nature.
        secrets: the columns whose values are shown this once.
    """

    table: pa.Table = field(repr=False)
    changed: int | None = None
    secrets: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Prepared(HoldsSecrets):
    """A write before its first request that changes something.

    Attributes:
        what: the statement in a few words, for errors.
        target: the resource.
        requests: what will be sent, in order.
        send: sends one of the requests; gives its rows, or None where it changed nothing.
        finish: makes the statement's result of all rows.
        returns: whether the statement gives rows and not only their number.
        matches: finds for each request the row that it is about, as JSON text; None where there
            is none. It may read from the API, so it is asked only where somebody wants to see it.
    """

    what: str
    target: Target
    requests: Sequence[Request]
    send: Callable[[int], pa.Table | None]
    finish: Callable[[list[pa.Table]], Outcome]
    returns: bool = True
    matches: Callable[[], Sequence[str | None]] | None = None

    def refuse_other_count(self, expected: int | None) -> None:
        """Stops, before the first request, a write to another number of rows than expected.

        Raises:
            RowCountError: there are more or fewer.
        """
        if expected is not None and len(self.requests) != expected:
            raise RowCountError(
                f"{self.what}: {len(self.requests)} rows would be changed, and {expected} "
                f"{'was' if expected == 1 else 'were'} expected. Nothing was changed"
            )

    def refuse_unapproved(self, approve: Callable[[Plan], bool] | None) -> None:
        """Stops, before the first request, a write that the caller does not approve.

        What sends nothing is not asked about.

        Raises:
            NotApprovedError: the answer was no.
        """
        if approve is None or not self.requests:
            return
        client = self.target.catalog.client
        shown = self.requests[: Plan.SHOWN]
        for secret in (secret for request in shown for secret in request.secrets):
            client.redactor.add(secret)
        first = tuple(client.redactor.mask(in_words(client, request)) for request in shown)
        if not approve(Plan(self.what, len(self.requests), first)):
            raise NotApprovedError(f"{self.what}: not approved. Nothing was changed")

    def run(self, limits: Limits) -> Outcome:
        """Sends the requests one after the other.

        Raises:
            NotApprovedError: the caller did not approve it.
            PartialWriteError: a request failed after others were carried out.
            RowCountError: another number of rows was changed than expected.
        """
        self.refuse_other_count(limits.expect_rows)
        self.refuse_unapproved(limits.approve)
        client = self.target.catalog.client
        scope = client.current_scope
        done: list[pa.Table] = []
        for number in range(len(self.requests)):
            try:
                rows = carried_out(client, partial(self.send, number), self.requests[number].method)
            except PartialWriteError as error:
                if error.table is not None:
                    done.append(error.table)
                raise self._partial(done, number, error.cause) from None
            except (Exception, KeyboardInterrupt) as error:
                if not done:
                    raise
                raise self._partial(done, number, error) from None
            if rows is not None:
                done.append(rows)
            if scope.is_cancelled and number + 1 < len(self.requests):
                cause = scope.interruption or StatementCancelledError("it was interrupted")
                raise self._error(done, "it was interrupted", cause) if done else cause
        outcome = self._finished(done)
        if limits.expect_rows is not None and outcome.changed != limits.expect_rows:
            raise self._miscounted(outcome, done, limits.expect_rows)
        return outcome

    def _finished(self, done: list[pa.Table]) -> Outcome:
        try:
            return self.finish(done)
        except Exception as error:
            # The requests are carried out: whatever fails now, their rows are not lost.
            cause = self._masked(error)
            raise self._error(done, f"the result could not be made: {cause}", cause) from None

    def _masked(self, error: Exception) -> Exception:
        """The error; DuckDB's without the values in it, which may be secrets."""
        if not isinstance(error, duckdb.Error):
            return error
        error.args = (self.target.catalog.client.redactor.mask(str(error)),)
        return DataError(str(error))

    def _partial(
        self, done: list[pa.Table], number: int, error: BaseException
    ) -> PartialWriteError:
        reason = str(error) or type(error).__name__
        count = len(self.requests)
        return self._error(done, f"row {number + 1} of {count} failed: {reason}", error)

    def _error(self, done: list[pa.Table], reason: str, error: BaseException) -> PartialWriteError:
        count = sum(len(rows) for rows in done)
        return kept_rows(
            f"{self.what}: {reason}. {count} of {len(self.requests)} were carried out before, "
            "and are kept in this error",
            error,
            pa.concat_tables(done) if done else None,
        )

    def _miscounted(
        self, outcome: Outcome, done: list[pa.Table], expected: int
    ) -> RowCountError | PartialWriteError:
        error = RowCountError(
            f"{self.what}: {outcome.changed} rows were changed, and {expected} "
            f"{'was' if expected == 1 else 'were'} expected; the others were gone already"
        )
        # A RETURNING was asked to say which rows those were, so it still does.
        return kept_rows(str(error), error, outcome.table) if done and self.returns else error
