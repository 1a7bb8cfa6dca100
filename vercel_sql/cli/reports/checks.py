"""What is checked of each report before the first request: statements, parameters, chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import duckdb

from vercel_sql import Connection
from vercel_sql.cli.reports.report import Parameter, Report, ReportError
from vercel_sql.cli.reports.values import value_of
from vercel_sql.cli.reports.variables import set_variables
from vercel_sql.errors import Error, ParameterError
from vercel_sql.sql import NO_PARAMETERS, Native, Parameters, Statement, parse


@dataclass(frozen=True)
class Ready:
    """A report that was checked.

    Attributes:
        report: the report.
        values: the value of each of its parameters.
        statements: its statements; the last one gives the rows.
    """

    report: Report
    values: Mapping[str, Any]
    statements: Sequence[Statement]


def check(report: Report, given: Parameters, connection: Connection) -> Ready:
    """Checks a report as far as that can be done without a request."""
    statements = _statements(report)
    _check_parameters_used(report, statements)
    ready = Ready(report, _values(report, given), statements)
    columns = _columns(ready, connection)
    if report.chart is not None:
        for column in (report.chart.x, report.chart.y, report.chart.series):
            if column is not None and column not in columns:
                raise ReportError(
                    f"{report.path}: the chart names the column {column}, which the report does "
                    f"not have; there are {', '.join(columns)}"
                )
    return ready


def refuse_unknown(given: Parameters, reports: Sequence[Report]) -> None:
    """Refuses parameters that no report has."""
    known = {each.name.lower(): each.name for report in reports for each in report.parameters}
    for name in given:
        if name.lower() in known:
            continue
        near = get_close_matches(name.lower(), known, n=1)
        if near:
            hint = f"did you mean {known[near[0]]}?"
        elif known:
            hint = f"there are {', '.join(known.values())}"
        else:
            hint = "a header declares one as 'Parameter: name TYPE = default -- what it means'"
        raise ParameterError(f"no report has a parameter {name}; {hint}")


def _statements(report: Report) -> list[Statement]:
    try:
        statements = parse(report.text)
        if any(need for statement in statements for need in statement.needs()):
            raise ReportError(
                "a report takes its parameters by getvariable('name') and a line 'Parameter: …' "
                "in its header, and not by placeholders"
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
            f"{report.path}: a report is one SELECT, after SET VARIABLE where it needs that"
        )
    return statements


def _kind(statement: Statement) -> str:
    """SELECT for what only reads, SET VARIABLE, or something else; DuckDB knows best."""
    words = [lexeme.upper for lexeme in statement.fragment.lexemes[:2]]
    if words == ["SET", "VARIABLE"]:
        return "SET VARIABLE"
    if not isinstance(statement, Native):
        return ""
    with duckdb.connect() as parser:
        kinds = [each.type for each in parser.extract_statements(statement.text)]
    return "SELECT" if kinds == [duckdb.StatementType.SELECT] else ""


def _check_parameters_used(report: Report, statements: Sequence[Statement]) -> None:
    used = {lexeme.value.lower() for each in statements for lexeme in each.fragment.lexemes}
    for parameter in report.parameters:
        if parameter.name.lower() not in used:
            raise ReportError(
                f"{report.path}: the parameter {parameter.name} is used nowhere; its value is "
                f"getvariable('{parameter.name}')"
            )


def _values(report: Report, given: Parameters) -> dict[str, Any]:
    return {each.name: _value(report, each, given) for each in report.parameters}


def _value(report: Report, parameter: Parameter, given: Parameters) -> Any:
    if parameter.name not in given:
        return parameter.default
    try:
        return value_of(str(given[parameter.name]), parameter.type)
    except ValueError as error:
        raise ReportError(
            f"--param {parameter.name}: {error}; {report.path} has it as {parameter.type}"
        ) from None


def _columns(ready: Ready, connection: Connection) -> list[str]:
    """The columns that the report gives; DuckDB finds most mistakes of its text on the way."""
    set_variables(connection, ready.report, ready.values)
    *before, query = ready.statements
    try:
        for _ in connection.run(before, NO_PARAMETERS):
            pass
        described = connection.execute(f"DESCRIBE {query.text}").fetchall()
    except Error as error:
        raise ReportError(f"{ready.report.path}: {error}") from None
    return [name for name, *_ in described]
