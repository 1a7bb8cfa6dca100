"""Runs statements from the command line: results to standard output, all else to standard error."""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pyarrow as pa

from vercel_sql import Connection, Cursor, connect
from vercel_sql.cli.exit_codes import FAILED, FINE, WRONG_USE
from vercel_sql.cli.progress import progress
from vercel_sql.cli.render import SEPARATORS, render
from vercel_sql.cli.render.escapes import visible
from vercel_sql.errors import Error, ParameterError, PartialWriteError
from vercel_sql.sql import Parameters, Statement, parse


def run_query(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Runs the scripts of the command line and gives the exit code."""
    parameters = _parameters(arguments.parameters, parser)
    scripts = [_script(kind, text, parser) for kind, text in arguments.scripts]
    with _logging(arguments.verbose):
        try:
            connection = _connect(arguments)
        except Error as error:
            _complain(str(error))
            return WRONG_USE if isinstance(error, ParameterError) else FAILED
        with connection:
            # The renderers write every type exactly, and for that have to be given it exactly.
            connection.duckdb.execute("SET arrow_lossless_conversion = true")
            return _Run(connection, arguments.format).run(scripts, parameters)


def _connect(arguments: argparse.Namespace) -> Connection:
    return connect(
        api_url=arguments.api_url,
        database=arguments.database,
        token_file=arguments.token_file,
        read_only=arguments.read_only,
        secrets_file=arguments.save_secrets,
        expect_rows=arguments.expect_rows,
        timeout=arguments.timeout,
    )


class _Run:
    """One run over some scripts: stops at the first error, after its rows were written."""

    def __init__(self, connection: Connection, fmt: str) -> None:
        self._connection = connection
        self._printer = Printer(fmt)

    def run(self, scripts: Sequence[str], parameters: Parameters) -> int:
        running: Statement | None = None
        try:
            statements = [statement for script in scripts for statement in parse(script)]
            results = self._connection.run(statements, parameters)
            with progress(self._connection):
                for statement in statements:
                    running = statement
                    _, cursor = next(results)
                    self._printer.write_cursor(cursor)
        except PartialWriteError as error:
            # What was done can't be undone, and its secrets are shown only once.
            if error.table is not None:
                self._printer.write(error.table, _all_columns(error.table))
            return self._failed(error, running)
        except (Error, OutputError) as error:
            return self._failed(error, running)
        return FINE

    def _failed(self, error: Exception, running: Statement | None) -> int:
        place = "" if running is None else f"in the statement at {running.fragment.position}: "
        _complain(self._connection.client.redactor.mask(f"{place}{error}"))
        return FAILED


def _all_columns(table: pa.Table) -> frozenset[str]:
    return frozenset(table.column_names)


class OutputError(Exception):
    """A result could not be written."""


class Printer:
    """Writes results to standard output, one after the other.

    Args:
        fmt: one of the renderers' formats.
    """

    def __init__(self, fmt: str) -> None:
        self._format = fmt
        self._first = True

    def write_cursor(self, cursor: Cursor) -> None:
        """Writes a result, if there is one. It is read to its end first: never half a result."""
        if cursor.description is None:
            return
        self.write(cursor.arrow(), cursor.secret_columns)

    def write(self, table: pa.Table, secrets: frozenset[str]) -> None:
        """Writes rows; a secret that standard output does not take goes to standard error.

        Raises:
            OutputError: standard output does not take them.
        """
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        try:
            if not self._first:
                sys.stdout.write(SEPARATORS[self._format])
            self._first = False
            render(table, self._format, sys.stdout, width=width, secret_columns=secrets)
            sys.stdout.flush()
        except OSError as error:
            if secrets and table.num_rows:
                sys.stderr.write("the rows below could not be written to standard output:\n")
                render(table, "ndjson", sys.stderr, width=None, secret_columns=secrets)
            raise OutputError(f"the result can't be written: {error.strerror or error}") from None


def _parameters(given: Sequence[str], parser: argparse.ArgumentParser) -> Parameters:
    values: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            parser.error("--param takes NAME=VALUE")
        if name in values:
            parser.error(f"--param {name} is given twice")
        values[name] = _parameter_value(name, value, parser)
    try:
        return Parameters(values, text=True)
    except ParameterError as error:
        parser.error(str(error))


def _parameter_value(name: str, value: str, parser: argparse.ArgumentParser) -> str:
    if value.startswith("@@"):
        return value[1:]
    if not value.startswith("@"):
        return value
    text = _read(value[1:], f"--param {name}", parser)
    return text.removesuffix("\n").removesuffix("\r")


def _script(kind: str, text: str, parser: argparse.ArgumentParser) -> str:
    if kind == "text":
        return text
    if text == "-":
        return sys.stdin.read()
    return _read(text, "-f", parser)


def _read(path: str, option: str, parser: argparse.ArgumentParser) -> str:
    try:
        return Path(path).expanduser().read_text("utf-8-sig")
    except OSError as error:
        _wrong_use(parser, f"{option}: {path} can't be read: {error.strerror or 'unknown error'}")
    except UnicodeDecodeError:
        _wrong_use(parser, f"{option}: {path} is not UTF-8 text")


def _wrong_use(parser: argparse.ArgumentParser, message: str) -> NoReturn:
    parser.error(message)


def _complain(message: str) -> None:
    lines = "\n".join(visible(line) for line in message.splitlines())
    sys.stderr.write(f"vercel-sql: {lines}\n")


@contextmanager
def _logging(verbose: bool) -> Iterator[None]:
    """Sends the log of the requests to standard error, where it was asked for."""
    if not verbose:
        yield
        return
    logger = logging.getLogger("vercel_sql")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
