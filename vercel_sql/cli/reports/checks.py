"""Checks each report before the first request: its statements, parameters and chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import duckdb

from vercel_sql import Connection
from vercel_sql.cli.reports.report import Report, ReportError, value_of
from vercel_sql.errors import Error, ParameterError
from vercel_sql.sql import NO_PARAMETERS, Native, Parameters, Statement, parse
from vercel_sql.tables.catalog import quoted


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
