"""What the magic keeps between two cells, and how it runs the statements of one."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pyarrow as pa
from IPython.display import display

from vercel_sql import Connection, Cursor, connect
from vercel_sql.connection.cursor import require_library
from vercel_sql.errors import Error, InterfaceError, ParameterError, PartialWriteError
from vercel_sql.interrupts import Interrupts
from vercel_sql.messages import say
from vercel_sql.notebook.failures import unseen
from vercel_sql.notebook.masking import secrets_in
from vercel_sql.notebook.options import Options
from vercel_sql.notebook.rows import Rows, relation
from vercel_sql.notebook.variables import tables_lent, values_for
from vercel_sql.sql import Exec, Parameters, Statement, Write, parse

_USER = "SELECT username, email FROM vercel.user.user"

Results = Iterator[tuple[Statement, Cursor]]
Watch = Callable[[Connection], AbstractContextManager[None]]


class Session:
    """Runs the statements of a notebook.

    Args:
        variables: the notebook's.
        watch: shows how far a statement is while a context lasts.
    """

    def __init__(self, variables: dict[str, Any], watch: Watch) -> None:
        self._variables = variables
        self._watch = watch
        self._used: list[Connection] = []
        self._parameters = Parameters()
        self._interrupts = Interrupts(lambda: None)
        self._kept = 0

    @property
    def connection(self) -> Connection:
        """The connection that was given, else one with the token of the environment or login."""
        if not self._used:
            self._used.append(connect())
        return self._used[-1]

    def use(self, name: str) -> None:
        """Takes the connection in a variable for all that follows.

        Raises:
            InterfaceError: there is none in it.
        """
        value = self._variables.get(name)
        if not isinstance(value, Connection):
            what = f"is a {type(value).__name__}" if name in self._variables else "is not there"
            raise InterfaceError(
                f"the variable {name} {what}; --connection takes one that holds what "
                "vercel_sql.connect() gave"
            )
        self._used.append(value)

    def mask(self, text: str) -> str:
        """The text without known secrets, and without values that no cell shows."""
        return unseen(self._parameters, self._variables.get("In", ())).mask(self._known(text))

    def status(self) -> str:
        """Which account is used, by which token, on which API.

        Raises:
            Error: it can't be found out.
        """
        client = self.connection.client
        name, email = self.connection.execute(_USER).fetchall()[0]
        return f"{name} ({email}) at {client.urls['api']}, by {client.credential.source}"

    def run(self, options: Options, script: str) -> Any:
        """Runs a script; shows the results of all statements but the last, and gives that one's.

        Raises:
            Error: any error of this package; the statements that follow are not run.
        """
        self._parameters = Parameters()
        if options.kind in ("pandas", "polars"):
            require_library(options.kind)
        statements = parse(script)
        if not statements:
            raise InterfaceError("there is no statement")
        self._parameters = values_for(statements, self._variables)
        # Jupyter's button sends the signal of Ctrl-C.
        self._interrupts = Interrupts(self.connection.interrupt, [signal.SIGINT])
        with (
            tables_lent(self.connection, statements, self._variables),
            _allowing(self.connection, options),
        ):
            try:
                with self._interrupts.listening():
                    return self._run(options, statements)
            except Error as error:
                if self._interrupts.came and not isinstance(error, PartialWriteError):
                    raise KeyboardInterrupt from None
                raise

    def _run(self, options: Options, statements: list[Statement]) -> Any:
        if any(isinstance(statement, Write | Exec) for statement in statements):
            _require_display()
        results = self._started(statements)
        *others, final = statements
        for statement in others:
            result = self._next(results, options, _place(statement))
            if result is not None:
                rows = self._rows(*result, options)
                if options.quiet:
                    show(*rows.notes)
                else:
                    display(rows)
        place = _place(final) if others else ""
        result = self._next(results, options, place)
        if result is not None:
            return self._given(*result, options)
        if options.save:
            name = options.save
            raise InterfaceError(f"{place}carried out, but it gives no rows to save as {name}")
        return None

    def _started(self, statements: list[Statement]) -> Results:
        try:
            return self.connection.run(statements, self._parameters)
        except ParameterError as error:
            error.args = (f"{error} Values are those of the notebook's variables.",)
            raise

    def _next(
        self, results: Results, options: Options, place: str
    ) -> tuple[pa.Table, frozenset[str], str] | None:
        """Runs the next statement.

        Returns:
            its rows, the columns with secrets, and the variable that keeps those that are shown
            this once; None where it has no rows.
        """
        try:
            with self._watch(self.connection):
                return self._read(results)
        except PartialWriteError as error:
            error.args = (f"{place}{self._salvaged(error, options)}",)
            raise
        except Error as error:
            error.args = (f"{place}{error}",)
            raise

    def _read(self, results: Results) -> tuple[pa.Table, frozenset[str], str] | None:
        _, cursor = next(results)
        if not cursor.has_table:
            return None
        if not cursor.secret_columns:
            table = cursor.arrow()
            return table, secrets_in(table, self._known), ""
        with self._interrupts.held_back():
            table, secrets = cursor.arrow(), cursor.secret_columns
            return table, secrets, self._keep(table, secrets)

    def _salvaged(self, error: PartialWriteError, options: Options) -> str:
        """Shows and keeps what was done before a write failed; gives what to say about it."""
        if error.table is None:
            return str(error)
        secrets = secrets_in(error.table, self._known)
        name = self._keep(error.table, secrets)
        display(self._rows(error.table, secrets, name, options))
        return error.placed(f"in {name}")

    def _keep(self, table: pa.Table, secrets: frozenset[str]) -> str:
        """Keeps rows whose secrets nobody can ask for again, in a variable of their own."""
        self._kept += 1
        name = f"_vercel_{self._kept}"
        self._variables[name] = Rows(table, secrets, self._known)
        return name

    def _given(self, table: pa.Table, secrets: frozenset[str], kept: str, options: Options) -> Any:
        """The result as it was asked for, but masking secrets unless they were asked for too."""
        masked = bool(secrets) and not options.show_secrets
        kind = "table" if masked else options.kind
        rows = self._rows(table, secrets, options.save or kept, options)
        result = _converted(kind, rows, self.connection)
        if options.save:
            self._variables[options.save] = result
        if not options.quiet:
            return result
        show(*rows.notes)
        return None

    def _rows(
        self, table: pa.Table, secrets: frozenset[str], variable: str, options: Options
    ) -> Rows:
        if not secrets or options.show_secrets:
            return Rows(table, secrets, None)
        where = f"{variable}.df() has the values" if variable else "--save NAME keeps the values"
        note = (
            f"Masked: {', '.join(sorted(secrets))}. {where} for code, and --show-secrets shows "
            "them, which the notebook's file then holds."
        )
        return Rows(table, secrets, self._known, (note,))

    def _known(self, text: str) -> str:
        """The text without the secrets of the connections that were used so far."""
        for connection in self._used:
            text = connection.client.redactor.mask(text)
        return text


def show(*lines: str) -> None:
    """Writes lines into the notebook's output, which is a cell's standard output."""
    say(*lines, out=sys.stdout)


def _require_display() -> None:
    """Finds out whether rows with a secret can be shown, before anything makes one.

    Raises:
        InterfaceError: they can't.
    """
    try:
        rows = Rows(pa.table({"name": ["é"], "secret": ["s"]}), frozenset(["secret"]), str)
        repr(rows), rows._repr_html_()
    except Exception as error:
        reason = type(error).__name__
        raise InterfaceError(f"results can't be shown here ({reason}). Nothing was sent") from None


@contextmanager
def _allowing(connection: Connection, options: Options) -> Iterator[None]:
    """Lets statements do what the options allow while the context lasts."""
    doubts = connection.client.doubts
    before = connection.max_writes, connection.max_wait, doubts.strict
    if options.max_writes is not None:
        connection.max_writes = options.max_writes
    if options.max_wait is not None:
        connection.max_wait = options.max_wait
    doubts.strict = doubts.strict or options.strict
    try:
        yield
    finally:
        connection.max_writes, connection.max_wait, doubts.strict = before


def _place(statement: Statement) -> str:
    return f"in the statement at {statement.fragment.position}: "


def _converted(kind: str, rows: Rows, connection: Connection) -> Any:
    """The rows as a kind of result.

    Raises:
        InterfaceError: they can't be given so.
    """
    try:
        return _as(kind, rows, connection)
    except Exception as error:  # what pandas, polars and DuckDB raise has no common base
        reason = str(error).partition("\n")[0]
        raise InterfaceError(
            f"the statement was carried out, and its rows can't be given as {kind}: {reason}"
        ) from None


def _as(kind: str, rows: Rows, connection: Connection) -> Any:
    match kind:
        case "relation":
            return relation(connection.duckdb, rows.arrow())
        case "pandas":
            return rows.df()
        case "polars":
            return rows.pl()
        case "arrow":
            return rows.arrow()
    return rows
