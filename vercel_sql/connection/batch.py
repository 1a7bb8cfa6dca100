"""The runs of one script with many sets of parameters, as ``executemany`` has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vercel_sql.errors import Error, PartialWriteError, TooManyWritesError
from vercel_sql.sql import Statement
from vercel_sql.sql.plan import Outcome
from vercel_sql.tables.allowance import SETTING, Allowance, Pace

if TYPE_CHECKING:
    import pyarrow as pa


class Batch:
    """What all runs together may send, and what they have written so far.

    Args:
        max_writes: how many writes they may send altogether; None allows any number.
        max_wait: how many seconds they may wait for rate limits; None does not limit it.

    Attributes:
        allowance: what they may still send.
        statements: the script, once it was read.
    """

    DROPPED: ClassVar = "executemany drops the rows"

    def __init__(self, max_writes: int | None, max_wait: float | None) -> None:
        self.allowance = Allowance(max_writes)
        self._max_wait = max_wait
        self.statements: list[Statement] | None = None
        self._tables: list[pa.Table] = []
        self._done: list[str] = []
        self._runs = 0

    def refuse_too_many(self, sets: int, each: int, pace: Pace) -> None:
        """Stops, before the first, what may send too many writes; nothing is taken yet.

        Args:
            sets: how many sets of parameters there are.
            each: how many writes the script sends for one of them, if each statement is about a
                row.
            pace: what rate limits do to all of these.

        Raises:
            TooManyWritesError: it would send too many.
            WaitTooLongError: they would wait too long.
        """
        if refusal := pace.refusal("executemany", self._max_wait):
            raise refusal
        most, count = self.allowance.most, sets * each
        if most is not None and count > most:
            raise TooManyWritesError(
                f"executemany: {sets} sets of parameters would send {count} writes, if each sends "
                f"{each}, and {SETTING} allows {most}. Nothing was sent. If you mean it, raise "
                f"{SETTING} to {count} or more",
                writes=count,
                limit=most,
            )

    def note(self, outcome: Outcome) -> None:
        """Keeps what a statement has written, for an error that may come later."""
        if outcome.written is not None and outcome.changed:
            self._tables.append(outcome.written)
            self._done += outcome.done

    def run_is_over(self) -> None:
        """Counts a run that went well."""
        self._runs += 1

    def error(self, error: Error | KeyboardInterrupt) -> BaseException:
        """The error for a run that failed, with what the runs before it have written."""
        if not self._tables:
            return error
        partly = error if isinstance(error, PartialWriteError) else None
        tables, done = list(self._tables), list(self._done)
        if partly is not None and partly.table is not None:
            tables.append(partly.table)
            done += partly.done
        # A script may have several statements, which need not give the same columns.
        import pyarrow as pa

        table = pa.concat_tables(tables, promote_options="default")
        reason = (str(error) or type(error).__name__).removesuffix(PartialWriteError.KEPT)
        return PartialWriteError(
            f"executemany: set {self._runs + 1} of the parameters failed: {reason.rstrip('.')}. "
            f"{len(table)} rows were carried out altogether{PartialWriteError.KEPT}",
            cause=error if partly is None else partly.cause,
            columns=table.column_names,
            rows=list(zip(*(column.to_pylist() for column in table.columns), strict=True)),
            table=table,
            done=done,
            missing=partly.missing if partly else (),
            failed=partly.failed if partly else (),
            unknown=partly.unknown if partly else (),
            not_started=partly.not_started if partly else (),
        )
