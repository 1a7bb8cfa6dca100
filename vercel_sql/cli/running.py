"""Runs statements and writes their results; says what went wrong, and loses no secret to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from vercel_sql import Connection, Cursor
from vercel_sql.api.redaction import Redactor
from vercel_sql.cli.exit_codes import FAILED, FINE, WRONG_USE
from vercel_sql.cli.inputs import ScriptText
from vercel_sql.cli.output import rescued, watched
from vercel_sql.cli.streams import OutputError
from vercel_sql.errors import (
    APIError,
    Error,
    ParameterError,
    PartialWriteError,
    RotationError,
    StatementCancelledError,
)
from vercel_sql.interrupts import Interrupts
from vercel_sql.messages import complain
from vercel_sql.plain_rows import PlainRows
from vercel_sql.progress import Progress, progress
from vercel_sql.sql import Delete, Exec, Parameters, Statement, Write, parse
from vercel_sql.sql.plan import Plan
from vercel_sql.sql.prepared import what_is_left

if TYPE_CHECKING:
    import pyarrow as pa

_SETTINGS = (
    # The renderers write every type exactly, and for that have to be given it exactly.
    "SET arrow_lossless_conversion = true",
)
_NO_HINTS: Mapping[type[Error], str] = MappingProxyType({})


class Writer(Protocol):
    """Where results go."""

    def require_ready(self, *, has_secrets: bool) -> None:
        """Finds out whether rows can be written, before anything is sent that gives them.

        Args:
            has_secrets: whether they are shown this once.

        Raises:
            OutputError: they can't.
        """

    def write(
        self, table: pa.Table | PlainRows, secrets: frozenset[str], *, whole: bool = False
    ) -> None:
        """Writes rows; the secret columns are shown this once.

        Args:
            table: the rows.
            secrets: the secret columns.
            whole: whether no row is left out on a terminal either.

        Raises:
            OSError: it could not.
        """


@dataclass(frozen=True)
class Manner:
    """How one of the doors runs statements and tells what happens.

    Attributes:
        prefix: what each complaint begins with.
        locate_sole: whether the place of an error is said where there is one statement only.
        watched: whether somebody may want to see how far a long statement is.
        hints: what to do about an error of some kind; the first that fits is said.
        unbound: what to do about a placeholder without a value, or a value without one.
        approve: asked before a write sends anything; None allows all.
        around: what is entered for each statement, and left when its result is written.
        leaves: which signal ends the process where DuckDB does not stop; 0 for none.
    """

    prefix: str = "vercel-sql: "
    locate_sole: bool = True
    watched: bool = True
    hints: Mapping[type[Error], str] = field(default_factory=lambda: _NO_HINTS)
    unbound: str = ""
    approve: Callable[[Plan], bool] | None = None
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    leaves: int = 0


class Runner:
    """Runs scripts on one connection: each stops at its first error, after its rows were written.

    Args:
        connection: the connection; the runner answers its `approve`.
        writer: where results go.
        manner: how.
        hidden: values that no message repeats. What came from files may be secret, but only here:
            results and requests may show it.
    """

    def __init__(
        self,
        connection: Connection,
        writer: Writer,
        manner: Manner | None = None,
        hidden: Sequence[str] = (),
    ) -> None:
        self._connection = connection
        self._writer = writer
        self._manner = manner or Manner()
        self._hidden = Redactor()
        for value in hidden:
            self._hidden.add(value)
        self._interrupts = Interrupts(connection.interrupt)
        self._progress = Progress()
        self._running: tuple[ScriptText, Statement] | None = None
        self._is_sole = False
        # Whether the statement may have sent something that changes anything.
        self._is_approved = False
        connection.approve = self._approve
        for setting in _SETTINGS:
            connection.execute(setting)

    def mask(self, text: str) -> str:
        """The text without anything that is secret."""
        return self._hidden.mask(self._connection.client.redactor.mask(text))

    def complain(self, text: str) -> None:
        """Says what went wrong."""
        complain(self.mask(text), self._manner.prefix)

    def run(self, scripts: Sequence[ScriptText], parameters: Parameters) -> int:
        """Runs all statements and gives the exit code."""
        self._running = None
        try:
            with self.stoppable():
                return self._run(scripts, parameters)
        except KeyboardInterrupt as signal:
            return self._interrupted(signal)

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """Stops DuckDB too where a signal comes, and raises KeyboardInterrupt for it."""
        self._interrupts = interrupts = Interrupts(
            self._connection.interrupt, leaves=self._manner.leaves
        )
        try:
            with interrupts.listening():
                yield
        finally:
            if interrupts.came:  # which of those that were nested does not matter
                self._interrupts = interrupts

    @property
    def stop_code(self) -> int:
        """The exit code that belongs to the signal that came last."""
        return self._interrupts.exit_code

    def _run(self, scripts: Sequence[ScriptText], parameters: Parameters) -> int:
        script: ScriptText | None = None
        try:
            statements = []
            for script in scripts:
                statements += [(script, statement) for statement in parse(script.text)]
        except Error as error:
            return self._failed(error, f"in {script.source}: " if script and script.source else "")
        try:
            results = self._connection.run([s for _, s in statements], parameters)
        except ParameterError as error:
            self.complain(f"{error} {self._manner.unbound}")
            return WRONG_USE
        except Error as error:
            return self._failed(error, "")
        self._is_sole = len(statements) == 1
        for number, self._running in enumerate(statements, start=1):
            self._is_approved = False
            with self._manner.around():
                code = self._run_next(results, last=number == len(statements))
            if code != FINE:
                return code
        return FINE

    def _run_next(self, results: Iterator[tuple[Statement, Cursor]], *, last: bool) -> int:
        try:
            self._write_next(results)
        except PartialWriteError as error:
            return self._partly_failed(error)
        except OutputError as error:
            if error.reader_left and last:
                return FAILED
            return self._failed(error, self._place())
        except Error as error:
            if self._interrupts.came:
                return self._interrupted(error)
            return self._failed(error, self._place())
        return FINE

    def _write_next(self, results: Iterator[tuple[Statement, Cursor]]) -> None:
        """Runs a statement and writes its result, read to its end first: never half of one."""
        with (
            progress(self._connection, watched())
            if self._manner.watched
            else nullcontext(Progress()) as bar
        ):
            self._progress = bar
            _, cursor = next(results)
            if not cursor.has_table:
                return
            secrets = cursor.secret_columns
            if not secrets:
                table = cursor.plain_rows() or cursor.arrow()
        if not secrets:
            self._put(table, secrets)
            return
        with self._interrupts.held_back():
            self._put(cursor.arrow(), secrets)

    def _put(
        self, table: pa.Table | PlainRows, secrets: frozenset[str], *, whole: bool = False
    ) -> None:
        """Writes rows; what can't be written and is shown this once is put elsewhere.

        Raises:
            OutputError: they can't be written.
        """
        with rescued(table, secrets, self._connection.client.create_results):
            self._writer.write(table, secrets, whole=whole)

    def _approve(self, plan: Plan) -> bool:
        """Asks whoever has to be asked, and has the progress count towards what is coming.

        Raises:
            OutputError: the result could not be shown, so nothing is to be sent.
        """
        self._writer.require_ready(has_secrets=plan.makes_secret)
        if self._manner.approve is not None:
            self._progress.clear()
            with self._interrupts.asking():
                if not self._manner.approve(plan):
                    return False
        elif plan.pace.forecasts:
            self._progress.clear()
            self.complain(f"{plan.what}: {plan.pace}")
        self._is_approved = True
        self._progress.expect(plan)
        return True

    def _partly_failed(self, error: PartialWriteError) -> int:
        """Writes what was done: it can't be undone, and its secrets are shown only once."""
        if error.table is not None:
            try:
                # Nobody can ask for this list again.
                self._put(error.table, self._secret_columns(error.table), whole=True)
            except OutputError as unwritten:
                complain(str(unwritten), self._manner.prefix)
        was_stopped = self._interrupts.came and not isinstance(error.cause, APIError)
        if was_stopped and not isinstance(error, RotationError):
            return self._interrupted(error)
        text = error.placed("in the output")
        self.complain(f"{self._place()}{text}")
        return self._interrupts.exit_code if was_stopped else FAILED

    def _secret_columns(self, table: pa.Table) -> frozenset[str]:
        """The columns with a value that is known as secret; all, should there be none.

        What was deleted has none that anybody would want to keep.
        """
        if self._running and isinstance(self._running[1], Delete):
            return frozenset()
        mask = self._connection.client.redactor.mask
        found = [
            name
            for name, column in zip(table.column_names, table.columns, strict=True)
            if any(mask(text) != text for text in map(str, column.to_pylist()))
        ]
        return frozenset(found or table.column_names)

    def _interrupted(self, error: BaseException) -> int:
        text = f"{self._place()}interrupted" if self._running else "interrupted"
        if isinstance(error, PartialWriteError):
            done = 0 if error.table is None else error.table.num_rows
            text += f" after {done} {'row was' if done == 1 else 'rows were'} carried out"
            text = ". ".join([f"{text} (see above)" if done else text, *what_is_left(error)])
        elif self._running and isinstance(self._running[1], Write | Exec):
            known = self._changed_nothing(error)
            text += ". Nothing was changed at Vercel" if known else self._in_doubt()
        self.complain(text)
        return self._interrupts.exit_code

    def _changed_nothing(self, error: BaseException) -> bool:
        """Whether it is known of the statement that was stopped that it changed nothing."""
        if not self._is_approved:
            return True
        # A KeyboardInterrupt takes the place of what the statement itself says.
        told = error.__context__ if isinstance(error, KeyboardInterrupt) else error
        return isinstance(told, StatementCancelledError) and told.nothing_changed

    def _in_doubt(self) -> str:
        """What to do where it is not known what came of the request that was under way."""
        text = (
            ". The request that was under way may have been carried out all the same: "
            "list the table before you repeat the statement"
        )
        if self._running and isinstance(self._running[1], Delete):
            return text
        return f"{text}, or run vercel-sql recover, which tells whether a token was made"

    def _failed(self, error: Exception, place: str) -> int:
        hints = [hint for kind, hint in self._manner.hints.items() if isinstance(error, kind)]
        self.complain(" ".join([f"{place}{error}", *hints[:1]]))
        return FAILED

    def _place(self) -> str:
        if self._running is None:
            return ""
        script, statement = self._running
        if self._is_sole and not script.source and not self._manner.locate_sole:
            return ""
        source = f" of {script.source}" if script.source else ""
        return f"in the statement at {statement.fragment.position}{source}: "
