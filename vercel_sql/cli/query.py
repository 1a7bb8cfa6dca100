"""Runs statements from the command line: results to standard output, all else to standard error."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa

from vercel_sql import Connection, Cursor, connect
from vercel_sql.api.redaction import Redactor
from vercel_sql.cli.exit_codes import FAILED, FINE, WRONG_USE
from vercel_sql.cli.inputs import Inputs, ScriptText, read_inputs
from vercel_sql.cli.interrupts import Interrupts
from vercel_sql.cli.output import OutputError, Printer, complain
from vercel_sql.cli.progress import progress
from vercel_sql.errors import (
    Error,
    MissingTokenError,
    ParameterError,
    PartialWriteError,
)
from vercel_sql.sql import Exec, Statement, Write, parse

_SETTINGS = (
    # The renderers write every type exactly, and for that have to be given it exactly.
    "SET arrow_lossless_conversion = true",
)


def run_query(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Runs the scripts of the command line and gives the exit code."""
    if sys.stdout is None:
        parser.error("standard output is closed, and results would be lost; nothing was run")
    inputs = read_inputs(arguments, parser)
    try:
        connection = _connect(arguments)
    except Error as error:
        # No statement has run: what the options name can't be used.
        complain(str(error))
        return WRONG_USE
    with connection:
        for setting in _SETTINGS:
            connection.execute(setting)
        run = _Run(connection, arguments.format, inputs)
        with _logging(arguments.verbose, run.mask):
            return run.run(watched=not arguments.verbose)


def _connect(arguments: argparse.Namespace) -> Connection:
    return connect(
        api_url=arguments.api_url,
        oauth_url=arguments.oauth_url,
        database=arguments.database,
        token_file=arguments.token_file,
        read_only=arguments.read_only,
        secrets_file=arguments.save_secrets,
        expect_rows=arguments.expect_rows,
        timeout=arguments.timeout,
    )


class _Run:
    """One run over some scripts: stops at the first error, after its rows were written."""

    def __init__(self, connection: Connection, fmt: str, inputs: Inputs) -> None:
        self._connection = connection
        self._printer = Printer(fmt)
        self._inputs = inputs
        self._interrupts = Interrupts(connection.interrupt)
        self._running: tuple[ScriptText, Statement] | None = None
        # What came from files may be secret, but only here: results and requests may show it.
        self._hidden = Redactor()
        for value in inputs.hidden:
            self._hidden.add(value)

    def mask(self, text: str) -> str:
        """The text without anything that is secret."""
        return self._hidden.mask(self._connection.client.redactor.mask(text))

    def run(self, *, watched: bool) -> int:
        """Runs all statements and gives the exit code.

        Args:
            watched: whether somebody may want to see how far a long statement is.
        """
        try:
            with self._interrupts.listening():
                return self._run(watched)
        except KeyboardInterrupt:
            return self._interrupted()
        except RuntimeError:
            # DuckDB's word for it, where it was stopped within one of its own steps.
            if self._interrupts.came:
                return self._interrupted()
            raise

    def _run(self, watched: bool) -> int:
        script: ScriptText | None = None
        try:
            statements = []
            for script in self._inputs.scripts:
                statements += [(script, statement) for statement in parse(script.text)]
        except Error as error:
            return self._failed(error, f"in {script.source}: " if script and script.source else "")
        try:
            results = self._connection.run([s for _, s in statements], self._inputs.parameters)
        except ParameterError as error:
            complain(self.mask(f"{error} Values are given as --param NAME=VALUE."))
            return WRONG_USE
        except Error as error:
            return self._failed(error, "")
        for number, self._running in enumerate(statements, start=1):
            code = self._run_next(results, watched=watched, last=number == len(statements))
            if code != FINE:
                return code
        return FINE

    def _run_next(
        self, results: Iterator[tuple[Statement, Cursor]], *, watched: bool, last: bool
    ) -> int:
        try:
            self._write_next(results, watched)
        except PartialWriteError as error:
            return self._partly_failed(error)
        except OutputError as error:
            if error.reader_left and last:
                return FAILED
            return self._failed(error, self._place())
        except Error as error:
            if self._interrupts.came:
                return self._interrupted()
            return self._failed(error, self._place())
        return FINE

    def _write_next(self, results: Iterator[tuple[Statement, Cursor]], watched: bool) -> None:
        """Runs a statement and writes its result, read to its end first: never half of one."""
        with progress(self._connection) if watched else _nothing():
            _, cursor = next(results)
            if cursor.description is None:
                return
            secrets = cursor.secret_columns
            if not secrets:
                table = cursor.arrow()
        if not secrets:
            self._printer.write(table, secrets)
            return
        with self._interrupts.held_back():
            self._printer.write(cursor.arrow(), secrets)

    def _partly_failed(self, error: PartialWriteError) -> int:
        """Writes what was done: it can't be undone, and its secrets are shown only once."""
        done = 0
        if error.table is not None:
            done = error.table.num_rows
            try:
                self._printer.write(error.table, self._secret_columns(error.table))
            except OutputError as unwritten:
                complain(str(unwritten))
        if isinstance(error.cause, KeyboardInterrupt):
            return self._interrupted(done)
        text = str(error).removesuffix(", and are kept in this error")
        if done:
            text += f"; {'its row is' if done == 1 else 'their rows are'} in the output"
        complain(self.mask(f"{self._place()}{text}"))
        return FAILED

    def _secret_columns(self, table: pa.Table) -> frozenset[str]:
        """The columns with a value that is known as secret; all, should there be none."""
        mask = self._connection.client.redactor.mask
        found = [
            name
            for name, column in zip(table.column_names, table.columns, strict=True)
            if any(mask(text) != text for text in map(str, column.to_pylist()))
        ]
        return frozenset(found or table.column_names)

    def _interrupted(self, done: int = 0) -> int:
        text = f"{self._place()}interrupted" if self._running else "interrupted"
        if done:
            text += (
                f" after {done} {'row was' if done == 1 else 'rows were'} carried out (see above)"
            )
        if self._running and isinstance(self._running[1], Write | Exec):
            text += (
                ". The request that was under way may have been carried out all the same: "
                "list the table before you repeat the statement"
            )
        complain(text)
        return self._interrupts.exit_code

    def _failed(self, error: Exception, place: str) -> int:
        text = f"{place}{error}"
        if isinstance(error, MissingTokenError):
            text += (
                " The command line takes it from --token-file FILE, VERCEL_TOKEN or a login; "
                "to try things out without one, run vercel-sql demo."
            )
        complain(self.mask(text))
        return FAILED

    def _place(self) -> str:
        if self._running is None:
            return ""
        script, statement = self._running
        source = f" of {script.source}" if script.source else ""
        return f"in the statement at {statement.fragment.position}{source}: "


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _logging(verbose: bool, mask: Callable[[str], str]) -> Iterator[None]:
    """Sends the log of the requests to standard error, where it was asked for."""
    if not verbose:
        yield
        return
    logger = logging.getLogger("vercel_sql")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Masking(mask))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Masking(logging.Formatter):
    def __init__(self, mask: Callable[[str], str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        return self._mask(super().format(record))
