"""The function through which clients run statements that DuckDB itself does not know."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import duckdb
from duckdb import sqltypes
from duckdb.func import FunctionNullHandling

from vercel_sql.catalog.ddl import quoted
from vercel_sql.connection import Attachment
from vercel_sql.connection.live_catalog import make_attachment
from vercel_sql.connection.translate import translated
from vercel_sql.errors import (
    Error,
    InterfaceError,
    NotSupportedError,
    OperationalError,
    ParameterError,
    PartialWriteError,
    ProgrammingError,
)
from vercel_sql.own_duckdb import own_duckdb
from vercel_sql.render.text_formats import json_object
from vercel_sql.runtime.scope import CancelScope, LimitWaits
from vercel_sql.server.bounds import Settings
from vercel_sql.server.database import lock, settle
from vercel_sql.server.judge import LONGEST, Judge, Refusal
from vercel_sql.server.sessions import too_many_rows
from vercel_sql.sql import (
    NO_PARAMETERS,
    Delete,
    Describe,
    Exec,
    Explain,
    Fragment,
    Insert,
    Native,
    Show,
    Statement,
    Write,
    parse,
)
from vercel_sql.sql.engine import Engine, Resolver
from vercel_sql.sql.plan import Limits, Outcome
from vercel_sql.text import json_without_commands
from vercel_sql.writes.functions import CURRENT_STATEMENT, Idempotency
from vercel_sql.writes.policy import WriteBudgets, WritePolicy

if TYPE_CHECKING:
    import pyarrow as pa

NAME = "run"
"""What clients call it by."""

_PYTHON_NAME = "__vercel_sql_run"
_ROWS = "__vercel_sql_rows"
_BATCH_ROWS = 2048
_MOST_CHARACTERS = 100_000_000
"""Of all rows of one call: there are several copies of them."""


class StatementRunner:
    """Runs one statement a call; many threads may call at once."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        attachment: Attachment,
        judge: Judge | None,
        settings: Settings,
        keeping: WritePolicy,
        memo: Idempotency,
        allowances: WriteBudgets,
    ) -> None:
        self._con = con
        self._attachment = attachment
        self._judge = judge
        self._settings = settings
        self._keeping = keeping
        self._memo = memo
        self._allowances = allowances
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
        """Cancels what only reads. What is between two queries goes on: call it again."""
        with self._lock:
            for cancel, whose in self._cancels.items():
                if caller in (None, whose):
                    cancel()

    def _call(
        self, statement: str | None, request_id: str | None, caller: int, query: str
    ) -> dict[str, Any]:
        limits = Limits(
            keeping=self._keeping,
            allowance=self._allowances.of(query),
            max_wait=self._settings.longest_wait,
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
            raise ProgrammingError("only one statement per request")
        (statement,) = statements
        self._attachment.client.create_results.settle()
        with self._con.cursor() as con:
            resolver = Resolver(con, [self._attachment])
            is_change = _changes(resolver, statement)
            if self._judge is not None:
                if is_change and not self._settings.writes:
                    raise Refusal("it changes something, and clients may only read")
                for query in _queries(resolver, statement):
                    self._judge.check(query, inner=True)
            if not is_change:
                return self._read(con, statement, limits, caller)
            if not request_id:
                raise ParameterError(
                    "a statement that changes something needs request_id := '…', a text of your "
                    "own for each statement: DuckDB may run it twice, and an id acts only once"
                )
            seconds = self._settings.bounds.statement_seconds

            def write() -> list[str]:
                # It ends when its time is over, and tells what is done by then.
                scope = CancelScope(seconds, LimitWaits(limits.max_wait))
                with self._attachment.client.scoped(scope):
                    return self._rows(con, statement, limits)

            fingerprint = hashlib.sha256(text.encode()).hexdigest()
            rows: list[str] = self._memo.once(request_id, fingerprint, write, caller)
            return rows

    def _read(
        self, con: duckdb.DuckDBPyConnection, statement: Statement, limits: Limits, caller: int
    ) -> list[str]:
        try:
            with self._cancelled_by(con.interrupt, caller):
                if isinstance(statement, Explain) and isinstance(statement.inner, Exec | Write):
                    return _lines(con, self._dry_run(statement, limits, caller))
                return self._rows(con, statement, limits)
        except duckdb.InterruptException:
            raise InterfaceError("the statement was cancelled: the server is stopping") from None

    def _dry_run(self, statement: Explain, limits: Limits, caller: int) -> pa.Table:
        """The requests that a write or an EXEC would send.

        It has a DuckDB and an HTTP client of its own. With the server's client, the writes of
        others would be refused meanwhile, and their requests shown.
        """
        original = self._attachment
        name = original.name
        with own_duckdb() as con, closing(original.client.clone()) as client:

            def cancel() -> None:
                client.close()
                con.interrupt()

            with self._cancelled_by(cancel, caller):
                settle(con)
                attachment = make_attachment(con, name, client)
                con.execute(f"USE {quoted(name)}")
                # All at once, as making a table changes a setting, and settings are locked then.
                attachment.add(attachment.missing)
                lock(con)
                result = Engine(con, [attachment]).run(statement, NO_PARAMETERS, limits)
        if not isinstance(result, Outcome):
            raise NotSupportedError("this can't be explained")
        return result.table

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
        result = Engine(con, [self._attachment]).run(statement, NO_PARAMETERS, limits)
        if isinstance(result, Outcome):
            return _lines(con, result.table)
        if isinstance(statement, Explain):
            keys = [column[0] for column in con.execute(result.text).description]
            return [json.dumps(dict(zip(keys, r, strict=True))) for r in con.fetchall()]
        rows: list[str] = []
        characters = 0
        most = self._settings.bounds.rows
        for batch in _json_rows(con, result.text):
            rows += batch
            characters += sum(map(len, batch))
            if len(rows) > most:
                raise too_many_rows(most)
            if characters > _MOST_CHARACTERS:
                raise OperationalError(
                    f"the rows have more than {_MOST_CHARACTERS:,} characters as JSON, which is "
                    "the most that run() gives: ask for fewer rows or columns"
                )
        return rows


def _lines(con: duckdb.DuckDBPyConnection, table: pa.Table) -> list[str]:
    """The rows of a result of ours, which are never too many: they may hold secrets."""
    names = table.column_names
    # DuckDB 1.5 can't scan a table of Arrow with two columns of one name.
    con.register(_ROWS, table.rename_columns([f"c{place}" for place in range(len(names))]))
    try:
        batches = list(_json_rows(con, f"FROM {_ROWS}", names))
    finally:
        con.unregister(_ROWS)
    return [json_without_commands(line) for batch in batches for line in batch]


def _json_rows(
    con: duckdb.DuckDBPyConnection, query: str, names: list[str] | None = None
) -> Iterator[list[str]]:
    """The rows of a query as JSON, made by DuckDB itself, which knows its values exactly."""
    relation = con.sql(query)
    places = [f"c{place}" for place in range(len(relation.columns))]
    columns = list(zip(places, relation.types, strict=True))
    line = json_object(names or relation.columns, columns)
    con.execute(f"SELECT {line} FROM (\n{query}\n) AS q({', '.join(places)})")
    while batch := con.fetchmany(_BATCH_ROWS):
        yield [row[0] for row in batch]


def _words(error: Error | Refusal, mask: Callable[[str], str]) -> str:
    if isinstance(error, Refusal):
        return f"this server does not run that: {error}"
    if isinstance(error, PartialWriteError):
        text = str(error).removesuffix(error.KEPT)
        if any(mask(str(v)) != str(v) for row in error.rows for v in row):
            text += "; what is secret is in the server's secrets file"
        return text
    return str(error)


def _queries(resolver: Resolver, statement: Statement) -> Iterator[str]:
    """What of a statement DuckDB evaluates, each as a query."""
    if isinstance(statement, Explain):
        word = statement.text.removesuffix(statement.inner.text).strip().upper()
        if word != "EXPLAIN" or isinstance(statement.inner, Explain):
            raise Refusal("EXPLAIN with options or comments is not supported here")
        statement = statement.inner
    if isinstance(statement, Write) and resolver.resource(statement.target) is None:
        raise Refusal("it writes to a table of DuckDB's own, and there are none here")
    match statement:
        case Native():
            yield _text(statement.fragment)
        case Describe():
            if resolver.resource(statement.name) is None and not statement.method:
                yield _text(statement.fragment)
        case Insert() | Delete():
            yield from _write_queries(statement)
        case Exec():
            yield from (f"SELECT (\n{_text(each.value)}\n)" for each in statement.arguments)
        case Show() | Write():
            return
        case _:
            raise Refusal("this kind of statement is not supported here")


def _changes(resolver: Resolver, statement: Statement) -> bool:
    if isinstance(statement, Exec):
        return not resolver.method(statement.name)[1].reads
    return isinstance(statement, Write)


def _write_queries(statement: Insert | Delete) -> Iterator[str]:
    with_clause = "" if statement.with_clause is None else _text(statement.with_clause)
    if isinstance(statement, Delete):
        using = "" if statement.using is None else f", {_text(statement.using)}"
        where = "" if statement.where is None else f"WHERE {_text(statement.where)}"
        yield f"{with_clause}\nSELECT 1 FROM (SELECT 1) AS target{using}\n{where}"
    elif statement.source is not None:
        yield f"{with_clause}\nSELECT * FROM (\n{_text(statement.source)}\n)"
    if statement.returning is not None:
        yield f"SELECT {_text(statement.returning)}"


def _text(fragment: Fragment) -> str:
    # Without parameters: a placeholder is an error, as there is nothing to give its value.
    return fragment.bind(NO_PARAMETERS)[0]
