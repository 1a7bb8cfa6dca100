"""``vercel-sql run``: runs reports; a report is complete, or it is an error and nothing else."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from vercel_sql import Connection
from vercel_sql.api.logger import also_masking
from vercel_sql.api.private_files import make_private
from vercel_sql.api.redaction import Redactor
from vercel_sql.cli.exit_codes import FAILED, FINE, ROWS, WRONG_USE
from vercel_sql.cli.inputs import Inputs, read_inputs
from vercel_sql.cli.logged import logged
from vercel_sql.cli.options import opened
from vercel_sql.cli.output import watched
from vercel_sql.cli.reports.checks import Ready, check, refuse_unknown
from vercel_sql.cli.reports.options import add_options
from vercel_sql.cli.reports.outputs import BINARY, WITH_FACTS, Directory, Output, StandardOutput
from vercel_sql.cli.reports.report import Report, read_report
from vercel_sql.cli.reports.running import Desk
from vercel_sql.cli.streams import OutputError, is_closed
from vercel_sql.errors import Error, ProgrammingError
from vercel_sql.interrupts import Interrupts
from vercel_sql.messages import complain
from vercel_sql.paths import named_path
from vercel_sql.progress import progress

_SETTINGS = (
    # The renderers write every type exactly, and for that have to be given it exactly.
    "SET arrow_lossless_conversion = true",
)


def run_reports(parser: argparse.ArgumentParser, argv: Sequence[str]) -> int:
    """Runs the command and gives its exit code."""
    add_options(parser)
    arguments, unknown = parser.parse_known_intermixed_args(argv)
    if unknown:
        # What follows the = may be a secret.
        parser.error(f"there is no option {unknown[0].partition('=')[0]}")
    if is_closed(sys.stdout) and arguments.out is None:
        parser.error("standard output is closed, and --out names no directory; nothing was run")
    return logged(arguments, lambda: _run_reports(arguments, parser))


def _run_reports(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    inputs = read_inputs(arguments, parser)
    try:
        reports = [read_report(path) for path in arguments.files]
        refuse_unknown(inputs.parameters, reports)
        output = _output(arguments, reports, parser)
        connection = opened(arguments)
    except Error as error:
        complain(_masking(inputs).mask(str(error)))
        return WRONG_USE
    with connection, also_masking(_masking(inputs).mask):
        return _Run(connection, arguments, inputs, output).run(reports)


def _output(
    arguments: argparse.Namespace, reports: Sequence[Report], parser: argparse.ArgumentParser
) -> Output:
    several = len(reports) > 1
    if arguments.out is None:
        if arguments.format in BINARY:
            parser.error(f"{arguments.format} is no text: --out DIR says where the files go")
        if several and arguments.format == "html":
            parser.error("several html pages are several files: --out DIR says where they go")
        return StandardOutput(arguments.format, raw=arguments.raw, titled=several)
    names: dict[str, Report] = {}
    for report in reports:
        if report.name.lower() in names:  # there are file systems that ignore case
            parser.error(
                f"{names[report.name.lower()].path} and {report.path} would be written to one file"
            )
        names[report.name.lower()] = report
    try:
        directory = named_path(arguments.out)
        make_private(directory, sticky=True)
    except OSError as error:
        parser.error(f"--out {arguments.out}: {error.strerror or 'it can not be used'}")
    return Directory(directory, arguments.format, raw=arguments.raw)


def _masking(inputs: Inputs) -> Redactor:
    """What hides values that came from files: they may be secret."""
    redactor = Redactor()
    for value in inputs.hidden:
        redactor.add(value)
    return redactor


class _Run:
    """One run: all reports are checked, then each is run, and a failure stops none of the others."""

    def __init__(
        self,
        connection: Connection,
        arguments: argparse.Namespace,
        inputs: Inputs,
        output: Output,
    ) -> None:
        self._connection = connection
        self._arguments = arguments
        self._parameters = inputs.parameters
        self._hidden = _masking(inputs)
        self._output = output
        self._desk = Desk(connection, with_account=arguments.format in WITH_FACTS)
        self._interrupts = Interrupts(connection.interrupt, leaves=1)
        self._code = FINE

    def run(self, reports: Sequence[Report]) -> int:
        """Runs all reports and gives the worst of their exit codes."""
        try:
            with self._interrupts.listening():
                return self._run(reports)
        except KeyboardInterrupt:
            complain("interrupted")
            return self._interrupts.exit_code

    def _run(self, reports: Sequence[Report]) -> int:
        try:
            self._prepare()
            checked = [check(each, self._parameters, self._connection) for each in reports]
        except Error as error:
            self._complain(str(error))
            return WRONG_USE
        for ready in checked:
            self._run_one(ready)
        return self._code

    def _prepare(self) -> None:
        for setting in _SETTINGS:
            self._connection.execute(setting)
        if self._arguments.history is not None:
            self._desk.attach_history(self._arguments.history)

    def _run_one(self, ready: Ready) -> None:
        report = ready.report
        try:
            with progress(self._connection, None if self._arguments.verbose else watched()):
                outcome = self._desk.run(ready)
            rows = outcome.table.num_rows
            broken = self._broken_rule(rows)
            where = ""
            if broken or not (self._arguments.quiet and self._arguments.out is None):
                where = self._output.write(outcome)
        except OutputError as error:
            if error.reader_left:
                raise BrokenPipeError from None
            self._fail(report, str(error))
            return
        except Error as error:
            if self._interrupts.came:
                raise KeyboardInterrupt from None
            self._fail(report, _in_one_line(error))
            return
        if broken and self._code == FINE:
            self._code = ROWS
        if broken or (where and not self._arguments.quiet):
            counted = f"{rows} {'row' if rows == 1 else 'rows'}"
            complain(", ".join(filter(None, [f"{report.path}: {counted}", where, broken])))

    def _broken_rule(self, rows: int) -> str:
        """What the number of rows breaks; empty if nothing."""
        if rows and self._arguments.fail_if_rows:
            return "which --fail-if-rows makes a failure"
        if not rows and self._arguments.fail_if_empty:
            return "which --fail-if-empty makes a failure"
        return ""

    def _fail(self, report: Report, reason: str) -> None:
        self._code = FAILED
        self._complain(f"{report.path}: {reason}")

    def _complain(self, text: str) -> None:
        complain(self._hidden.mask(self._connection.client.redactor.mask(text)))


def _in_one_line(error: Error) -> str:
    """What went wrong; where SQL is wrong, DuckDB shows the place in lines of its own."""
    text = str(error)
    return text if isinstance(error, ProgrammingError) else " ".join(text.split())
