"""A report's parameters as DuckDB variables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vercel_sql import Connection
from vercel_sql.catalog.ddl import quoted
from vercel_sql.cli.reports.report import Report


def set_variables(connection: Connection, report: Report, values: Mapping[str, Any]) -> None:
    """Sets what a report can be given, and forgets all that another report has set."""
    native = connection.duckdb
    for (name,) in native.execute("SELECT name FROM duckdb_variables()").fetchall():
        native.execute(f"RESET VARIABLE {quoted(name)}")
    for each in report.parameters:
        variable = f"SET VARIABLE {quoted(each.name)} = CAST($1 AS {each.type})"
        native.execute(variable, [values[each.name]])
