"""How a report was run, and what pages and workbooks say about it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from vercel_sql._version import __version__
from vercel_sql.cli.reports.report import Report
from vercel_sql.text import visible

# Python's own names of months follow the process's locale.
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MADE_BY = f"vercel-sql {__version__}"


@dataclass(frozen=True)
class RunFacts:
    """How the rows of a report were read.

    Attributes:
        at: when it ran, in UTC.
        account: whose tokens they are.
        api: the base URL of the API.
        parameters: the value of each parameter, defaults included.
        requests: the number of requests.
        seconds: the duration.
        warnings: values that could not be read, a wrong clock.
    """

    at: datetime
    account: str
    api: str
    parameters: Mapping[str, Any]
    requests: int
    seconds: float
    warnings: Sequence[str] = ()

    @property
    def cost(self) -> str:
        """Requests and duration."""
        seconds = f"{self.seconds:.1f} s" if self.seconds >= 0.1 else "less than 0.1 s"
        return f"{count_text(self.requests, 'request')} to the API in {seconds}"

    def filled_in(self, text: str) -> str:
        """A text of the report with the value of each parameter in place of `` `name` ``."""
        values = {name: _value_text(value) for name, value in self.parameters.items()}
        return re.sub(r"`(\w+)`", lambda found: values.get(found[1], found[1]), text)

    def parameter_lines(self, report: Report) -> list[tuple[str, str, str]]:
        """Each parameter's name, value and meaning."""
        meanings = {parameter.name: parameter.meaning for parameter in report.parameters}
        return [
            (name, _value_text(value), meanings.get(name, ""))
            for name, value in self.parameters.items()
        ]


def moment_text(moment: datetime) -> str:
    """A readable moment: `22 Nov 2026, 11:47 UTC`."""
    moment = moment.astimezone(UTC)
    return f"{moment.day} {MONTHS[moment.month - 1]} {moment.year}, {moment:%H:%M} UTC"


def count_text(number: int, noun: str) -> str:
    """A number of things: `1 row`, `5,000 rows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _value_text(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    return moment_text(value) if isinstance(value, datetime) else visible(str(value))
