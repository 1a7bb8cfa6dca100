"""A notebook's session: its connection, and how the statements of a cell run."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa
from IPython.display import display

from vercel_sql import Connection, Cursor, connect
from vercel_sql.connection.cursor import require_library
from vercel_sql.errors import Error, InterfaceError, ParameterError, PartialWriteError
from vercel_sql.notebook.rows import Rows, relation, secrets_in
from vercel_sql.redaction import Redactor
from vercel_sql.redaction.known import texts_in
from vercel_sql.runtime.signals import Interrupts
from vercel_sql.sql import Exec, Parameters, Statement, Write, parse
from vercel_sql.sql.parameters import is_table
from vercel_sql.sql.tokens import Kind
from vercel_sql.text import say

_USER = "SELECT username, email FROM vercel.user.user"
# Does a name mean a table already, by DuckDB's search path? A local one wins.
_TAKEN = """
SELECT name FROM (
    SELECT database_name, schema_name, table_name AS name FROM duckdb_tables()
    UNION ALL SELECT database_name, schema_name, view_name FROM duckdb_views()
)
WHERE database_name IN (current_database(), 'temp') AND schema_name IN current_schemas(true)
"""

Results: TypeAlias = Iterator[tuple[Statement, Cursor]]
Watch: TypeAlias = Callable[[Connection], AbstractContextManager[None]]


@dataclass(frozen=True)
class Options:
    """The options of the magic.

    Attributes:
        kind: the kind of result: table, relation, pandas, polars or arrow.
        save: the variable for the result, if any.
        connection: the variable with the connection to use from now on, if any.
        max_writes: how many writes each statement may send; None leaves the limit as it is.
        max_wait: how many seconds it may wait for rate limits; None leaves the limit as it is.
        quiet: whether results are not shown.
        show_secrets: whether secrets are shown.
        strict: whether a value that can't be read is an error.
    """

    kind: str = "table"
    save: str | None = None
    connection: str | None = None
    max_writes: int | None = None
    max_wait: int | None = None
    quiet: bool = False
    show_secrets: bool = False
    strict: bool = False


class Session:
    """Runs the statements of a notebook.

    Args:
        variables: the notebook's.
        watch: shows the progress of a statement.
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
        """The chosen connection, or one with the token of the environment or login."""
        if not self._used:
            self._used.append(connect())
        return self._used[-1]

    def use(self, name: str) -> None:
        """Use the connection in a variable from now on."""
        value = self._variables.get(name)
        if not isinstance(value, Connection):
            what = f"is a {type(value).__name__}" if name in self._variables else "is not there"
            raise InterfaceError(
                f"the variable {name} {what}; --connection takes one that holds what "
                "vercel_sql.connect() gave"
            )
        self._used.append(value)

    def mask(self, text: str) -> str:
        """The text without known secrets, and values that no cell contains."""
        unseen = Redactor()
        for name in self._parameters:
            for value in texts_in(self._parameters[name]):
                if not any(value in cell for cell in self._variables.get("In", ())):
                    unseen.add(value)
        return unseen.mask(self._known(text))

    def status(self) -> str:
        """The account, the API, and where the token was found."""
        client = self.connection.client
        name, email = self.connection.execute(_USER).fetchall()[0]
        return f"{name} ({email}) at {client.urls['api']}, by {client.credential.source}"

    def run(self, options: Options, script: str) -> Any:
        """Run a script up to its first error; show all results but the last, and return that."""
        self._parameters = Parameters()
        if options.kind in ("pandas", "polars"):
            require_library(options.kind)
        statements = parse(script)
        if not statements:
            raise InterfaceError("there is no statement")
        self._parameters = _values_for(statements, self._variables)
        # Jupyter's button sends the signal of Ctrl-C.
        self._interrupts = Interrupts(self.connection.interrupt, [signal.SIGINT])
        with (
            _registered_tables(self.connection, statements, self._variables),
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
        try:
            results = self.connection.run(statements, self._parameters)
        except ParameterError as error:
            error.args = (f"{error} Values are those of the notebook's variables.",)
            raise
        rows = None
        for number, statement in enumerate(statements, start=1):
            several = f"in the statement at {statement.fragment.position}: "
            place = several if len(statements) > 1 else ""
            rows = self._next(results, options, place)
            if rows is not None and number < len(statements):
                show(*rows.notes) if options.quiet else display(rows)
        if rows is not None:
            return self._given(rows, options)
        if options.save:
            name = options.save
            raise InterfaceError(f"{place}it ran, but returned no rows to save as {name}")
        return None

    def _next(self, results: Results, options: Options, place: str) -> Rows | None:
        """Run the next statement; return its rows, if any."""
        try:
            with self._watch(self.connection):
                rows = self._read(results)
        except PartialWriteError as error:
            text = str(error)
            if error.table is not None:  # what was done before is shown and kept
                name, done = self._keep(error.table, secrets_in(error.table, self._known))
                display(done.given(show_secrets=options.show_secrets))
                text = error.placed(f"in {name}")
            error.args = (f"{place}{text}",)
            raise
        except Error as error:
            error.args = (f"{place}{error}",)
            raise
        return None if rows is None else rows.given(show_secrets=options.show_secrets)

    def _read(self, results: Results) -> Rows | None:
        _, cursor = next(results)
        if not cursor.has_table:
            return None
        if not cursor.secret_columns:
            table = cursor.arrow()
            return Rows(table, secrets_in(table, self._known), self._known)
        with self._interrupts.held_back():
            return self._keep(cursor.arrow(), cursor.secret_columns)[1]

    def _keep(self, table: pa.Table, secrets: frozenset[str]) -> tuple[str, Rows]:
        """Save rows, whose secrets can't be read again, in a new variable."""
        self._kept += 1
        name = f"_vercel_{self._kept}"
        rows = self._variables[name] = Rows(table, secrets, self._known, name)
        return name, rows

    def _given(self, rows: Rows, options: Options) -> Any:
        """The result as asked for; masked if it has secrets."""
        rows = rows.given(variable=options.save)
        kind = "table" if rows.is_masked else options.kind
        result = _converted(kind, rows, self.connection)
        if options.save:
            self._variables[options.save] = result
        if not options.quiet:
            return result
        show(*rows.notes)
        return None

    def _known(self, text: str) -> str:
        """The text without the secrets of all connections used so far."""
        for connection in self._used:
            text = connection.client.redactor.mask(text)
        return text


def show(*lines: str) -> None:
    """Write lines to the cell's output."""
    say(*lines, out=sys.stdout)


def _require_display() -> None:
    """Raise InterfaceError if rows with a secret can't be shown, before anything makes one."""
    try:
        rows = Rows(pa.table({"name": ["é"], "secret": ["s"]}), frozenset(["secret"]), str)
        repr(rows), rows._repr_html_()
    except Exception as error:
        reason = type(error).__name__
        raise InterfaceError(f"results can't be shown here ({reason}). Nothing was sent") from None


@contextmanager
def _allowing(connection: Connection, options: Options) -> Iterator[None]:
    """Apply the options' limits."""
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


def _converted(kind: str, rows: Rows, connection: Connection) -> Any:
    """The rows as a kind of result."""
    makers: dict[str, Callable[[], Any]] = {
        "relation": lambda: relation(connection.duckdb, rows.arrow()),
        "pandas": rows.df,
        "polars": rows.pl,
        "arrow": rows.arrow,
    }
    try:
        return makers[kind]() if kind in makers else rows
    except Exception as error:  # what pandas, polars and DuckDB raise has no common base
        reason = str(error).partition("\n")[0]
        raise InterfaceError(
            f"the statement ran, but its rows can't be given as {kind}: {reason}"
        ) from None


def _values_for(statements: Sequence[Statement], variables: Mapping[str, object]) -> Parameters:
    """The values of the placeholders in a script, and no others.

    Those inside longer strings are included, so that the script is refused: they aren't replaced.
    """
    found: dict[str, object] = {}
    for statement in statements:
        written = [(need.name, need.written) for need in statement.needs()]
        written += [(each.name, each.name) for each in statement.fragment.templates]
        for name, text in written:
            variable = _variable(name, text, variables)
            if variable is not None and name not in found:
                found[name] = variables[variable]
    return Parameters(found)


def _variable(name: str, written: str, variables: Mapping[str, object]) -> str | None:
    """The variable of a placeholder's name, or else the one of that name in another case."""
    near = [each for each in variables if each.lower() == name]
    if len(near) < 2:
        return near[0] if near else None
    for each in near:
        if each in written:
            return each
    raise ParameterError(f"The placeholder {written} may mean {' or '.join(near)}.")


@contextmanager
def _registered_tables(
    connection: Connection, statements: Sequence[Statement], variables: Mapping[str, object]
) -> Iterator[None]:
    """Register the notebook's DataFrames that statements name: DuckDB doesn't see its frame."""
    words = {
        lexeme.value
        for statement in statements
        for lexeme in statement.fragment.lexemes
        if lexeme.kind in (Kind.WORD, Kind.QUOTED)
    }
    tables: dict[str, Any] = {
        name: variables[name] for name in words if is_table(variables.get(name))
    }
    if not tables:
        yield
        return
    taken = {name.lower() for (name,) in connection.execute(_TAKEN).fetchall()}
    names = [name for name in tables if name.lower() not in taken]
    for name in names:
        table = tables[name]
        connection.duckdb.register(name, table.arrow() if isinstance(table, Rows) else table)
    try:
        yield
    finally:
        # Ends whatever an error left unread: DuckDB 2.0 does nothing else before.
        connection.execute("SELECT 1").fetchall()
        for name in names:
            connection.duckdb.unregister(name)
