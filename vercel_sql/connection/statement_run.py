"""A script as statements, what its runs share, and one statement from its start to its last row."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, ClassVar

import duckdb
from duckdb import DuckDBPyConnection

from vercel_sql.errors import Error, PartialWriteError, TooManyWritesError
from vercel_sql.runtime.signals import StatementInterrupt
from vercel_sql.sql import Native, Parameters, Statement, Write, check, parse
from vercel_sql.sql.engine import Plain
from vercel_sql.writes.policy import SETTING, Pace, WriteBudget

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from vercel_sql.connection.live_catalog import Attachment
    from vercel_sql.runtime.scope import CancelScope
    from vercel_sql.sql.plan import Outcome

_READS_WHOLE = duckdb.__version__.startswith("1.")
"""Whether DuckDB finds what is wrong with a later statement before the first one runs."""
# Seconds until DuckDB is interrupted again, doubled each time: it forgets an interrupt that comes
# just before it begins to compute.
_AGAIN = 0.25


class StatementRun(StatementInterrupt):
    """The run of one statement, and a context in which a Ctrl-C ends it."""

    def __init__(
        self, scope: CancelScope, attachment: Attachment, native: DuckDBPyConnection
    ) -> None:
        super().__init__(scope)
        # Whether no row is still to be computed or requested.
        self.is_computed = True
        self._attachment = attachment
        self._native = native
        self._is_under_way = False
        self._lock = threading.Lock()
        # Set when DuckDB does not work on it any more; None before it begins.
        self._ended: threading.Event | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Runs until its last row was read, or until it has failed."""
        self._is_under_way = True
        self._attachment.begin(self.scope)
        try:
            with self:
                yield
        except BaseException:
            self._leave()
            raise
        if self.is_computed:
            self._leave()

    def end(self) -> None:
        """Its last row was read."""
        if self._is_under_way:
            self.is_computed = True
            self._leave()

    def _leave(self) -> None:
        self._is_under_way = False
        self._attachment.end()

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """Interrupts DuckDB, which works on it, when its scope is over; never afterwards."""
        ended = self._ended = threading.Event()
        left = self.scope.remaining()
        timer = None if left is None else threading.Timer(left, self._stop_until, [ended])
        if timer is not None:
            timer.name, timer.daemon = "vercel-sql-timeout", True
            timer.start()
        if self.scope.is_cancelled:
            self.stop()
        try:
            yield
        except (RuntimeError, KeyboardInterrupt):
            # A signal that Python met on its way; DuckDB goes on with what it has begun.
            with suppress(duckdb.Error):
                self._native.interrupt()
            raise
        finally:
            with self._lock:
                ended.set()
            if timer is not None:
                timer.cancel()

    def stop(self) -> None:
        """Interrupts DuckDB if it works on the statement: its scope was cancelled."""
        if self._ended is not None and not self._ended.is_set():
            act, name = self._stop_until, "vercel-sql-stop"
            threading.Thread(target=act, args=[self._ended], name=name, daemon=True).start()

    def _stop_until(self, ended: threading.Event) -> None:
        pause = _AGAIN
        while True:
            with self._lock:
                if ended.is_set():
                    return
                with suppress(duckdb.Error):
                    self._native.interrupt()
            ended.wait(pause)
            pause *= 2

    def cancel(self) -> None:
        """Ends it, from another thread; if it has ended, what runs beside our statements."""
        if self._is_under_way:
            self.scope.cancel()
        if (client := self._attachment.used_client) is not None:
            client.interrupt_idle()
        if self.scope.is_cancelled:
            self.stop()


class Scripts:
    """Reads scripts into statements; those that are DuckDB's alone are passed on unread."""

    def __init__(self, native: DuckDBPyConnection, catalog: Attachment) -> None:
        self._native = native
        self._catalog = catalog
        self._plain = Plain([catalog.name])
        self._knows_names = False

    def read(
        self, text: str, parameters: Parameters, batch: Batch | None, timeout: float | None
    ) -> Sequence[Statement]:
        """The statements of a script; one that is DuckDB's alone may be a single one."""
        if not len(parameters) and batch is None:
            # With a timeout, each statement has its own; and one that fails since a table was not
            # made yet is run again.
            is_made = bool(self._catalog.made) and not self._catalog.missing
            plain = self._names().read(text, whole=is_made and timeout is None)
            if plain is not None:
                return [plain]
        is_new = batch is None or batch.statements is None
        statements = batch.statements if batch and batch.statements is not None else parse(text)
        if batch is not None:
            batch.statements = statements
        check(statements, parameters)
        is_script = is_new and len(statements) > 1
        if _READS_WHOLE and is_script and all(map(_is_duckdb_s, statements)):
            self._native.extract_statements(text)
        return statements

    def _names(self) -> Plain:
        """What tells the texts in which nothing is ours.

        Until a service was made, nothing in it can be named without the catalog, except by what a
        database has kept, such as a view: DuckDB's error about that has the tables made.
        """
        if self._catalog.made and not self._knows_names:
            services = self._catalog.manifest.provider.services.values()
            self._plain = Plain({self._catalog.name}.union(*services))
            self._knows_names = True
        return self._plain


def _is_duckdb_s(statement: Statement) -> bool:
    """Whether DuckDB can read a statement as it is written."""
    is_read = isinstance(statement, Native) or (
        isinstance(statement, Write) and statement.malformed is None
    )
    return is_read and not statement.fragment.placeholders


class Batch:
    """What all runs of a script together may send, and what they have written so far."""

    DROPPED: ClassVar = "executemany drops the rows"

    def __init__(self, max_writes: int | None, max_wait: float | None) -> None:
        self.allowance = WriteBudget(max_writes)
        self._max_wait = max_wait
        self.statements: Sequence[Statement] | None = None
        self._tables: list[pa.Table] = []
        self._done: list[str] = []
        self.runs = 0

    def refuse_too_many(self, sets: int, each: int, pace: Pace) -> None:
        """Refuses, before the first run, what may send too many writes."""
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

    def error(self, error: Error | KeyboardInterrupt) -> BaseException:
        """The error for a run that failed, with what the runs before it have written."""
        if not self._tables:
            return error
        partly = (
            error if isinstance(error, PartialWriteError) else PartialWriteError("", cause=error)
        )
        tables = [*self._tables, *([] if partly.table is None else [partly.table])]
        import pyarrow as pa

        # A script may have several statements, which need not give the same columns.
        table = pa.concat_tables(tables, promote_options="default")
        reason = (str(error) or type(error).__name__).removesuffix(PartialWriteError.KEPT)
        return PartialWriteError(
            f"executemany: set {self.runs + 1} of the parameters failed: {reason.rstrip('.')}. "
            f"{len(table)} rows were carried out altogether{PartialWriteError.KEPT}",
            cause=partly.cause,
            table=table,
            done=[*self._done, *partly.done],
            missing=partly.missing,
            failed=partly.failed,
            unknown=partly.unknown,
            not_started=partly.not_started,
        )
