"""A report: an SQL file whose first comment says what it answers, and with which parameters.

::

    -- Stale tokens
    --
    -- Answers: Which tokens has nobody used for more than `days` days?
    -- Parameter: days INTEGER = 90 -- whole days without use
    -- On a hit: Ask the owner;
    --   revoke what nobody misses.
    -- Chart: bar name, idle_days

The title comes first, then the fields; an indented line continues the one before. A file whose
first comment has no fields is a report as well, with its file name as the title.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import duckdb

from vercel_sql import Connection
from vercel_sql.catalog.ddl import quoted
from vercel_sql.cli.terminal import waiting
from vercel_sql.errors import Error, ParameterError
from vercel_sql.files import named_path
from vercel_sql.sql import NO_PARAMETERS, Native, Parameters, Statement, parse

CHART_KINDS = ("bar", "line", "timeline")
TYPES = ("INTEGER", "BIGINT", "DOUBLE", "BOOLEAN", "VARCHAR", "DATE", "TIMESTAMPTZ")

_FIELDS = {name.lower(): name for name in ("Answers", "Parameter", "On a hit", "Chart")}
_FIELD = re.compile(r"([A-Za-z][A-Za-z ]{2,15}):(?:\s+(.*))?")
_PARAMETER = re.compile(r"([A-Za-z_]\w*)\s+(\w+)\s*=\s*('(?:[^']|'')*'|.+?)\s+--\s+(\S.*)")
_NAME = re.compile(r"[A-Za-z_]\w*")

Value = bool | int | float | str | date | datetime


class ReportError(Error):
    """A file is not a report; the message names the file, and the line if there is one."""


@dataclass(frozen=True)
class Parameter:
    """A value that a report takes.

    Attributes:
        name: the DuckDB variable that it sets.
        type: one of `TYPES`.
        default: its value if none is given; None leaves the variable NULL.
        meaning: what it means.
    """

    name: str
    type: str
    default: Value | None
    meaning: str


@dataclass(frozen=True)
class Chart:
    """The chart of a report.

    Attributes:
        kind: one of `CHART_KINDS`.
        x: the column along the axis: what is compared, or a time.
        y: the column that is drawn: a number, or the name of a timeline's lane.
        series: the column that separates lines or parts of a bar, or None.
    """

    kind: str
    x: str
    y: str
    series: str | None = None


@dataclass(frozen=True)
class Report:
    """An SQL file that answers one question.

    Attributes:
        name: the file's name without its suffix, and that of the files written from it.
        path: its path.
        title: a few words.
        answers: the question; empty if the file has no header.
        on_hit: what to do about the rows; may be empty.
        parameters: in the header's order.
        chart: the chart, or None.
        text: the whole file.
    """

    name: str
    path: Path
    title: str
    answers: str
    on_hit: str
    parameters: tuple[Parameter, ...]
    chart: Chart | None
    text: str = field(repr=False)


def read_report(path: str | Path) -> Report:
    """Read a report; `ReportError` if the file can't be read or its header is malformed."""
    path = Path(path)
    try:
        with waiting(str(path)):  # it may be a named pipe
            text = named_path(path).read_text("utf-8-sig")
    except OSError as error:
        raise ReportError(f"{path} can't be read: {error.strerror or 'unknown error'}") from None
    except UnicodeDecodeError:
        raise ReportError(f"{path} is not UTF-8 text") from None
    return _Header(path).read(text)


class _Header:
    """Reads the first comment of a file, line by line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, text: str) -> Report:
        lines = list(_comment_lines(text))
        name = self._path.stem
        if not any(_begins_field(line) for _, line in lines):
            return Report(name, self._path, name, "", "", (), None, text)
        number, title = lines[0]
        if not title.strip() or _begins_field(title):
            self._fail(number, "the header begins with a title, before its fields")
        once = {}
        parameters: list[Parameter] = []
        for line, field_name, content in self._fields(lines[1:]):
            if field_name == "Parameter":
                parameters.append(self._parameter(line, content, parameters))
            elif field_name in once:
                self._fail(line, f"{field_name} is given twice")
            else:
                once[field_name] = (line, content)
        if "Answers" not in once:
            self._fail(number, "the header has no line 'Answers: …'")
        chart = self._chart(*once["Chart"]) if "Chart" in once else None
        answers, on_hit = once["Answers"][1], once.get("On a hit", (0, ""))[1]
        known = tuple(parameters)
        return Report(name, self._path, title.strip(), answers, on_hit, known, chart, text)

    def _fields(self, lines: Sequence[tuple[int, str]]) -> list[tuple[int, str, str]]:
        """Each field's line number, name and whole content."""
        found: list[tuple[int, str, str]] = []
        for number, line in lines:
            if not line.strip():
                continue
            if line.startswith("  ") and found:
                start, name, content = found[-1]
                found[-1] = (start, name, f"{content} {line.strip()}")
                continue
            match = _FIELD.fullmatch(line.strip())
            if match is None:
                self._fail(number, "a field is 'Name: …', and its further lines are indented")
            found.append((number, self._field_name(number, match[1]), (match[2] or "").strip()))
        for number, name, content in found:
            if not content:
                self._fail(number, f"{name} is empty")
        return found

    def _field_name(self, number: int, written: str) -> str:
        name = _FIELDS.get(written.lower())
        if name is None:
            near = get_close_matches(written.lower(), _FIELDS, n=1)
            fields = f"the fields are {', '.join(_FIELDS.values())}"
            hint = f"did you mean {_FIELDS[near[0]]}?" if near else fields
            self._fail(number, f"unknown field {written}; {hint}")
        return name

    def _parameter(self, number: int, content: str, others: Sequence[Parameter]) -> Parameter:
        match = _PARAMETER.fullmatch(content)
        if match is None:
            self._fail(number, "a parameter is 'name TYPE = default -- what it means'")
        name, kind, default, meaning = match[1], match[2].upper(), match[3], match[4]
        if kind not in TYPES:
            self._fail(number, f"unknown type {match[2]}; the types are {', '.join(TYPES)}")
        if any(other.name.lower() == name.lower() for other in others):
            self._fail(number, f"the parameter {name} is given twice")
        try:
            value = _literal_value(default, kind)
        except ValueError as error:
            self._fail(number, f"the default of {name}: {error}")
        return Parameter(name, kind, value, meaning)

    def _chart(self, number: int, content: str) -> Chart:
        kind, _, rest = content.partition(" ")
        columns = [column.strip() for column in rest.split(",")]
        if kind not in CHART_KINDS:
            self._fail(number, f"unknown chart {kind}; the charts are {', '.join(CHART_KINDS)}")
        if len(columns) not in (2, 3) or not all(map(_NAME.fullmatch, columns)):
            self._fail(number, f"a chart is '{kind} x, y' or '{kind} x, y, series', of columns")
        return Chart(kind, *columns)

    def _fail(self, number: int, text: str) -> NoReturn:
        raise ReportError(f"{self._path}:{number}: {text}")


def _comment_lines(text: str) -> Iterator[tuple[int, str]]:
    """The numbered lines of the first comment, without dashes and the space after."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.startswith("--"):
            return
        yield number, line.removeprefix("--").removeprefix(" ").rstrip()


def _begins_field(line: str) -> bool:
    """Whether a line begins with a field's name, or with what is likely meant as one."""
    match = _FIELD.fullmatch(line)
    return match is not None and bool(get_close_matches(match[1].lower(), _FIELDS, n=1, cutoff=0.8))


def _literal_value(text: str, kind: str) -> Value | None:
    if text.upper() == "NULL":
        return None
    if kind == "VARCHAR":
        if not re.fullmatch("'(?:[^']|'')*'", text):
            raise ValueError(f"{text} is not a text in single quotes")
        text = text[1:-1].replace("''", "'")
    return value_of(text, kind)


def value_of(text: str, kind: str) -> Value:
    """The value of a text as one of `TYPES`; ValueError if it has none.

    DuckDB's casts are too lenient for this: they round 1.5 to the INTEGER 2.
    """
    if kind in ("INTEGER", "BIGINT"):
        return _integer(text, 32 if kind == "INTEGER" else 64)
    if kind == "DOUBLE":
        return _double(text)
    if kind == "BOOLEAN":
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{text!r} is neither true nor false")
        return text.lower() == "true"
    if kind == "DATE":
        return _date(text)
    return _timestamp(text) if kind == "TIMESTAMPTZ" else text


def _integer(text: str, bits: int) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,19}", text):
        raise ValueError(f"{text!r} is not an integer")
    value = int(text)
    if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        raise ValueError(f"{text} is out of range")
    return value


def _double(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a number")
    return value


def _date(text: str) -> date:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        raise ValueError(f"{text!r} is not a date such as 2026-03-31")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"there is no day {text}") from None


def _timestamp(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a time such as 2026-03-31T12:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)  # as everywhere here


@dataclass(frozen=True)
class CheckedReport:
    """A report that can be run.

    Attributes:
        report: the report.
        values: the value of each parameter.
        statements: its statements; the last one returns the rows.
    """

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


def check(report: Report, given: Parameters, connection: Connection) -> CheckedReport:
    """Check a report as far as possible without a request."""
    statements = _statements(report)
    used = {lexeme.value.lower() for each in statements for lexeme in each.fragment.lexemes}
    for name in (parameter.name for parameter in report.parameters):
        if name.lower() not in used:
            raise ReportError(
                f"{report.path}: the parameter {name} is not used; "
                f"its value is getvariable('{name}')"
            )
    checked = CheckedReport(report, _values(report, given), statements)
    try:
        query = checked.prepare(connection)
        described = connection.execute(f"DESCRIBE {query.text}").fetchall()
    except Error as error:
        raise ReportError(f"{report.path}: {error}") from None
    columns = [name for name, *_ in described]
    if report.chart is not None:
        for column in (report.chart.x, report.chart.y, report.chart.series):
            if column is not None and column not in columns:
                raise ReportError(
                    f"{report.path}: the chart names the column {column}, but the report only has "
                    + ", ".join(columns)
                )
    return checked


def refuse_unknown(given: Parameters, reports: Sequence[Report]) -> None:
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


def _statements(report: Report) -> list[Statement]:
    try:
        statements = parse(report.text)
        if any(need for statement in statements for need in statement.needs()):
            raise ReportError(
                "a report reads its parameters with getvariable('name') and declares them in its "
                "header as 'Parameter: …'; it can't have placeholders"
            )
        kinds = [_kind(statement) for statement in statements]
    except (Error, duckdb.Error) as error:
        raise ReportError(f"{report.path}: {error}") from None
    for statement, kind in zip(statements, kinds, strict=True):
        if kind not in ("SELECT", "SET VARIABLE"):
            raise ReportError(
                f"{report.path}: the statement at {statement.fragment.position} is neither a "
                "SELECT nor SET VARIABLE, and a report only reads"
            )
    if kinds.count("SELECT") != 1 or kinds[-1] != "SELECT":
        raise ReportError(
            f"{report.path}: a report is one SELECT, with SET VARIABLE before it if needed"
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
        try:
            default = each.default
            values[each.name] = (
                value_of(str(given[each.name]), each.type) if each.name in given else default
            )
        except ValueError as error:
            raise ReportError(
                f"--param {each.name}: {error}; {report.path} declares it as {each.type}"
            ) from None
    return values
