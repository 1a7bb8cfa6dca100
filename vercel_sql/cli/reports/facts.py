"""What pages and workbooks say about a run: when, for whom, with what parameters, at what cost."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from vercel_sql._version import __version__
from vercel_sql.cli.reports.report import Report, RunFacts
from vercel_sql.escapes import visible

# Python's own names of months follow the process's locale.
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def moment_text(moment: datetime) -> str:
    """A moment for people: `22 Nov 2026, 11:47 UTC`."""
    moment = moment.astimezone(UTC)
    return f"{moment.day} {MONTHS[moment.month - 1]} {moment.year}, {moment:%H:%M} UTC"


def count_text(number: int, noun: str) -> str:
    """A number of things: `1 row`, `5,000 rows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def with_values(text: str, facts: RunFacts) -> str:
    """What a report says of itself, with the value of a parameter for its name: `` `days` ``."""
    values = {name: value_text(value) for name, value in facts.parameters.items()}
    return re.sub(r"`(\w+)`", lambda found: values.get(found[1], found[1]), text)


def parameter_lines(report: Report, facts: RunFacts) -> list[tuple[str, str, str]]:
    """Each parameter's name, value and meaning."""
    says = {parameter.name: parameter.says for parameter in report.parameters}
    return [
        (name, value_text(value), says.get(name, "")) for name, value in facts.parameters.items()
    ]


def value_text(value: Any) -> str:
    """A parameter's value."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return moment_text(value)
    return visible(str(value))


def cost_text(facts: RunFacts) -> str:
    """What the run cost."""
    seconds = f"{facts.seconds:.1f} s" if facts.seconds >= 0.1 else "less than 0.1 s"
    return f"{count_text(facts.requests, 'request')} to the API in {seconds}"


def maker_text() -> str:
    """What made the file."""
    return f"vercel-sql {__version__}"
