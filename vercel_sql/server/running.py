"""The function through which clients run statements that DuckDB itself does not know."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
from duckdb import sqltypes
from duckdb.func import FunctionNullHandling

from vercel_sql.api.cancel_scope import CancelScope, LimitWaits
from vercel_sql.connection import Attachment
from vercel_sql.connection.translate import translated
from vercel_sql.errors import (
    Error,
    InterfaceError,
    OperationalError,
    ParameterError,
    PartialWriteError,
    ProgrammingError,
)
from vercel_sql.render import render
from vercel_sql.render.json_lines import json_object
from vercel_sql.server.dialect import DialectJudge, changes
from vercel_sql.server.judge import LONGEST, Judge
from vercel_sql.server.rehearsal import Rehearsal
from vercel_sql.server.sessions import too_many_rows
from vercel_sql.server.tree import Refusal
from vercel_sql.sql import NO_PARAMETERS, Exec, Explain, Statement, Write, parse
from vercel_sql.sql.engine import Engine, NativeQuery
from vercel_sql.sql.plan import Limits, Outcome
from vercel_sql.sql.resolver import Resolver
from vercel_sql.tables.allowance import Allowances
from vercel_sql.tables.functions import CURRENT_STATEMENT
from vercel_sql.tables.keeping import Keeping
from vercel_sql.tables.memo import Memo

NAME = "run"
"""What clients call it by."""

_PYTHON_NAME = "__vercel_sql_run"
_BATCH_ROWS = 2048
_MOST_CHARACTERS = 100_000_000
"""Of all rows of one call: there are several copies of them."""


class StatementRunner:
    """Runs one statement a call; many threads may call at once.

    Args:
        con: the server's connection; each call makes a cursor of its own.
        attachment: the account.
        judge: judges what runs; None lets everything pass.
        writes: whether clients may change something.
        keeping: where secrets that are shown once are saved first, and what of lost rows.
        memo: what each request id gave.
        allowances: how many writes each statement may send.
        most_rows: how many rows a statement may give.
        seconds: how long a write may take altogether.
        max_wait: how many of them it may wait for rate limits; None does not limit it.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        attachment: Attachment,
        judge: Judge | None,
        *,
        writes: bool,
        keeping: Keeping,
        memo: Memo,
        allowances: Allowances,
        most_rows: int,
        seconds: float,
        max_wait: float | None,
    ) -> None:
        self._con = con
        self._attachment = attachment
        self._judge = judge
        self._writes = writes
        self._keeping = keeping
        self._memo = memo
        self._allowances = allowances
        self._most_rows = most_rows
        self._seconds = seconds
        # What would wait longer than it may run is refused before its first request, too.
        self._max_wait = seconds if max_wait is None else min(seconds, max_wait)
        # DuckDB 1.5 has no reference of its own, and its threads may outlive its connection.
        self._function = self._call
        self._cancels: dict[Callable[[], None], int] = {}
        self._lock = threading.Lock()

    def create(self) -> None:
        """Makes the function known to DuckDB, and the macro that clients call."""
        self._con.create_function(
            _PYTHON_NAME,
            self._function,
            [sqltypes.VARCHAR, sqltypes.VARCHAR, sqltypes.UBIGINT, sqltypes.VARCHAR],
            self._con.type("STRUCT(rows VARCHAR[], error VARCHAR)"),
            null_handling=FunctionNullHandling.SPECIAL,
            side_effects=True,
        )
        hidden = f"current_connection_id()::UBIGINT, {CURRENT_STATEMENT}"
        call = f"{_PYTHON_NAME}(statement, request_id, {hidden})"
        # The inner unnest keeps DuckDB from calling once for each mention of the outcome.
        rows = "CASE WHEN outcome.error IS NULL THEN outcome.rows ELSE error(outcome.error) END"
        self._con.execute(
            f"CREATE MACRO {NAME}(statement, request_id := NULL) AS TABLE "
            f'SELECT unnest({rows})::JSON AS "row" FROM (SELECT unnest([{call}]) AS outcome)'
        )

    def cancel(self, caller: int | None = None) -> None:
        """Cancels what only reads. What is between two queries goes on: call it again.

        Args:
            caller: whose statements; None cancels those of all.
        """
        with self._lock:
            for cancel, whose in self._cancels.items():
                if caller in (None, whose):
                    cancel()

    def _call(
        self, statement: str | None, request_id: str | None, caller: int, query: str
    ) -> dict[str, Any]:
        limits = Limits(
            keeping=self._keeping, allowance=self._allowances.of(query), max_wait=self._max_wait
        )
        try:
            with translated([self._attachment], statement or ""):
                rows = self._run(statement or "", request_id, caller, limits)
                return {"rows": rows, "error": None}
        except (Error, Refusal) as error:
            mask = self._attachment.client.redactor.mask
            return {"rows": [], "error": mask(_words(error, mask))}

    def _run(self, text: str, request_id: str | None, caller: int, limits: Limits) -> list[str]:
        if self._judge is not None and len(text) > LONGEST:
            raise ProgrammingError(f"a statement has at most {LONGEST:,} characters")
        statements = parse(text)
        if len(statements) != 1:
            raise ProgrammingError("one statement at a time, please")
        self._attachment.client.create_results.settle()
        with self._cursor() as con:
            resolver = Resolver(con, [self._attachment])
            if self._judge is not None:
                DialectJudge(self._judge, resolver, writes=self._writes).check(statements[0])
            if not changes(resolver, statements[0]):
                return self._read(con, statements[0], limits, caller)
            if not request_id:
                raise ParameterError(
                    "what changes something needs request_id := '…', any text of your own for "
                    "this statement: DuckDB may run it twice, and the same id never acts twice"
                )
            fingerprint = hashlib.sha256(text.encode()).hexdigest()
            rows: list[str] = self._memo.once(
                request_id, fingerprint, lambda: self._written(con, statements[0], limits), caller
            )
            return rows

    def _written(
        self, con: duckdb.DuckDBPyConnection, statement: Statement, limits: Limits
    ) -> list[str]:
        """The rows of a write, which ends when its time is over and tells what is done by then."""
        with self._attachment.client.apart(CancelScope(self._seconds, LimitWaits(self._max_wait))):
            return self._rows(con, statement, limits)

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        con = self._con.cursor()
        try:
            yield con
        finally:
            con.close()

    def _read(
        self, con: duckdb.DuckDBPyConnection, statement: Statement, limits: Limits, caller: int
    ) -> list[str]:
        try:
            with self._cancelled_by(con.interrupt, caller):
                if isinstance(statement, Explain) and isinstance(statement.inner, Exec | Write):
                    return self._rehearsed(statement, limits, caller)
                return self._rows(con, statement, limits)
        except duckdb.InterruptException:
            raise InterfaceError("the statement was cancelled: the server is stopping") from None

    @contextmanager
    def _cancelled_by(self, cancel: Callable[[], None], caller: int) -> Iterator[None]:
        """Makes something known that cancels what runs meanwhile, and that is there until then."""
        with self._lock:
            self._cancels[cancel] = caller
        try:
            yield
        finally:
            with self._lock:
                del self._cancels[cancel]

    def _rows(
        self, con: duckdb.DuckDBPyConnection, statement: Statement, limits: Limits
    ) -> list[str]:
        """The rows of a statement, each as a JSON object."""
        result = Engine(con, [self._attachment]).run(statement, NO_PARAMETERS, limits)
        if isinstance(result, NativeQuery):
            if isinstance(statement, Explain):
                keys = [column[0] for column in con.execute(result.text).description]
                return [json.dumps(dict(zip(keys, r, strict=True))) for r in con.fetchall()]
            return _json_rows(con, result.text, self._most_rows)
        return _lines(result)

    def _rehearsed(self, statement: Explain, limits: Limits, caller: int) -> list[str]:
        with Rehearsal(self._attachment) as stage, self._cancelled_by(stage.cancel, caller):
            return _lines(stage.explain(statement, limits))


def _lines(outcome: Outcome) -> list[str]:
    out = io.StringIO()
    render(outcome.table, "ndjson", out, width=None)
    # Not splitlines, which also parts a text at other characters than line feeds.
    return out.getvalue().split("\n")[:-1]


def _json_rows(con: duckdb.DuckDBPyConnection, query: str, most: int) -> list[str]:
    """The rows of a query as JSON, made by DuckDB itself, which knows its values exactly.

    Raises:
        OperationalError: they are more, or longer, than a client may have.
    """
    relation = con.sql(query)
    places = [f"c{place}" for place in range(len(relation.columns))]
    line = json_object(relation.columns, list(zip(places, relation.types, strict=True)))
    text = f"SELECT {line} FROM (\n{query}\n) AS q({', '.join(places)})"
    con.execute(text)
    rows: list[str] = []
    characters = 0
    while batch := con.fetchmany(_BATCH_ROWS):
        rows += (row[0] for row in batch)
        characters += sum(len(row[0]) for row in batch)
        if len(rows) > most:
            raise too_many_rows(most)
        if characters > _MOST_CHARACTERS:
            raise OperationalError(
                f"the rows have more than {_MOST_CHARACTERS:,} characters as JSON, which is the "
                "most that run() gives: ask for fewer rows or columns"
            )
    return rows


def _words(error: Error | Refusal, mask: Callable[[str], str]) -> str:
    if isinstance(error, Refusal):
        return f"this server does not run that: {error}"
    if isinstance(error, PartialWriteError):
        text = str(error).removesuffix(error.KEPT)
        if any(mask(str(v)) != str(v) for row in error.rows for v in row):
            text += "; what is secret is in the server's secrets file"
        return text
    return str(error)
