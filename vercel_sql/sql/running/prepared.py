"""A write that is ready to go: every request is known, and everything that can be checked was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from vercel_sql.api import Request, SecretsFile
from vercel_sql.api.cancel_scope import GRACE
from vercel_sql.api.redaction.unpickled import HoldsSecrets
from vercel_sql.api.side_by_side import Ended, SideBySide
from vercel_sql.errors import (
    DataError,
    Error,
    NotApprovedError,
    PartialWriteError,
    ProgrammingError,
    RowCountError,
    StatementCancelledError,
)
from vercel_sql.manifest import Method
from vercel_sql.sql.running.plan import Match, Plan, in_words, warning
from vercel_sql.sql.running.resolve import Target
from vercel_sql.sql.running.tally import Tally, tally_of, what_is_left
from vercel_sql.writes.budget import Pace, WriteBudget
from vercel_sql.writes.policy import WritePolicy

if TYPE_CHECKING:
    import pyarrow as pa

_Ended: TypeAlias = "tuple[list[Ended[pa.Table | None] | None], BaseException | None]"
"""How each request ended, None where it was not sent; and what stopped the statement, if known."""


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
        """The error where a statement's writes are too many or take too long; None if they do not.

        Args:
            what: the statement in a few words, for the error.
            pace: what rate limits do to them.
            writes: how many there are.
        """
        return pace.refusal(what, self.max_wait) or self.allowance.refusal(what, writes)

    def take(self, what: str, pace: Pace, writes: int) -> None:
        """Allows a statement's writes, or none of them.

        Raises:
            WaitTooLongError: they would wait too long for rate limits.
            TooManyWritesError: these are more than the statement may send.
        """
        self.refuse_slow(what, pace)
        self.allowance.take(what, writes)

    def refuse_slow(self, what: str, pace: Pace) -> None:
        """Stops, as soon as their number is known, writes that would wait too long.

        Raises:
            WaitTooLongError: they would.
        """
        if refusal := pace.refusal(what, self.max_wait):
            raise refusal

    def refuse_dropped(self, method: Method, where: str) -> None:
        """Stops, before the first request, what would make a secret that nobody gets to see.

        Raises:
            ProgrammingError: the method's answer has a secret, and it is neither given nor saved.
        """
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
class Outcome(HoldsSecrets):
    """What a statement of ours gives.

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
        matches: finds for each request the row that it is about. It may read from the API, so it
            is asked only where somebody wants to see it.
        notes: what a request itself does not show, for each of them; empty if there is nothing.
        keys: what tells the rows of the requests apart; their numbers, where it is empty.
        keep: what an error gives of the rows that were carried out; all of them, where it is None.
        side_by_side: how many requests may be under way at a time, where their order is all the
            same; None sends one after the other.
        settle: finds out what came of a request that failed, where that is open; gives its rows,
            or raises what is to be told.
    """

    what: str
    target: Target
    requests: Sequence[Request]
    send: Callable[[int], pa.Table | None]
    finish: Callable[[list[pa.Table]], Outcome]
    returns: bool = True
    matches: Callable[[], Sequence[Match]] | None = None
    notes: Sequence[str | None] = ()
    keys: Sequence[str] = ()
    keep: Callable[[list[pa.Table]], pa.Table] | None = None
    side_by_side: int | None = None
    settle: Callable[[int, BaseException], pa.Table | None] | None = None

    @property
    def write_count(self) -> int:
        """How many requests that change something it sends."""
        return len(self.requests)

    def refuse_other_count(self, expected: int | None) -> None:
        """Stops, before the first request, a write to another number of rows than expected.

        Raises:
            RowCountError: there are more or fewer.
        """
        if expected is not None and len(self.requests) != expected:
            raise RowCountError(
                f"{self.what}: {_rows(len(self.requests))} would be changed, and {expected} "
                f"{_were(expected)} expected. Nothing was changed"
            )

    def refuse_unapproved(self, approve: Callable[[Plan], bool] | None, pace: Pace) -> None:
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
        is_secret = any(request.method.makes_secret for request in self.requests)
        caution: Callable[[], str] = str
        if self.matches is not None and self.target.resource.caution is not None:
            caution = partial(warning, self.matches)
        plan = Plan(
            self.what,
            len(self.requests),
            first,
            makes_secret=is_secret,
            caution=caution,
            pace=pace,
        )
        if not approve(plan):
            raise NotApprovedError(f"{self.what}: not approved. Nothing was changed")

    def run(self, limits: Limits) -> Outcome:
        """Sends the requests, as many at a time as may be.

        Raises:
            TooManyWritesError: these are more than the statement may send.
            WaitTooLongError: they would wait too long for rate limits.
            NotApprovedError: the caller did not approve it.
            PartialWriteError: a request failed after others were carried out, or one of several
                that run side by side.
            RowCountError: another number of rows was changed than expected.
            Error: what went wrong where nothing was carried out.
        """
        self.refuse_other_count(limits.expect_rows)
        pace = Pace.of(self.target.catalog.client, [each.method for each in self.requests])
        limits.take(self.what, pace, self.write_count)
        self.refuse_unapproved(limits.approve, pace)
        ended, cause = self._in_order() if self.side_by_side is None else self._side_by_side()
        tally = tally_of(self._names(), ended)
        if not tally.is_whole:
            raise self._stopped(tally, cause)
        outcome = self._finished(tally)
        if limits.expect_rows is not None and outcome.changed != limits.expect_rows:
            raise self._miscounted(outcome, tally, limits.expect_rows)
        interruption = self.target.catalog.client.current_scope.interruption
        if interruption is not None:
            # It came while the last was waited for. Its rows are given, and it is not forgotten.
            raise self._interrupted(outcome, tally, interruption)
        written = outcome.table if self.returns else self._kept(tally)
        return replace(outcome, written=written, done=tuple(tally.done))

    def _in_order(self) -> _Ended:
        """Sends one after the other, up to the first that fails."""
        client = self.target.catalog.client
        scope = client.current_scope
        ended: list[Ended[pa.Table | None] | None] = [None] * len(self.requests)
        for number in range(len(ended)):
            try:
                from vercel_sql.writes.creates import carried_out

                sent = carried_out(client, partial(self.send, number), self.requests[number].method)
                ended[number] = Ended(sent)
            except (Exception, KeyboardInterrupt) as error:
                ended[number] = Ended(error=error)
                return ended, error
            if scope.is_cancelled:
                break
        return ended, scope.interruption

    def _side_by_side(self) -> _Ended:
        """Sends several at a time, and begins no more once one failed."""
        sending = SideBySide(
            self.target.catalog.client,
            self.send,
            len(self.requests),
            most=self.side_by_side or 1,
            grace=GRACE,
            settle=self.settle,
        )
        return sending.run(), sending.stopped_by

    def _names(self) -> Sequence[str]:
        count = len(self.requests)
        return self.keys or [f"row {number} of {count}" for number in range(1, count + 1)]

    def _stopped(self, tally: Tally, cause: BaseException | None) -> BaseException:
        """The error for a write of which something is left."""
        if isinstance(cause, PartialWriteError):
            cause = cause.cause
        cause = cause or StatementCancelledError("it was interrupted")
        wrong = [*tally.failed, *tally.unknown]
        if not tally.done and not wrong:
            return self._unsent(cause)
        if not tally.done and (self.side_by_side is None or tally.count == 1):
            return self._first_failed(tally, wrong[0].error)
        told = isinstance(cause, KeyboardInterrupt | StatementCancelledError) or not wrong
        reason = f"{str(cause) or 'it was interrupted'}. " if told else ""
        return tally.error(f"{self.what}: {reason}{tally.in_words()}", cause, self._kept(tally))

    def _unsent(self, cause: BaseException) -> StatementCancelledError:
        """The error for a write that was stopped before any of it was carried out."""
        error = cause if isinstance(cause, StatementCancelledError) else StatementCancelledError()
        error.args = (f"{self.what}: {str(cause) or 'it was interrupted'}. Nothing was changed",)
        error.nothing_changed = True
        return error

    def _first_failed(self, tally: Tally, error: BaseException) -> BaseException:
        """The error of the first row; of several, it says which it was and what became of all."""
        if tally.count > 1 and isinstance(error, Error):
            error.args = (f"{self.what}: {'. '.join(what_is_left(tally))}",)
        return error

    def _kept(self, tally: Tally) -> pa.Table | None:
        """The rows that were carried out, as an error gives them."""
        if not tally.tables:
            return None
        # Of a row with something wrong, all that is known is given: its secret may be in no file.
        is_sound = not {each.row for each in tally.failed} & set(tally.done)
        if self.keep is None or not is_sound:
            import pyarrow as pa

            return pa.concat_tables(tally.tables)
        return self.keep(tally.tables)

    def _finished(self, tally: Tally) -> Outcome:
        try:
            return self.finish(tally.tables)
        except Exception as error:
            # The requests are carried out: whatever fails now, their rows are not lost.
            cause = self._masked(error)
            text = f"{self.what}: the result could not be made: {cause}. {tally.in_words()}"
            raise tally.error(text, cause, self._kept(tally)) from None

    def _masked(self, error: Exception) -> Exception:
        """The error; DuckDB's without the values in it, which may be secrets."""
        import duckdb

        if not isinstance(error, duckdb.Error):
            return error
        error.args = (self.target.catalog.client.redactor.mask(str(error)),)
        return DataError(str(error))

    def _interrupted(
        self, outcome: Outcome, tally: Tally, interruption: KeyboardInterrupt
    ) -> BaseException:
        if not tally.done:
            return interruption
        table = outcome.table if self.returns else self._kept(tally)
        text = f"{self.what}: it was interrupted. {tally.in_words()}"
        return tally.error(text, interruption, table)

    def _miscounted(
        self, outcome: Outcome, tally: Tally, expected: int
    ) -> RowCountError | PartialWriteError:
        changed = outcome.changed or 0
        gone = "the other was" if tally.count - changed == 1 else "the others were"
        error = RowCountError(
            f"{self.what}: {_rows(changed)} {_were(changed)} changed, and {expected} "
            f"{_were(expected)} expected; {gone} gone already"
        )
        if not tally.done or not self.returns:
            return error
        # A RETURNING was asked to say which rows those were, so it still does.
        return tally.error(str(error), error, outcome.table)


def _rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
