"""``vercel-sql run``: runs reports; a report is complete, or it is an error and nothing else."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from difflib import get_close_matches
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

import duckdb
import pyarrow as pa

from vercel_sql.catalog.ddl import literal, quoted
from vercel_sql.cli import FAILED, FINE, ROWS, WRONG_USE
from vercel_sql.cli.accounts import opened
from vercel_sql.cli.history import BusyError, Target, holder, in_turn
from vercel_sql.cli.output import LOSSLESS, Output
from vercel_sql.cli.reports import BINARY, SUFFIXES, WITH_FACTS
from vercel_sql.cli.reports.report import Report, ReportError, RunFacts, read_report, value_of
from vercel_sql.cli.reports.rows import without_formulas
from vercel_sql.cli.runner import read_inputs
from vercel_sql.cli.terminal import OutputError, complain, counted, in_time, is_closed, watched
from vercel_sql.errors import Error, ParameterError, ProgrammingError
from vercel_sql.files import make_private, named_path, replace, require_replaceable, sync_file
from vercel_sql.http.events import Doubt, RequestEvent
from vercel_sql.logger import also_masking
from vercel_sql.progress import progress
from vercel_sql.redaction import Redactor
from vercel_sql.render import SEPARATORS, render
from vercel_sql.runtime.signals import Interrupts
from vercel_sql.sql import NO_PARAMETERS, Native, Parameters, Statement, parse
from vercel_sql.text import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from vercel_sql import Connection

_UNATTACHED = "--history can't be attached"
_ATTACH_SECONDS = 60.0
_USER = "SELECT coalesce(name, username), email FROM vercel.user.user"


def run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    if is_closed(sys.stdout) and arguments.out is None:
        parser.error("standard output is closed, and --out names no directory; nothing was run")
    inputs = read_inputs(arguments, parser)
    hidden = Redactor()  # values from files may be secret
    for value in inputs.hidden:
        hidden.add(value)
    try:
        reports = [read_report(path) for path in arguments.files]
        _refuse_unknown(inputs.parameters, reports)
        writer = _writer(arguments, reports, parser)
        connection = opened(arguments)
    except Error as error:
        complain(hidden.mask(str(error)))
        return WRONG_USE
    with connection, also_masking(hidden.mask):
        return ReportRunner(connection, arguments, hidden, writer).run(reports, inputs.parameters)


def _refuse_unknown(given: Parameters, reports: Sequence[Report]) -> None:
    """Raise `ParameterError` for a parameter that no report has."""
    known = {each.name.lower(): each.name for report in reports for each in report.parameters}
    for name in given:
        if name.lower() in known:
            continue
        near = get_close_matches(name.lower(), known, n=1)
        if near:
            hint = f"did you mean {known[near[0]]}?"
        elif known:
            hint = f"the parameters are {', '.join(known.values())}"
        else:
            hint = "a header declares one as 'Parameter: name TYPE = default -- what it means'"
        raise ParameterError(f"no report has a parameter {name}; {hint}")


def _writer(
    arguments: argparse.Namespace, reports: Sequence[Report], parser: argparse.ArgumentParser
) -> ReportWriter:
    several = len(reports) > 1
    if arguments.out is None:
        if arguments.format in BINARY:
            parser.error(f"{arguments.format} is not text: --out DIR says where the files go")
        if several and arguments.format == "html":
            parser.error("several html pages need several files: --out DIR says where they go")
        return ReportWriter(arguments.format, None, raw=arguments.raw, titled=several)
    names: dict[str, Report] = {}
    for report in reports:
        other = names.setdefault(report.name.lower(), report)  # some file systems ignore case
        if other is not report:
            parser.error(f"{other.path} and {report.path} would be written to the same file")
    try:
        directory = named_path(arguments.out)
        make_private(directory, sticky=True)
    except OSError as error:
        parser.error(f"--out {arguments.out}: {error.strerror or 'the system refuses it'}")
    return ReportWriter(arguments.format, directory, raw=arguments.raw, titled=False)


class ReportRunner:
    """Checks all reports, then runs each; one that fails does not stop the others."""

    def __init__(
        self,
        connection: Connection,
        arguments: argparse.Namespace,
        hidden: Redactor,
        writer: ReportWriter,
    ) -> None:
        self._connection = connection
        self._arguments = arguments
        self._hidden = hidden
        self._writer = writer
        self._interrupts = Interrupts(connection.interrupt, leaves=1)
        self._account: str | None = None
        self._code = FINE

    def run(self, reports: Sequence[Report], parameters: Parameters) -> int:
        """Run all reports, and return the worst of their exit codes."""
        try:
            with self._interrupts.listening():
                return self._run(reports, parameters)
        except KeyboardInterrupt:
            complain("interrupted")
            return self._interrupts.exit_code

    def _run(self, reports: Sequence[Report], parameters: Parameters) -> int:
        try:
            self._connection.execute(LOSSLESS)
            if self._arguments.history is not None:
                self._attach_history(self._arguments.history)
            checked = [_checked(each, parameters, self._connection) for each in reports]
        except Error as error:
            self._complain(str(error))
            return WRONG_USE
        for each in checked:
            self._run_one(each)
        return self._code

    def _attach_history(self, text: str) -> None:
        target = Target(text, "--history")
        try:
            in_turn(lambda: self._attach(text))
        except Error as error:
            raise ParameterError(f"{_UNATTACHED}: {target.reason(str(error))}") from None

    def _attach(self, target: str) -> None:
        try:
            with in_time("the database of --history", WRONG_USE, _UNATTACHED, _ATTACH_SECONDS):
                self._connection.execute(f"ATTACH {literal(target)} AS history (READ_ONLY)")
        except Error as error:
            if (other := holder(str(error))) is not None:
                raise BusyError(f"{other} has it open") from None
            raise

    def _run_one(self, checked: CheckedReport) -> None:
        path, quiet = checked.report.path, self._arguments.quiet
        try:
            with progress(self._connection, None if self._arguments.verbose else watched()):
                result = self._result(checked)
            rows = result.table.num_rows
            broken = self._broken_rule(rows)
            where = ""
            if broken or not quiet or self._arguments.out is not None:
                where = self._writer.write(result)
        except OutputError as error:
            if error.reader_left:
                raise BrokenPipeError from None
            self._fail(path, str(error))
            return
        except Error as error:
            if self._interrupts.came:
                raise KeyboardInterrupt from None
            # For wrong SQL, DuckDB shows the place on lines of its own.
            is_sql = isinstance(error, ProgrammingError)
            self._fail(path, str(error) if is_sql else " ".join(str(error).split()))
            return
        if broken and self._code == FINE:
            self._code = ROWS
        if broken or (where and not quiet):
            complain(", ".join(filter(None, [f"{path}: {counted(rows, 'row')}", where, broken])))

    def _result(self, checked: CheckedReport) -> ReportResult:
        account = self._account_name() if self._arguments.format in WITH_FACTS else ""
        client = self._connection.client
        requests, doubts = list[RequestEvent](), list[Doubt]()
        start = time.monotonic()
        with (
            self._connection.observed(requests.append),
            client.doubts.observers.subscribe(doubts.append),
        ):
            query = checked.prepare(self._connection)
            _, cursor = next(self._connection.run([query], NO_PARAMETERS))
            table = cursor.arrow()
        seconds = time.monotonic() - start
        note = client.servers.origin("api").clock_note if requests else ""
        facts = RunFacts(
            at=datetime.fromtimestamp(client.clock("api").now_ms() / 1000 - seconds, UTC),
            account=account,
            api=client.urls["api"],
            parameters=checked.values,
            requests=len(requests),
            seconds=seconds,
            warnings=[*([note] if note else []), *dict.fromkeys(map(str, doubts))],
        )
        return ReportResult(checked.report, table, facts)

    def _account_name(self) -> str:
        """The owner of the account, such as ``Ada Lovelace (ada@example.com)``."""
        if self._account is None:
            row = self._connection.execute(_USER).fetchone()
            name, email = row or (None, None)
            self._account = f"{name} ({email})" if name and email else name or email or "unknown"
        return self._account

    def _broken_rule(self, rows: int) -> str:
        if rows and self._arguments.fail_if_rows:
            return "not allowed by --fail-if-rows"
        if not rows and self._arguments.fail_if_empty:
            return "not allowed by --fail-if-empty"
        return ""

    def _fail(self, path: Path, reason: str) -> None:
        self._code = FAILED
        self._complain(f"{path}: {reason}")

    def _complain(self, text: str) -> None:
        complain(self._hidden.mask(self._connection.client.redactor.mask(text)))


class CheckedReport(NamedTuple):
    """A report that can be run: the values of its parameters, and its statements."""

    report: Report
    values: Mapping[str, Any]
    statements: Sequence[Statement]

    def prepare(self, connection: Connection) -> Statement:
        """Set the variables, run all statements but the last, and return that one."""
        native = connection.duckdb
        for (name,) in native.execute("SELECT name FROM duckdb_variables()").fetchall():
            native.execute(f"RESET VARIABLE {quoted(name)}")  # of another report
        for each in self.report.parameters:
            variable = f"SET VARIABLE {quoted(each.name)} = CAST($1 AS {each.type})"
            native.execute(variable, [self.values[each.name]])
        *before, query = self.statements
        for _ in connection.run(before, NO_PARAMETERS):
            pass
        return query


def _checked(report: Report, given: Parameters, connection: Connection) -> CheckedReport:
    """Check a report as far as possible without a request."""
    try:
        statements = _statements(report)
        checked = CheckedReport(report, _values(report, given), statements)
        described = connection.execute(f"DESCRIBE {checked.prepare(connection).text}").fetchall()
    except ParameterError:
        raise
    except (Error, duckdb.Error) as error:
        raise ReportError(f"{report.path}: {error}") from None
    columns, chart = [name for name, *_ in described], report.chart
    for column in (chart.x, chart.y, chart.series) if chart is not None else ():
        if column is not None and column not in columns:
            raise ReportError(
                f"{report.path}: the chart names the column {column}, but the report only has "
                + ", ".join(columns)
            )
    return checked


def _statements(report: Report) -> list[Statement]:
    statements = parse(report.text)
    if any(need for statement in statements for need in statement.needs()):
        raise ReportError(
            "a report reads its parameters with getvariable('name') and declares them in its "
            "header as 'Parameter: …'; it can't have placeholders"
        )
    kinds = [_kind(statement) for statement in statements]
    for statement, kind in zip(statements, kinds, strict=True):
        if kind not in ("SELECT", "SET VARIABLE"):
            raise ReportError(
                f"the statement at {statement.fragment.position} is neither a SELECT nor SET "
                "VARIABLE, and a report only reads"
            )
    if kinds.count("SELECT") != 1 or kinds[-1] != "SELECT":
        raise ReportError("a report is one SELECT, with SET VARIABLE before it if needed")
    used = {lexeme.value.lower() for each in statements for lexeme in each.fragment.lexemes}
    for name in (parameter.name for parameter in report.parameters):
        if name.lower() not in used:
            raise ReportError(
                f"the parameter {name} is not used; its value is getvariable('{name}')"
            )
    return statements


def _kind(statement: Statement) -> str:
    """SELECT for what only reads, SET VARIABLE, or empty; DuckDB's own parser decides."""
    if [lexeme.upper for lexeme in statement.fragment.lexemes[:2]] == ["SET", "VARIABLE"]:
        return "SET VARIABLE"
    if not isinstance(statement, Native):
        return ""
    with duckdb.connect() as parser:
        kinds = [each.type for each in parser.extract_statements(statement.text)]
    return "SELECT" if kinds == [duckdb.StatementType.SELECT] else ""


def _values(report: Report, given: Parameters) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for each in report.parameters:
        values[each.name] = each.default
        try:
            if each.name in given:
                values[each.name] = value_of(str(given[each.name]), each.type)
        except ValueError as error:
            raise ParameterError(
                f"--param {each.name}: {error}; {report.path} declares it as {each.type}"
            ) from None
    return values


class ReportResult(NamedTuple):
    """All rows of a report, and how they were read."""

    report: Report
    table: pa.Table
    facts: RunFacts


class ReportWriter:
    """Writes each report to a file of its name in a directory, or to standard output.

    Args:
        fmt: one of `SUFFIXES`; those in `BINARY` need a directory.
        directory: the directory, or None for standard output.
        raw: keep values that a spreadsheet would compute.
        titled: on standard output, begin each report with its title in the readable formats.
    """

    def __init__(self, fmt: str, directory: Path | None, *, raw: bool, titled: bool) -> None:
        self._format = fmt
        self._directory = directory
        self._raw = raw
        self._titled = titled and fmt in ("table", "markdown")
        self._first = True

    def write(self, result: ReportResult) -> str:
        """Write a report, or raise `OutputError`; say where: empty, or ``written to …``.

        A file is complete, or as it was before.
        """
        if self._directory is None:
            self._print(result)
            return ""
        target = self._directory / f"{result.report.name}.{SUFFIXES[self._format]}"
        try:
            with replaced(target) as part:
                self._write(result, part)
        except (OSError, duckdb.IOException) as error:
            reason = getattr(error, "strerror", None) or "the disk refuses it"
            raise OutputError(f"{target} can't be written: {reason}", reader_left=False) from None
        return f"written to {target}"

    def _print(self, result: ReportResult) -> None:
        try:
            if self._format == "html":
                _write_page(result, sys.stdout)
            else:
                sys.stdout.write("" if self._first else SEPARATORS[self._format])
                self._first = False
                if self._titled:
                    mark = "## " if self._format == "markdown" else ""
                    say(f"{mark}{result.report.title}", "", out=sys.stdout)
                Output.in_format(self._format).write(self._safe(result.table), frozenset())
            sys.stdout.flush()
        except OSError as error:
            left = isinstance(error, BrokenPipeError)
            reason = f"the result can't be written: {error.strerror or error}"
            raise OutputError(reason, reader_left=left) from None

    def _write(self, result: ReportResult, path: Path) -> None:
        if self._format == "parquet":
            with duckdb.connect() as con:  # which knows its own types best
                con.from_arrow(result.table).write_parquet(str(path), compression="zstd")
        elif self._format == "xlsx":
            _write_workbook(result, path, raw=self._raw)
        else:
            # Excel on Windows needs this mark to read a CSV file as UTF-8.
            has_mark = self._format == "csv" and not self._raw
            encoding = "utf-8-sig" if has_mark else "utf-8"
            with path.open("w", encoding=encoding, newline="") as text:
                if self._format == "html":
                    _write_page(result, text)
                else:
                    render(self._safe(result.table), self._format, text, width=None)

    def _safe(self, table: pa.Table) -> pa.Table:
        """The rows as they may be written: spreadsheets compute formulas in CSV files."""
        return table if self._format != "csv" or self._raw else without_formulas(table)


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Yield a path to write to, and move it over the file at the end.

    If the context ends with an error, the file stays as it was. The path is in a private directory
    beside the file, so its writer may create files of any mode. A killed process leaves that
    directory behind.
    """
    require_replaceable(path)
    beside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        part = beside / path.name
        yield part
        part.chmod(0o600)  # rows contain the ids of tokens
        sync_file(part)  # otherwise a power cut could leave an empty file
        replace(part, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


# The writers are imported when they are used, because they take long to load.


def _write_page(result: ReportResult, out: TextIO) -> None:
    from vercel_sql.cli.reports import html

    html.write_page(*result, out)


def _write_workbook(result: ReportResult, path: Path, *, raw: bool) -> None:
    from xlsxwriter.exceptions import FileCreateError

    from vercel_sql.cli.reports import xlsx

    # In memory: if a file can't be written, the library tries again when it is collected.
    book = BytesIO()
    try:
        xlsx.write_workbook(*result, book, raw=raw)
    except FileCreateError as error:  # its temporary files
        raise OSError(*error.args[0].args) from None
    path.write_bytes(book.getbuffer())
