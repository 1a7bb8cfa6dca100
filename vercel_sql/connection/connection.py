"""A DuckDB connection in which the whole dialect works (PEP 249)."""

from __future__ import annotations

import threading
import weakref
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import duckdb
from duckdb import DuckDBPyConnection

from vercel_sql import errors
from vercel_sql.connection.cursor import Cursor, Result, ResultView, Values, abort, counted, wrapped
from vercel_sql.connection.live_catalog import Attachment, closed_at_its_end
from vercel_sql.connection.statement_run import Batch, Scripts, StatementRun
from vercel_sql.connection.translate import translated
from vercel_sql.errors import InterfaceError, PartialWriteError
from vercel_sql.redaction.known import NotPicklable, SecretText
from vercel_sql.runtime.scope import CancelScope, LimitWaits, checked_seconds
from vercel_sql.sql import NO_PARAMETERS, Explain, Parameters, Statement, check, parse
from vercel_sql.sql.engine import Engine, NativeQuery
from vercel_sql.sql.plan import Limits, Outcome, Plan
from vercel_sql.sql.queries import Copies, as_caller, for_caller
from vercel_sql.writes.policy import Pace, WriteBudget, WritePolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from vercel_sql.http.client import Client
    from vercel_sql.http.events import RequestEvent

_DROPPED = "a script drops the rows of all its statements but the last"


class Connection(NotPicklable):
    """A DuckDB connection with an account of Vercel's in it.

    It is in autocommit: every statement takes effect at once. Threads may not share it.

    Attributes:
        native: the DuckDB connection as it is: what no statement has named so far is not in it.
            `duckdb` is for tools that ask for one.
        expect_rows: the number of rows that every INSERT, DELETE and writing EXEC must change;
            None allows any.
        approve: is told what each INSERT, DELETE and writing EXEC is about to send, before its
            first request, and says whether to go on; where it gives False, the statement ends
            with a `NotApprovedError`. None allows all.
        max_writes: how many writes a statement may send at most; None allows any number.
        parallel_deletes: how many rows a DELETE takes away at a time.
        max_wait: how many seconds a statement may wait for rate limits; None does not limit it.
    """

    # PEP 249's optional extension: the exceptions as attributes of the connection.
    Warning = errors.Warning
    Error = errors.Error
    InterfaceError = errors.InterfaceError
    DatabaseError = errors.DatabaseError
    DataError = errors.DataError
    OperationalError = errors.OperationalError
    IntegrityError = errors.IntegrityError
    InternalError = errors.InternalError
    ProgrammingError = errors.ProgrammingError
    NotSupportedError = errors.NotSupportedError

    def __init__(
        self,
        native: DuckDBPyConnection,
        attachment: Attachment,
        *,
        expect_rows: int | None,
        max_writes: int | None,
        parallel_deletes: int,
        timeout: float | None,
        max_wait: float | None,
        policy: WritePolicy,
    ) -> None:
        self.native = native
        self.expect_rows = expect_rows
        self.max_writes = max_writes
        self.parallel_deletes = parallel_deletes
        self.timeout = timeout
        self.max_wait = max_wait
        self.approve: Callable[[Plan], bool] | None = None
        self._attachment = attachment
        self._catalogs = [attachment]
        self._is_complete = False
        self._engine = Engine(native, self._catalogs)
        self._scripts = Scripts(native, attachment)
        self._policy = policy
        self._active: weakref.ref[Result] | None = None
        self._lock = threading.RLock()
        self._closed = False
        self._view = ResultView(native)
        self._current = StatementRun(CancelScope(), attachment, native)
        self._statement = SecretText("")
        self._parameters = NO_PARAMETERS
        self._own = Result()
        self._copies = Copies()
        self._dropped = closed_at_its_end(self, native)

    def __repr__(self) -> str:
        state = "closed" if self._closed else repr(self._attachment.client)
        return f"<vercel_sql.Connection: {state}>"

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def client(self) -> Client:
        """The HTTP client that makes the calls."""
        return self._attachment.client

    def mask(self, text: str) -> str:
        """The text without the secrets that the calls have shown so far."""
        client = self._attachment.used_client
        return text if client is None else client.redactor.mask(text)

    @property
    def timeout(self) -> float | None:
        """How many seconds a statement may take altogether; None does not limit it."""
        return self._timeout

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        self._timeout = None if seconds is None else checked_seconds("timeout", seconds)

    @property
    def duckdb(self) -> DuckDBPyConnection:
        """The DuckDB connection itself, for tools that ask for one.

        On it the live tables and read functions work; the statements of this dialect do not. What
        no statement has named so far is made now, which takes a moment the first time.
        """
        self._dropped.detach()  # whoever has it may use it when this is gone
        with self._lock, translated(self._catalogs):
            self._attachment.end()
            if not self._closed and not self._is_complete:
                self._free_for(Result())
                self._is_complete = True
                self._engine.load_all()
        return self.native

    def cursor(self) -> Cursor:
        """A new cursor, which shares this connection's session."""
        self._check_open()
        return Cursor(self)

    def execute(self, operation: str, parameters: Values = None) -> Cursor:
        """Runs a script on a new cursor and gives the cursor; see `Cursor.execute`."""
        parameters, hidden = wrapped(parameters), SecretText(operation)
        del operation
        return self._new_own()._execute(hidden, parameters)

    def sql(self, query: str, params: Values = None) -> Cursor:
        """The same as `execute`, by the name that DuckDB's users know."""
        params, hidden = wrapped(params), SecretText(query)
        del query
        return self._new_own()._execute(hidden, params)

    def executemany(self, operation: str, seq_of_parameters: Iterable[Values]) -> Cursor:
        """Runs a script once for each set of parameters; see `Cursor.executemany`."""
        hidden, each = SecretText(operation), map(wrapped, seq_of_parameters)
        sets = counted(seq_of_parameters)
        del operation, seq_of_parameters
        return self._new_own()._executemany(hidden, each, sets)

    def _new_own(self) -> Cursor:
        cursor = self.cursor()
        self._own = cursor._held
        return cursor

    @property
    def _own_cursor(self) -> Cursor:
        # Not kept: it would keep the connection.
        return Cursor(self, self._own)

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row of the last `execute`."""
        return self._own_cursor.fetchone()

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """The next rows of the last `execute`."""
        return self._own_cursor.fetchmany(size)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The rows that are left of the last `execute`."""
        return self._own_cursor.fetchall()

    @property
    def description(self) -> Any:
        """The columns of the last `execute`."""
        return self._own_cursor.description

    def df(self) -> pd.DataFrame:
        """The rows that are left of the last `execute` as a pandas DataFrame."""
        return self._own_cursor.df()

    def pl(self) -> pl.DataFrame:
        """The rows that are left of the last `execute` as a polars DataFrame."""
        return self._own_cursor.pl()

    def arrow(self) -> pa.Table:
        """The rows that are left of the last `execute` as a pyarrow Table."""
        return self._own_cursor.arrow()

    def run(
        self, statements: Sequence[Statement], parameters: Parameters
    ) -> Iterator[tuple[Statement, Cursor]]:
        """Runs statements one after the other and gives each with a cursor on its result.

        What `vercel_sql.sql.parse` gave is checked as a whole before the first one runs: a
        placeholder without a value, or a parameter that nothing uses, is an error here already.
        A statement runs when it is asked for, and its rows are there until the next one.

        Raises:
            Error: as for `Cursor.execute`; the statements that follow are not run.
        """
        self._check_open()
        check(statements, parameters)
        return self._each(statements, parameters)

    def _each(
        self, statements: Sequence[Statement], parameters: Parameters
    ) -> Iterator[tuple[Statement, Cursor]]:
        for statement in statements:
            cursor = self.cursor()
            with self._lock:
                self._free_for(cursor._held)
                self._run(cursor._held, statement, parameters)
            yield statement, cursor

    def commit(self) -> None:
        """Does nothing outside a transaction (autocommit); inside one, commits it."""
        self._end_transaction("COMMIT")

    def rollback(self) -> None:
        """Does nothing outside a transaction (autocommit); inside one, rolls it back.

        What was written to the API stays written: it is refused inside transactions.
        """
        self._end_transaction("ROLLBACK")

    def interrupt(self) -> None:
        """Stops the running statement from another thread, at once: in a request too.

        A write that was sent gets a moment, since its answer can't be asked for again.
        """
        self._check_open()
        self._current.cancel()

    def adopt(self, access_token: str, team_id: str | None = None) -> None:
        """Makes the calls with another token from now on, such as that of a code exchange.

        Args:
            access_token: the token.
            team_id: the team that the exchange named. An integration that is installed on a team
                has to name it in every call, and so it is added as ``teamId``.

        Raises:
            ParameterError: the token has characters that no token has.
        """
        from vercel_sql.auth import given_credential

        self.client.adopt(given_credential(access_token, "adopted token", team_id))

    def observed(self, observer: Callable[[RequestEvent], None]) -> AbstractContextManager[None]:
        """Tells an observer of every request that is sent while the context lasts."""
        return self.client.observed(observer)

    def close(self) -> None:
        """Closes the connection, its cursors and its HTTP connections."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._dropped.detach()
            self._view.close()
            self.native.close()
            self._attachment.leave()

    def _run_script(
        self,
        result: Result,
        operation: SecretText,
        parameters: Parameters,
        batch: Batch | None = None,
    ) -> None:
        self._check_open()
        with self._lock, for_caller():
            self._free_for(result)
            with translated(self._catalogs, operation.value, parameters):
                statements = self._scripts.read(operation.value, parameters, batch, self.timeout)
            for statement in statements:
                if statement is not statements[0]:
                    self._free_for(result)
                self._run(result, statement, parameters, batch, statement is statements[-1])

    @contextmanager
    def _batch(self, operation: SecretText, sets: int | None) -> Iterator[Batch]:
        """What many runs of a script share; if one fails, its error has what the others wrote."""
        self._check_open()
        batch = Batch(self.max_writes, self.max_wait)
        if sets is not None:
            with self._lock, translated(self._catalogs, operation.value):
                writes = [each for s in parse(operation.value) for each in self._engine.writes(s)]
            batch.refuse_too_many(sets, len(writes), Pace.of(self.client, writes, sets))
        try:
            yield batch
        except (errors.Error, KeyboardInterrupt) as error:
            with translated(self._catalogs):
                raise batch.error(error) from None

    def _run(
        self,
        result: Result,
        statement: Statement,
        parameters: Parameters,
        batch: Batch | None = None,
        is_last: bool = True,
    ) -> None:
        # The time of the statement runs until its last row was read.
        scope = CancelScope(self.timeout, LimitWaits(self.max_wait))
        self._current = run = StatementRun(scope, self._attachment, self.native)
        self._statement, self._parameters = SecretText(statement.text), parameters
        with run.running(), self._translated(), self._attachment.acting():
            with run.stoppable():
                limits = self._limits(statement, batch, is_last)
                ran = self._engine.run(statement, parameters, limits)
                if isinstance(ran, NativeQuery):
                    self._run_native(ran, statement, parameters)
                    if isinstance(statement, Explain):
                        result.take_rows(self._masked_plan(statement.text, parameters))
                    else:
                        result.take(self.native, statement)
            if isinstance(ran, Outcome):
                if batch is not None:
                    batch.note(ran)
                self._give(result, ran)

    def _limits(self, statement: Statement, batch: Batch | None, is_last: bool) -> Limits:
        dropped = None if is_last or isinstance(statement, Explain) else _DROPPED
        return Limits(
            self.expect_rows,
            self._policy,
            rows_dropped=dropped if batch is None else batch.DROPPED,
            approve=None if self.approve is None else self._approved,
            allowance=WriteBudget(self.max_writes) if batch is None else batch.allowance,
            parallel_deletes=self.parallel_deletes,
            max_wait=self.max_wait,
        )

    def _approved(self, plan: Plan) -> bool:
        with self._current.asking():  # a Ctrl-C answers the question
            return self.approve is None or self.approve(plan)

    def _give(self, result: Result, outcome: Outcome) -> None:
        """Puts a result of ours into DuckDB, so that it is fetched like any other."""
        try:
            lent = self._lend(outcome.table)
            self._current.check()
        except (Exception, KeyboardInterrupt) as error:
            if outcome.changed is None:
                raise
            stopped = isinstance(error, KeyboardInterrupt)
            reason = "then interrupted" if stopped else f"DuckDB did not take its rows: {error}"
            raise PartialWriteError(
                f"the statement was carried out, and {reason}. Its rows are kept in this error",
                cause=error,
                table=outcome.table,
            ) from None
        result.take_outcome(lent, outcome)

    def _lend(self, table: pa.Table) -> DuckDBPyConnection:
        self._current.is_computed = True
        return self._view.register(table)

    def _run_native(self, query: NativeQuery, statement: Statement, parameters: Parameters) -> None:
        self._current.is_computed = False

        def execute(query: NativeQuery) -> None:
            run = partial(self.native.execute, query.text, query.values or None)
            as_caller(query.text, run)

        with self._copies.nothing_left(statement.fragment):
            try:
                execute(query)
            except (duckdb.CatalogException, duckdb.BinderException) as error:
                # A name may stand for a table that was not made yet; nothing ran.
                if not self._engine.load_missing(error):
                    raise
                execute(self._engine.native(statement, parameters))

    def _masked_plan(self, statement: str, parameters: Parameters) -> DuckDBPyConnection:
        """Takes secrets out of DuckDB's plan, which repeats literals and values."""
        import pyarrow as pa

        from vercel_sql.sql.masking import mask_plan

        described = self.native.description or []
        rows = self.native.fetchall()
        texts = [[mask_plan(str(each), statement, parameters) for each in row] for row in rows]
        columns = {str(each[0]): [row[at] for row in texts] for at, each in enumerate(described)}
        return self._lend(pa.table(columns))

    @contextmanager
    def _using(self, result: Result, count: int | None = None) -> Iterator[None]:
        """Lets so many rows of a result be read, or all, with errors as this package's."""
        self._check_open()
        try:
            with self._lock, self._reading(result, count):
                yield
        except Exception as error:
            unread = result.unread(error)
            if unread is error:
                raise
            raise unread from None

    @contextmanager
    def _reading(self, result: Result, count: int | None = None) -> Iterator[None]:
        """Lets rows be read; those that DuckDB still has to compute, only while there is time."""
        run = self._current
        was_native = result.reads_natively
        if run.is_computed or not was_native or result.has_ready(count):
            with self._translated():
                yield
        else:
            with run, self._translated(), run.stoppable():
                run.scope.check()
                yield
        if was_native and not result.reads_natively:
            run.end()

    def _translated(self) -> translated:
        """Raises errors as this package's; they may be about the statement that ran last."""
        return translated(self._catalogs, self._statement.value, self._parameters)

    def _free_for(self, result: Result) -> None:
        """Makes a result the one that DuckDB is to hold; another's rows are set aside."""
        active = self._active() if self._active is not None else None
        if active is not None and active is not result:
            try:
                with self._reading(active):
                    active.park()
            except Exception as error:  # of Python's too: it has not all values of DuckDB
                active.fail(active.unread(error))
        result.clear()
        self._active = weakref.ref(result)
        abort(self.native)
        self._view.unregister()

    def _end_transaction(self, word: str) -> None:
        self._check_open()
        with self._lock, translated(self._catalogs):
            self._free_for(Result())
            try:
                self.native.execute(word)
            except duckdb.TransactionException as error:
                if "no transaction is active" not in str(error):
                    raise

    def _check_open(self) -> None:
        if self._closed:
            raise InterfaceError("the connection is closed")
