"""A write that is ready to go: every request is known, and everything that can be checked was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from vercel_sql.errors import (
    APIError,
    DataError,
    Error,
    FailedWrite,
    PartialWriteError,
    RequestError,
    RowCountError,
    StatementCancelledError,
    UnknownOutcomeError,
)
from vercel_sql.http.client import Client
from vercel_sql.http.requests import Request
from vercel_sql.manifest import Resource
from vercel_sql.redaction.hidden import NotPicklable
from vercel_sql.runtime.scope import GRACE, AbandonedError
from vercel_sql.runtime.side_by_side import Ended, SideBySide
from vercel_sql.sql.parameters import Parameters
from vercel_sql.sql.plan import Limits, Match, Outcome, Plan, in_words, warning
from vercel_sql.sql.resolver import Target
from vercel_sql.writes.policy import Pace

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_Ended: TypeAlias = "tuple[list[Ended[pa.Table | None] | None], BaseException | None]"
"""How each request ended, None where it was not sent; and what stopped the statement, if known."""


@dataclass(frozen=True)
class Context(NotPicklable):
    """What one of our statements runs with.

    Attributes:
        con: the user's connection.
        target: the resource.
        parameters: the values of its placeholders.
        limits: what its caller allows.
        what: the statement in a few words, for errors.
    """

    con: duckdb.DuckDBPyConnection
    target: Target
    parameters: Parameters
    limits: Limits
    what: str

    @property
    def client(self) -> Client:
        """The HTTP client of the account."""
        return self.target.catalog.client

    @property
    def resource(self) -> Resource:
        """The resource itself."""
        return self.target.resource


@dataclass(frozen=True)
class Prepared(NotPicklable):
    """A write before its first request that changes something.

    Attributes:
        context: what the statement runs with.
        requests: what will be sent, in order.
        send: sends one of the requests; gives its rows, or None where it changed nothing.
        finish: makes the statement's result of all rows.
        rotate: sends all requests, which depend on each other and are about one row; None for any
            other write than a rotation.
        returns: whether the statement gives rows and not only their number.
        matches: finds for each request the row that it is about. It may read from the API, so it
            is asked only where somebody wants to see it.
        notes: what a request itself does not show, for each of them; empty if there is nothing.
        keys: what tells the rows of the requests apart; their numbers, where it is empty.
        keep: what an error gives of the rows that were carried out; all of them, where it is None.
        side_by_side: how many requests may be under way at a time, where their order is all the
            same; None sends one after the other.
        settle: finds out the outcome of a request that failed, where it is unknown; gives its
            rows, or raises the error to report.
    """

    context: Context
    requests: Sequence[Request]
    send: Callable[[int], pa.Table | None]
    finish: Callable[[list[pa.Table]], Outcome]
    rotate: Callable[[], pa.Table] | None = None
    returns: bool = True
    matches: Callable[[], Sequence[Match]] | None = None
    notes: Sequence[str | None] = ()
    keys: Sequence[str] = ()
    keep: Callable[[list[pa.Table]], pa.Table] | None = None
    side_by_side: int | None = None
    settle: Callable[[int, BaseException], pa.Table | None] | None = None

    @property
    def what(self) -> str:
        """The statement in a few words, for errors."""
        return self.context.what

    @property
    def write_count(self) -> int:
        """How many requests that change something it sends."""
        return sum(not each.method.reads for each in self.requests)

    def _refuse_other_count(self, expected: int | None) -> None:
        count = len(self.requests) if self.rotate is None else 1
        if expected is not None and count != expected:
            raise RowCountError(
                f"{self.what}: {_rows(count)} would be changed, and {expected} "
                f"{_were(expected)} expected. Nothing was changed"
            )

    def _plan(self, pace: Pace) -> Plan:
        """What is shown to whoever approves it: of a rotation all requests, else the first ones."""
        client, rotates = self.context.client, self.rotate is not None
        shown = self.requests if rotates else self.requests[: Plan.SHOWN]
        for secret in (secret for request in shown for secret in request.secrets):
            client.redactor.add(secret)
        words = [client.redactor.mask(in_words(client, request)) for request in shown]
        if rotates:
            both = zip(words, self.notes, strict=True)
            words = [f"{text} ({note})" if note else text for text, note in both]
        caution: Callable[[], str] = str
        if self.matches is not None and self.context.resource.caution is not None:
            find = self.matches
            # The last request of a rotation takes the old row away.
            caution = partial(warning, (lambda: find()[-1:]) if rotates else find)
        return Plan(
            self.what,
            len(self.requests),
            tuple(words),
            rows=1 if rotates else None,
            writes=self.write_count if rotates else None,
            makes_secret=any(request.method.makes_secret for request in self.requests),
            caution=caution,
            pace=pace,
        )

    def run(self, limits: Limits) -> Outcome:
        """Sends the requests, as many at a time as may be."""
        self._refuse_other_count(limits.expect_rows)
        pace = Pace.of(self.context.client, [each.method for each in self.requests])
        limits.take(self.what, pace, self.write_count)
        if limits.approve is not None and self.requests:  # what sends nothing is not asked about
            limits.require_approval(self._plan(pace))
        if self.rotate is not None:
            table = self.rotate()
            return replace(self.finish([table]), written=table)
        ended, cause = self._in_order() if self.side_by_side is None else self._side_by_side()
        tally = tally_of(self._names(), ended)
        if not tally.is_whole:
            raise self._stopped(tally, cause)
        outcome = self._finished(tally)
        if limits.expect_rows is not None and outcome.changed != limits.expect_rows:
            raise self._miscounted(outcome, tally, limits.expect_rows)
        interruption = self.context.client.current_scope.interruption
        if interruption is not None:
            # It came while the last was waited for. Its rows are given, and it is not forgotten.
            raise self._interrupted(outcome, tally, interruption)
        written = outcome.table if self.returns else self._kept(tally)
        return replace(outcome, written=written, done=tuple(tally.done))

    def _in_order(self) -> _Ended:
        """Sends one after the other, up to the first that fails."""
        from vercel_sql.writes.creates import carried_out

        client = self.context.client
        scope = client.current_scope
        ended: list[Ended[pa.Table | None] | None] = [None] * len(self.requests)
        for number in range(len(ended)):
            try:
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
            self.context.client.current_scope,
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
        """The error of the first row; of several, with which it was and the outcome of all."""
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
        error.args = (self.context.client.redactor.mask(str(error)),)
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
            f"{_were(expected)} expected; {gone} already deleted"
        )
        if not tally.done or not self.returns:
            return error
        # A RETURNING was asked to say which rows those were, so it still does.
        return tally.error(str(error), error, outcome.table)


def _rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


# How many of many are named in a message; the attributes of the error have them all.
_NAMED = 3


@dataclass
class Tally:
    """The rows of a write by their outcome, each kind in the statement's order.

    Attributes:
        count: how many rows there are.
        tables: what was written, a table for each row.
        done: what was carried out; as all that follow, by what tells a row from the others.
        missing: what was to go, and was gone already.
        failed: what was not carried out.
        unknown: what may have been carried out all the same.
        not_started: what was not sent.
    """

    count: int
    tables: list[pa.Table] = field(default_factory=list, repr=False)
    done: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    failed: list[FailedWrite] = field(default_factory=list)
    unknown: list[FailedWrite] = field(default_factory=list)
    not_started: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether all that there was to do is done."""
        return not (self.failed or self.unknown or self.not_started)

    def in_words(self) -> str:
        """What is left, and how many were carried out."""
        done = f"{len(self.done)} of {self.count} were carried out"
        if self.done:
            done += PartialWriteError.KEPT
        return ". ".join([*what_is_left(self), done])

    def error(self, text: str, cause: BaseException, table: pa.Table | None) -> PartialWriteError:
        """The error that tells of all rows."""
        return PartialWriteError(
            text,
            cause=cause,
            table=table,
            done=self.done,
            missing=self.missing,
            failed=self.failed,
            unknown=self.unknown,
            not_started=self.not_started,
        )


def tally_of(names: Sequence[str], ended: Sequence[Ended[pa.Table | None] | None]) -> Tally:
    """Sorts the rows of a write by their outcome."""
    tally = Tally(len(names))
    for name, end in zip(names, ended, strict=True):
        if end is None or _is_unsent(end.error):
            tally.not_started.append(name)
        elif end.error is not None:
            _add_failure(tally, name, end.error)
        elif end.result is None:
            tally.missing.append(name)
        else:
            tally.tables.append(end.result)
            tally.done.append(name)
    return tally


def _is_unsent(error: BaseException | None) -> bool:
    return isinstance(error, StatementCancelledError) and not isinstance(error, AbandonedError)


def _add_failure(tally: Tally, name: str, error: BaseException) -> None:
    if isinstance(error, PartialWriteError) and error.table is not None:
        # It was carried out and its row is kept; its error is reported all the same.
        tally.tables.append(error.table)
        tally.done.append(name)
        tally.failed.append(FailedWrite(name, error.cause))
    elif isinstance(error, AbandonedError):
        from vercel_sql.writes.creates import unknown_outcome

        tally.unknown.append(FailedWrite(name, unknown_outcome(error)))
    elif isinstance(error, UnknownOutcomeError) or (
        isinstance(error, RequestError | APIError) and error.outcome_unknown
    ):
        tally.unknown.append(FailedWrite(name, error))
    else:
        tally.failed.append(FailedWrite(name, error))


def what_is_left(of: Tally | PartialWriteError) -> list[str]:
    """What was not carried out and why, in sentences without their full stops."""
    parts = []
    if of.failed:
        told = [f"{each.row} failed: {_words(each.error)}" for each in of.failed[:_NAMED]]
        if len(of.failed) > _NAMED:
            told.append(f"{len(of.failed) - _NAMED} more failed")
        parts.append("; ".join(told))
    if len(of.unknown) == 1:
        # Its error says that it may have been carried out all the same, and what to do.
        parts.append(f"{of.unknown[0].row} failed: {_words(of.unknown[0].error)}")
    elif of.unknown:
        names, first = _named([each.row for each in of.unknown]), of.unknown[0].error
        parts.append(f"The outcome is unknown for {names}: {_words(first)}")
    if of.not_started:
        parts.append(f"Not started: {_named(of.not_started)}")
    if of.missing:
        parts.append(f"Already deleted: {_named(of.missing)}")
    return parts


def _words(error: BaseException) -> str:
    return (str(error) or type(error).__name__).rstrip(".")


def _named(names: Sequence[str]) -> str:
    """How many there are, and which; of many only the first."""
    shown = ", ".join(names[:_NAMED])
    more = len(names) - _NAMED
    return f"{len(names)} ({shown}{f' and {more} more' if more > 0 else ''})"
