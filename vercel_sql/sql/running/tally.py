"""What became of the requests of a write: the outcome of each, and how to tell of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vercel_sql.api.cancel_scope import AbandonedError
from vercel_sql.api.side_by_side import Ended
from vercel_sql.errors import (
    APIError,
    FailedWrite,
    PartialWriteError,
    RequestError,
    StatementCancelledError,
    UnknownOutcomeError,
)

if TYPE_CHECKING:
    import pyarrow as pa

# How many of many are named in a message; the attributes of the error have them all.
_NAMED = 3


@dataclass
class Tally:
    """The rows of a write by what became of them, each kind in the statement's order.

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
        """The error that tells of all rows.

        Args:
            text: the message.
            cause: what stopped the statement.
            table: the rows that were carried out, as the caller is given them.
        """
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
    """Sorts the rows of a write by what became of them.

    Args:
        names: what tells each row from the others.
        ended: how the request of each ended: None where it was not sent; without a table, it
            changed nothing.
    """
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
        # It was carried out, and its row is not lost; what is wrong with it is told all the same.
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
        parts.append(f"Whether it was carried out is unknown of {names}: {_words(first)}")
    if of.not_started:
        parts.append(f"Not started: {_named(of.not_started)}")
    if of.missing:
        parts.append(f"Gone already: {_named(of.missing)}")
    return parts


def _words(error: BaseException) -> str:
    return (str(error) or type(error).__name__).rstrip(".")


def _named(names: Sequence[str]) -> str:
    """How many there are, and which; of many only the first."""
    shown = ", ".join(names[:_NAMED])
    more = len(names) - _NAMED
    return f"{len(names)} ({shown}{f' and {more} more' if more > 0 else ''})"
