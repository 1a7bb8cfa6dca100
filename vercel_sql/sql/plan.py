"""A write: what it may do, what it is about to send, and what came of each of its rows."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

from vercel_sql.errors import (
    APIError,
    DataError,
    Error,
    FailedWrite,
    NotApprovedError,
    PartialWriteError,
    ProgrammingError,
    RequestError,
    RowCountError,
    StatementCancelledError,
    UnknownOutcomeError,
)
from vercel_sql.redaction.known import NotPicklable
from vercel_sql.runtime.scope import GRACE, AbandonedError
from vercel_sql.runtime.side_by_side import Ended, SideBySide
from vercel_sql.writes.policy import Pace, WriteBudget, WritePolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import duckdb
    import pyarrow as pa

    from vercel_sql.http.client import Client
    from vercel_sql.http.requests import Request
    from vercel_sql.manifest import Caution, Method, Resource
    from vercel_sql.sql.engine import Target
    from vercel_sql.sql.parameters import Parameters

_Ended: TypeAlias = "tuple[list[Ended[pa.Table | None] | None], BaseException | None]"
"""How each request ended, None where it was not sent; and what stopped the statement, if known."""
_NAMED = 3
"""How many of many are named in a message; the attributes of the error have them all."""


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

    def refuse_slow(self, what: str, pace: Pace) -> None:
        """Stops, as soon as their number is known, writes that would wait too long."""
        if refusal := pace.refusal(what, self.max_wait):
            raise refusal

    def refuse_dropped(self, method: Method, where: str) -> None:
        """Stops, before the first request, what would make a secret that nobody gets to see."""
        if self.rows_dropped is None or self.keeping.secrets_file is not None:
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
        return self.target.catalog.client

    @property
    def resource(self) -> Resource:
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
        return self.context.what

    @property
    def write_count(self) -> int:
        return sum(not each.method.reads for each in self.requests)

    @property
    def pace(self) -> Pace:
        return Pace.of(self.context.client, [each.method for each in self.requests])

    def run(self, limits: Limits) -> Outcome:
        """Sends the requests, as many at a time as may be."""
        expected, count = limits.expect_rows, 1 if self.rotate is not None else len(self.requests)
        if expected is not None and count != expected:
            rows = "1 row" if count == 1 else f"{count} rows"
            text = f"{rows} would be changed, and {_were(expected)} expected"
            raise RowCountError(f"{self.what}: {text}. Nothing was changed")
        pace = self.pace
        limits.refuse_slow(self.what, pace)
        limits.allowance.take(self.what, self.write_count)
        # What sends nothing is not asked about.
        if limits.approve and self.requests and not limits.approve(self._plan(pace)):
            raise NotApprovedError(f"{self.what}: not approved. Nothing was changed")
        if self.rotate is not None:
            table = self.rotate()
            return replace(self.finish([table]), written=table)
        ended, cause = self._in_order() if self.side_by_side is None else self._side_by_side()
        tally = Tally(self, ended)
        if tally.failed or tally.unknown or tally.not_started:
            raise self._stopped(tally, cause)
        outcome = self._finished(tally)
        if expected is not None and outcome.changed != expected:
            raise self._miscounted(outcome, tally, expected)
        table = outcome.table if self.returns else tally.kept()
        interruption = self.context.client.current_scope.interruption
        if interruption is not None:
            # It came while the last was waited for. Its rows are given, and it is not forgotten.
            if not tally.done:
                raise interruption
            text = f"{self.what}: it was interrupted. {tally.in_words()}"
            raise tally.error(text, interruption, table)
        return replace(outcome, written=table, done=tuple(tally.done))

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
        return Plan(
            self.what,
            len(self.requests),
            tuple(words),
            rows=1 if rotates else None,
            writes=self.write_count if rotates else None,
            makes_secret=any(request.method.makes_secret for request in self.requests),
            caution=self._caution,
            pace=pace,
        )

    def _caution(self) -> str:
        """How many rows of a deletion are to be cautious about, and why; empty if none."""
        if self.matches is None or self.context.resource.caution is None:
            return ""
        # The last request of a rotation takes the old row away.
        matches = self.matches()[-1:] if self.rotate is not None else self.matches()
        found = [match.caution for match in matches if match.caution is not None]
        if not found:
            return ""
        noun, effect = found[0].noun, found[0].effect
        if len(matches) == 1:
            return f"The row is a {noun}: {effect}"
        are = f"is a {noun}" if len(found) == 1 else f"are {noun}s"
        return f"{len(found)} of the {len(matches)} rows {are}: {effect}"

    def _in_order(self) -> _Ended:
        """Sends one after the other, up to the first that fails."""
        from vercel_sql.writes.creates import carried_out

        client = self.context.client
        scope = client.current_scope
        ended: list[Ended[pa.Table | None] | None] = [None] * len(self.requests)
        for number, request in enumerate(self.requests):
            try:
                sent = carried_out(client, partial(self.send, number), request.method)
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

    def _stopped(self, tally: Tally, cause: BaseException | None) -> BaseException:
        """The error for a write of which something is left."""
        if isinstance(cause, PartialWriteError):
            cause = cause.cause
        cause = cause or StatementCancelledError("it was interrupted")
        reason = str(cause) or "it was interrupted"
        wrong = [*tally.failed, *tally.unknown]
        if not tally.done and not wrong:
            error = cause if isinstance(cause, StatementCancelledError) else None
            error = error or StatementCancelledError()
            error.args = (f"{self.what}: {reason}. Nothing was changed",)
            error.nothing_changed = True
            return error
        if not tally.done and (self.side_by_side is None or tally.count == 1):
            first = wrong[0].error
            if tally.count > 1 and isinstance(first, Error):
                first.args = (f"{self.what}: {'. '.join(what_is_left(tally))}",)
            return first
        told = isinstance(cause, KeyboardInterrupt | StatementCancelledError) or not wrong
        text = f"{self.what}: {f'{reason}. ' if told else ''}{tally.in_words()}"
        return tally.error(text, cause, tally.kept())

    def _finished(self, tally: Tally) -> Outcome:
        import duckdb

        try:
            return self.finish(tally.tables)
        except Exception as error:
            # The requests are carried out: whatever fails now, their rows are not lost.
            cause = error
            if isinstance(error, duckdb.Error):
                # What it cites may be secrets.
                error.args = (self.context.client.redactor.mask(str(error)),)
                cause = DataError(str(error))
            text = f"{self.what}: the result could not be made: {cause}. {tally.in_words()}"
            raise tally.error(text, cause, tally.kept()) from None

    def _miscounted(
        self, outcome: Outcome, tally: Tally, expected: int
    ) -> RowCountError | PartialWriteError:
        changed = outcome.changed or 0
        gone = "the other was" if tally.count - changed == 1 else "the others were"
        text = f"{_were(changed, ' row')} changed, and {_were(expected)} expected"
        error = RowCountError(f"{self.what}: {text}; {gone} already deleted")
        if not tally.done or not self.returns:
            return error
        # A RETURNING was asked to say which rows those were, so it still does.
        return tally.error(str(error), error, outcome.table)


def _were(count: int, rows: str = "") -> str:
    return f"{count}{rows} was" if count == 1 else f"{count}{rows and f'{rows}s'} were"


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

    def __init__(self, write: Prepared, ended: Sequence[Ended[pa.Table | None] | None]) -> None:
        self._keep = write.keep
        self.count = count = len(ended)
        self.tables: list[pa.Table] = []
        self.done: list[str] = []
        self.missing: list[str] = []
        self.failed: list[FailedWrite] = []
        self.unknown: list[FailedWrite] = []
        self.not_started: list[str] = []
        names = write.keys or [f"row {number} of {count}" for number in range(1, count + 1)]
        for name, end in zip(names, ended, strict=True):
            self._add(name, end)

    def _add(self, name: str, end: Ended[pa.Table | None] | None) -> None:
        error = end.error if end is not None else StatementCancelledError()
        if isinstance(error, PartialWriteError) and error.table is not None:
            # It was carried out and its row is kept; its error is reported all the same.
            self.tables.append(error.table)
            self.done.append(name)
            self.failed.append(FailedWrite(name, error.cause))
        elif isinstance(error, AbandonedError):
            from vercel_sql.writes.creates import unknown_outcome

            self.unknown.append(FailedWrite(name, unknown_outcome(error)))
        elif isinstance(error, StatementCancelledError):
            self.not_started.append(name)
        elif error is not None:
            may_be_done = isinstance(error, UnknownOutcomeError) or (
                isinstance(error, RequestError | APIError) and error.outcome_unknown
            )
            failures = self.unknown if may_be_done else self.failed
            failures.append(FailedWrite(name, error))
        elif end is None or end.result is None:
            self.missing.append(name)
        else:
            self.tables.append(end.result)
            self.done.append(name)

    def in_words(self) -> str:
        """What is left, and how many were carried out."""
        done = f"{len(self.done)} of {self.count} were carried out"
        if self.done:
            done += PartialWriteError.KEPT
        return ". ".join([*what_is_left(self), done])

    def kept(self) -> pa.Table | None:
        """The rows that were carried out, as an error gives them."""
        if not self.tables:
            return None
        # Of a row with something wrong, all that is known is given: its secret may be in no file.
        is_sound = not {each.row for each in self.failed} & set(self.done)
        if self._keep is not None and is_sound:
            return self._keep(self.tables)
        import pyarrow as pa

        return pa.concat_tables(self.tables)

    def error(self, text: str, cause: BaseException, table: pa.Table | None) -> PartialWriteError:
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


def in_words(client: Client, request: Request) -> str:
    """A request as the client will send it, in words; what the manifest calls secret is masked."""
    request = client.complete(request)
    query = "&".join(f"{name}={value}" for name, value in request.shown_query.items())
    text = f"{request.method.http} {request.path}" + (f"?{query}" if query else "")
    return f"{text} with {as_json(request.shown_body)}" if request.body else text


def as_json(values: Mapping[str, Any] | None) -> str | None:
    """Fields as readable JSON; None where there are none."""
    return json.dumps(values, ensure_ascii=False, default=str) if values else None
