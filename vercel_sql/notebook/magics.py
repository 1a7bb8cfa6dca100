"""The magic ``%vercel``, for a line or a cell of SQL.

Its options stand before the SQL and never swallow a part of it.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeAlias

import pyarrow as pa
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand
from IPython.display import DisplayHandle, display

from vercel_sql import Connection, Cursor, connect
from vercel_sql.connection.cursor import require_library
from vercel_sql.errors import (
    Error,
    InterfaceError,
    MissingTokenError,
    ParameterError,
    PartialWriteError,
    TooManyWritesError,
    WaitTooLongError,
)
from vercel_sql.notebook.rows import Mask, Rows, relation, secrets_in
from vercel_sql.progress import progress
from vercel_sql.redaction import Redactor
from vercel_sql.redaction.known import texts_in
from vercel_sql.runtime.signals import Interrupts
from vercel_sql.sql import Exec, Parameters, Statement, Write, parse
from vercel_sql.sql.parameters import is_table
from vercel_sql.sql.plan import Plan
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


@dataclass(frozen=True)
class Options:
    """The options of the magic, which its docstring describes; None leaves a limit as it is."""

    kind: str = "table"
    save: str | None = None
    connection: str | None = None
    max_writes: int | None = None
    max_wait: int | None = None
    quiet: bool = False
    show_secrets: bool = False
    strict: bool = False


def show(*lines: str) -> None:
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
            f"the statement ran, but its rows can't be converted to {kind}: {reason}"
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
            if (variable := _variable(name, text, variables)) is not None:
                found.setdefault(name, variables[variable])
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


_KINDS = ("table", "relation", "pandas", "polars", "arrow")
_A_NUMBER = "an integer ≥ 0"
_FLAGS = ("--quiet", "--show-secrets", "--strict")
_VALUED: dict[str, tuple[str, Callable[[str], object]]] = {
    "--as": (f"{', '.join(_KINDS[:-1])} or {_KINDS[-1]}", _KINDS.__contains__),
    "--save": ("the name of a variable", str.isidentifier),
    "--connection": ("the name of a variable", str.isidentifier),
    "--max-writes": (_A_NUMBER, re.compile("[0-9]+").fullmatch),
    "--max-wait": (_A_NUMBER, re.compile("[0-9]+").fullmatch),
}
_ALL = (*_VALUED, *_FLAGS)

# A word of two dashes and a letter; "-- text" is a comment of SQL's.
_OPTION = re.compile(r"\s*(--[A-Za-z][\w-]*)(?:=(\S*)|(?=\s|$))")
_WORD = re.compile(r"\s*(\S*)")
_LATE = re.compile(rf"\s({'|'.join(_ALL)})(?=[\s=]|$)")

_HINTS: dict[type[Error], str] = {
    MissingTokenError: " Or give the notebook a connection of your own: %vercel --connection NAME.",
    TooManyWritesError: " (here: %vercel --max-writes N)",
    WaitTooLongError: " (here: %vercel --max-wait SECONDS)",
}


@magics_class
class VercelMagics(Magics):
    """``%vercel`` and ``%%vercel``."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell=shell)
        self._shell = shell
        self._variables = shell.user_ns
        self._used: list[Connection] = []
        self._parameters = Parameters()
        self._interrupts = Interrupts(lambda: None)
        self._kept = 0

    @no_var_expand
    @line_cell_magic
    def vercel(self, line: str, cell: str | None = None) -> Any:
        """Run SQL over the Vercel API.

        %vercel [OPTIONS] SELECT …      one line, also as: rows = %vercel SELECT …
        %%vercel [OPTIONS]              a cell of statements; returns the last one's result
        %vercel                         which account is used

        The token is that of VERCEL_TOKEN or of vercel-sql login. $name, :name and {{ name }} are
        the values of notebook variables; DataFrames and earlier results can be named in FROM.

        --as KIND          table (the default), relation, pandas, polars or arrow
        --save NAME        puts the result into a variable as well
        --quiet            shows no result
        --show-secrets     shows secrets, which the notebook's file will then hold
        --strict           fails if a value can't be read, instead of NULL and a warning
        --max-writes N     how many writes each statement may send (100)
        --max-wait SECONDS how long each statement may wait for rate limits (as long as it takes)
        --connection NAME  uses the vercel_sql.connect() in a variable, from now on
        """
        try:
            if not line.strip() and cell is None:
                show(self._mask(self._status()))
                return None
            options, sql = read_options(line)
            if options.connection:
                self._use(options.connection)
                if not sql and cell is None:
                    return None
            return self._run_script(options, f"{sql}\n{cell or ''}")
        except (Error, KeyboardInterrupt) as error:
            raise shortened(error, self._mask) from None

    @property
    def connection(self) -> Connection:
        """The chosen connection, or one with the token of the environment or login."""
        if not self._used:
            self._used.append(connect())
        return self._used[-1]

    def _use(self, name: str) -> None:
        value = self._variables.get(name)
        if not isinstance(value, Connection):
            what = f"is a {type(value).__name__}" if name in self._variables else "doesn't exist"
            raise InterfaceError(
                f"the variable {name} {what}; --connection takes a variable that holds the result "
                "of vercel_sql.connect()"
            )
        self._used.append(value)

    def _mask(self, text: str) -> str:
        """The text without known secrets, and values that no cell contains."""
        unseen = Redactor()
        for name in self._parameters:
            for value in texts_in(self._parameters[name]):
                if not any(value in cell for cell in self._variables.get("In", ())):
                    unseen.add(value)
        return unseen.mask(self._known(text))

    def _status(self) -> str:
        client = self.connection.client
        name, email = self.connection.execute(_USER).fetchall()[0]
        return f"{name} ({email}) at {client.urls['api']}, by {client.credential.source}"

    def _run_script(self, options: Options, script: str) -> Any:
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
        try:
            with watching(self._shell, self.connection):
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


def read_options(line: str) -> tuple[Options, str]:
    """Read the options at the start of a line; return them, and the SQL that follows."""
    given: dict[str, Any] = {}
    at = 0
    while found := _OPTION.match(line, at):
        name, value = found.groups()
        at = found.end()
        if name in _VALUED and value is None and (word := _WORD.match(line, at)):
            value, at = word[1], word.end()
        _check(name, value)
        field = "kind" if name == "--as" else name.removeprefix("--").replace("-", "_")
        given[field] = int(value) if name.startswith("--max") else value or True
    sql = line[at:].strip()
    if late := _LATE.search(sql):
        raise InterfaceError(
            f"{late[1]} is a comment in the SQL there: options come before the SQL"
        )
    return Options(**given), sql


def _check(name: str, value: str | None) -> None:
    if name in _FLAGS:
        if value is not None:
            raise InterfaceError(f"{name} takes no value")
    elif name in _VALUED:
        wanted, is_one = _VALUED[name]
        if not is_one(value or ""):
            raise InterfaceError(f"{name} takes {wanted}")
    else:
        near = get_close_matches(name, _ALL, n=1)
        raise InterfaceError(
            f"unknown option {name}; the options are {', '.join(_ALL)}."
            + (
                f" Did you mean {near[0]}?"
                if near
                else " A comment needs a space after its dashes."
            )
        )


def shortened(error: BaseException, mask: Mask) -> BaseException:
    """The same error, which IPython shows and saves as one message, without secrets."""
    if isinstance(error, Error):
        hint = next((hint for kind, hint in _HINTS.items() if isinstance(error, kind)), "")
        error.args = (mask(f"{error}{hint}"),)
    lines = [f"{type(error).__name__}: {error}".removesuffix(": ")]
    # IPython asks an error for this before it makes a traceback.
    error.__dict__["_render_traceback_"] = lambda: lines
    return error.with_traceback(None)


def load_ipython_extension(shell: InteractiveShell) -> None:
    shell.register_magics(VercelMagics)


@contextmanager
def watching(shell: InteractiveShell, connection: Connection) -> Iterator[None]:
    """Show the progress of a statement, if somebody watches: not with nbclient, for example."""
    # A kernel's shell knows the request that its front end sent.
    request = getattr(shell, "get_parent", None)
    if request is not None:
        watched = request().get("content", {}).get("allow_stdin", False)
        out: Any = _InCell()
    else:
        watched, out = sys.stderr.isatty(), sys.stderr
    if not watched:
        yield
        return
    with progress(connection, out) as line:
        before = connection.approve

        def expect(plan: Plan) -> bool:
            """Approve a plan, and take the number of its requests."""
            line.clear()
            if before is not None and not before(plan):
                return False
            line.expect(plan)
            return True

        connection.approve = expect
        try:
            yield
        finally:
            connection.approve = before


class _InCell:
    """A line in the cell's output that changes, and is empty at the end.

    Of standard error, a front end would save each state.
    """

    def __init__(self) -> None:
        self._handle = DisplayHandle()
        self._shown = False

    def write(self, text: str) -> None:
        line = text.strip("\r\n")
        if not line:
            return
        data = {"text/plain": line} if line.strip() else {}
        if self._shown:
            self._handle.update(data, raw=True)
        elif data:
            self._handle.display(data, raw=True)
            self._shown = True

    def flush(self) -> None:
        """Do nothing: there is no buffer."""
