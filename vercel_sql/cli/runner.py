"""Runs statements and writes their results; reports what went wrong, and loses no secret to it."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from vercel_sql.cli import FAILED, FINE, WRONG_USE
from vercel_sql.cli.accounts import opened
from vercel_sql.cli.output import LOSSLESS, Output, rescued
from vercel_sql.cli.terminal import OutputError, complain, is_closed, waiting, watched
from vercel_sql.errors import (
    APIError,
    Error,
    MissingTokenError,
    ParameterError,
    PartialWriteError,
    RotationError,
    StatementCancelledError,
    TooManyWritesError,
    WaitTooLongError,
)
from vercel_sql.files import named_path
from vercel_sql.logger import also_masking
from vercel_sql.plain_rows import PlainRows
from vercel_sql.progress import Progress, progress
from vercel_sql.redaction import Redactor
from vercel_sql.runtime.signals import Interrupts
from vercel_sql.sql import Delete, Exec, Parameters, Statement, Write, parse
from vercel_sql.sql.plan import Plan, what_is_left

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from vercel_sql import Connection, Cursor
    from vercel_sql.plain_rows import PlainRows
    from vercel_sql.sql.plan import Plan

_UTF8 = "utf-8-sig"  # a byte order mark is not part of the text


@dataclass(frozen=True)
class ScriptText:
    """A script, and where it came from, for errors; that is empty if it is the only script."""

    source: str
    text: str = field(repr=False)


class Inputs(NamedTuple):
    """All that is read before the first statement runs.

    Attributes:
        scripts: in the order in which they run.
        parameters: the values of the placeholders.
        hidden: values from files, which no message repeats.
    """

    scripts: Sequence[ScriptText]
    parameters: Parameters
    hidden: Sequence[str]


def read_inputs(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> Inputs:
    """Read everything; what can't be read is a usage error."""
    try:
        parameters, hidden = _parameters(arguments.parameters)
        return Inputs(_scripts(arguments.scripts), parameters, hidden)
    except ParameterError as error:
        parser.error(str(error))


def _scripts(given: Sequence[tuple[str, str]]) -> list[ScriptText]:
    scripts: list[ScriptText] = []
    several = sum(kind == "text" for kind, _ in given) > 1
    for kind, text in given:
        if kind == "text":
            number = sum(script.source.startswith("-c") for script in scripts) + 1
            source = "" if len(given) == 1 else f"-c no. {number}" if several else "-c"
            scripts.append(ScriptText(source, _checked(text, "-c")))
        elif text == "-":
            scripts.append(ScriptText("standard input", _standard_input()))
        else:
            scripts.append(ScriptText(text, _file(text, "-f")))
    for script in scripts:
        if "\0" in script.text:  # DuckDB 1.5 ignores it; a power cut leaves such files
            _refuse(f"{script.source or '-c'} is damaged, or not text: it contains NUL")
    return scripts


def _parameters(given: Sequence[str]) -> tuple[Parameters, list[str]]:
    values: dict[str, str] = {}
    hidden: list[str] = []
    for text in given:
        name, equals, value = text.partition("=")
        option = f"--param {name}"
        if not equals or not name:
            _refuse("--param takes NAME=VALUE")
        if name in values:
            _refuse(f"{option} is given twice")
        if value.startswith("@") and not value.startswith("@@"):
            value = _file(value[1:], option).removesuffix("\n").removesuffix("\r")
            hidden.append(value)
        else:
            value = _checked(value, option)
            value = value[1:] if value.startswith("@@") else value
        values[_checked(name, "--param")] = value
    return Parameters(values, text=True), hidden


def _checked(text: str, option: str) -> str:
    """An argument, which Python decodes with surrogates if the locale is not UTF-8."""
    try:
        return text if text.isascii() else os.fsencode(text).decode("utf-8")
    except UnicodeError:
        pass
    if any("\ud800" <= character <= "\udfff" for character in text):
        _refuse(f"{option} is not UTF-8 text")
    return text


def _standard_input() -> str:
    if sys.stdin is None:
        _refuse("standard input is closed")
    try:
        # The bytes, since the locale's decoding accepts what is not text.
        with waiting("statements on standard input"):
            return sys.stdin.buffer.read().decode(_UTF8)
    except OSError as error:
        _refuse(f"standard input can't be read: {error.strerror or 'unknown error'}")
    except UnicodeDecodeError:
        _refuse("standard input is not UTF-8 text")


def _file(path: str, option: str) -> str:
    try:
        with waiting(path):  # it may be a named pipe
            return named_path(path).read_text(_UTF8)
    except OSError as error:
        _refuse(f"{option}: {path} can't be read: {error.strerror or 'unknown error'}")
    except UnicodeDecodeError:
        _refuse(f"{option}: {path} is not UTF-8 text")


def _refuse(text: str) -> NoReturn:
    raise ParameterError(text) from None


_HINTS: Mapping[type[Error], str] = MappingProxyType(
    {
        MissingTokenError: "The command line takes it from --token-file FILE, VERCEL_TOKEN or a "
        "login; to try things out without one, run vercel-sql demo.",
        TooManyWritesError: "(here: --max-writes N)",
        WaitTooLongError: "(here: --max-wait SECONDS)",
    }
)


@dataclass(frozen=True)
class RunnerOptions:
    """How the command line runs statements, and how the shell does.

    Attributes:
        is_shell: whether the process goes on after the statements: then a second signal ends it
            if DuckDB doesn't stop, and errors of a sole statement don't say where it is.
        watched: whether to show the progress of a long statement.
        hints: what to do about a kind of error; the first that fits is shown.
        unbound: what to do about placeholders without values, and the reverse.
        approve: asked before a write sends anything; None allows all.
        around: entered for each statement, and left when its result is written.
    """

    is_shell: bool = False
    watched: bool = True
    hints: Mapping[type[Error], str] = field(default_factory=lambda: _HINTS)
    unbound: str = "Values are given as --param NAME=VALUE."
    approve: Callable[[Plan], bool] | None = None
    around: Callable[[], AbstractContextManager[object]] = nullcontext

    @property
    def prefix(self) -> str:
        return "" if self.is_shell else "vercel-sql: "


def run_query(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    if is_closed(sys.stdout):
        parser.error("standard output is closed, and results would be lost; nothing was run")
    inputs = read_inputs(arguments, parser)
    try:
        connection = opened(arguments, _client_later=_needs_no_client(arguments, inputs))
    except Error as error:
        # No statement has run: an option names something unusable.
        complain(str(error))
        return WRONG_USE
    with connection:
        options = RunnerOptions(watched=not arguments.verbose)
        runner = Runner(connection, Output.in_format(arguments.format), options, inputs.hidden)
        with also_masking(runner.mask):
            return runner.run(inputs.scripts, inputs.parameters)


def _needs_no_client(arguments: argparse.Namespace, inputs: Inputs) -> bool:
    """Whether nothing of Vercel is named, and no option for it that has to be checked."""
    account = (arguments.token_file, arguments.audit_log, arguments.api_url, arguments.oauth_url)
    texts = (script.text.casefold() for script in inputs.scripts)
    return not any((*account, arguments.marketplace_url)) and all("vercel" not in t for t in texts)


class Runner:
    """Runs scripts on one connection; a script stops at its first error, after its rows.

    No message repeats the hidden values. They come from files and may be secret, but results and
    requests may show them.
    """

    def __init__(
        self,
        connection: Connection,
        writer: Output,
        options: RunnerOptions,
        hidden: Sequence[str] = (),
    ) -> None:
        self._connection = connection
        self._writer = writer
        self._options = options
        self._hidden = Redactor()
        for value in hidden:
            self._hidden.add(value)
        self._interrupts = Interrupts(connection.interrupt)
        self._progress = Progress()
        self._running: tuple[ScriptText, Statement] | None = None
        self._is_sole = False
        self._is_approved = False  # the statement may have sent a write
        connection.approve = self._approve
        connection.execute(LOSSLESS)

    def mask(self, text: str) -> str:
        return self._hidden.mask(self._connection.mask(text))

    def complain(self, text: str) -> None:
        complain(self.mask(text), self._options.prefix)

    def run(self, scripts: Sequence[ScriptText], parameters: Parameters) -> int:
        self._running = None
        try:
            with self.stoppable():
                return self._run(scripts, parameters)
        except KeyboardInterrupt as signal:
            return self._interrupted(signal)

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """Let a signal stop DuckDB too, and raise KeyboardInterrupt."""
        settle = partial(self._connection.execute, "SELECT 1")
        self._interrupts = interrupts = Interrupts(
            self._connection.interrupt,
            leaves=2 if self._options.is_shell else 1,
            settle=settle if self._options.is_shell else None,
        )
        try:
            with interrupts.listening():
                yield
        finally:
            if interrupts.came:  # of nested ones, any will do
                self._interrupts = interrupts

    @property
    def stop_code(self) -> int:
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
            self.complain(f"{error} {self._options.unbound}")
            return WRONG_USE
        except Error as error:
            return self._failed(error, "")
        self._is_sole = len(statements) == 1
        for number, self._running in enumerate(statements, start=1):
            self._is_approved = False
            with self._options.around():
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
        """Run a statement, and write its result once it is complete."""
        with (
            progress(self._connection, watched())
            if self._options.watched
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
        results = self._connection.client.create_results if secrets else None
        with rescued(table, secrets, results):
            self._writer.write(table, secrets, whole=whole)

    def _approve(self, plan: Plan) -> bool:
        """Ask for approval if necessary, and let the progress count the coming requests."""
        self._writer.require_ready(has_secrets=plan.makes_secret)
        if self._options.approve is not None:
            self._progress.clear()
            with self._interrupts.asking():
                if not self._options.approve(plan):
                    return False
        elif plan.pace.forecasts:
            self._progress.clear()
            self.complain(f"{plan.what}: {plan.pace}")
        self._is_approved = True
        self._progress.expect(plan)
        return True

    def _partly_failed(self, error: PartialWriteError) -> int:
        """Write what was done: it can't be undone, and its secrets are shown only once."""
        if error.table is not None:
            try:
                # Nobody can ask for this list again.
                self._put(error.table, self._secret_columns(error.table), whole=True)
            except OutputError as unwritten:
                complain(str(unwritten), self._options.prefix)
        was_stopped = self._interrupts.came and not isinstance(error.cause, APIError)
        if was_stopped and not isinstance(error, RotationError):
            return self._interrupted(error)
        self.complain(f"{self._place()}{error.placed('in the output')}")
        return self._interrupts.exit_code if was_stopped else FAILED

    def _secret_columns(self, table: pa.Table) -> frozenset[str]:
        """The columns with a known secret, or all; none for DELETE, whose secrets are void."""
        if self._running and isinstance(self._running[1], Delete):
            return frozenset()
        mask = self._connection.mask
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
        """Whether the interrupted statement is known to have changed nothing."""
        if not self._is_approved:
            return True
        # A KeyboardInterrupt replaces the statement's own error.
        own = error.__context__ if isinstance(error, KeyboardInterrupt) else error
        return isinstance(own, StatementCancelledError) and own.nothing_changed

    def _in_doubt(self) -> str:
        """What to do if the outcome of the interrupted request is unknown."""
        text = (
            ". The outcome of the request in progress is unknown: list the table before you "
            "repeat the statement"
        )
        if self._running and isinstance(self._running[1], Delete):
            return text
        return f"{text}, or run vercel-sql recover to see whether a token was made"

    def _failed(self, error: Exception, place: str) -> int:
        hints = [hint for kind, hint in self._options.hints.items() if isinstance(error, kind)]
        if not place and self._options.is_shell and isinstance(error, APIError):
            place = "Error: "  # the server's words never begin a line
        self.complain(" ".join([f"{place}{error}", *hints[:1]]))
        return FAILED

    def _place(self) -> str:
        if self._running is None:
            return ""
        script, statement = self._running
        if self._is_sole and not script.source and self._options.is_shell:
            return ""
        source = f" of {script.source}" if script.source else ""
        return f"in the statement at {statement.fragment.position}{source}: "
