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
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vercel_sql._version import __version__
from vercel_sql.cli.terminal import waiting
from vercel_sql.errors import Error
from vercel_sql.files import named_path
from vercel_sql.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

# Python's own names of months follow the process's locale.
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MADE_BY = f"vercel-sql {__version__}"

_CHART_KINDS = ("bar", "line", "timeline")
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
    text = _text(path)
    lines = list(_comment_lines(text))
    if not any(_begins_field(line) for _, line in lines):
        return Report(path.stem, path, path.stem, "", "", (), None, text)
    fields: dict[str, Any] = {"Parameter": []}
    (first, title), *more = lines
    if not title.strip() or _begins_field(title):
        raise ReportError(f"{path}:{first}: the header begins with a title, before its fields")
    for number, line in _whole_lines(more):
        try:
            _read_field(line, fields)
        except ValueError as error:
            raise ReportError(f"{path}:{number}: {error}") from None
    if "Answers" not in fields:
        raise ReportError(f"{path}:{first}: the header has no line 'Answers: …'")
    answers, on_hit, chart = fields["Answers"], fields.get("On a hit", ""), fields.get("Chart")
    parameters = tuple(fields["Parameter"])
    return Report(path.stem, path, title.strip(), answers, on_hit, parameters, chart, text)


def _text(path: Path) -> str:
    try:
        with waiting(str(path)):  # it may be a named pipe
            return named_path(path).read_text("utf-8-sig")
    except OSError as error:
        raise ReportError(f"{path} can't be read: {error.strerror or 'unknown error'}") from None
    except UnicodeDecodeError:
        raise ReportError(f"{path} is not UTF-8 text") from None


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


def _whole_lines(lines: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """The lines that are not blank, each with the indented ones that continue it."""
    whole: list[tuple[int, str]] = []
    for number, line in lines:
        if line.startswith("  ") and whole:
            number, start = whole.pop()
            whole.append((number, f"{start} {line.strip()}"))
        elif line.strip():
            whole.append((number, line.strip()))
    return whole


def _read_field(line: str, fields: dict[str, Any]) -> None:
    name, content = _field(line)
    if name == "Parameter":
        fields[name].append(_parameter(content, fields[name]))
    elif name in fields:
        raise ValueError(f"{name} is given twice")
    else:
        fields[name] = _chart(content) if name == "Chart" else content


def _field(line: str) -> tuple[str, str]:
    match = _FIELD.fullmatch(line)
    if match is None:
        raise ValueError("a field is 'Name: …', and its further lines are indented")
    written, content = match[1], (match[2] or "").strip()
    name = _FIELDS.get(written.lower())
    if name is None:
        near = get_close_matches(written.lower(), _FIELDS, n=1)
        fields = f"the fields are {', '.join(_FIELDS.values())}"
        hint = f"did you mean {_FIELDS[near[0]]}?" if near else fields
        raise ValueError(f"unknown field {written}; {hint}")
    if not content:
        raise ValueError(f"{name} is empty")
    return name, content


def _parameter(content: str, others: Sequence[Parameter]) -> Parameter:
    match = _PARAMETER.fullmatch(content)
    if match is None:
        raise ValueError("a parameter is 'name TYPE = default -- what it means'")
    name, kind, default, meaning = match[1], match[2].upper(), match[3], match[4]
    if kind not in TYPES:
        raise ValueError(f"unknown type {match[2]}; the types are {', '.join(TYPES)}")
    if any(other.name.lower() == name.lower() for other in others):
        raise ValueError(f"the parameter {name} is given twice")
    try:
        value = None if default.upper() == "NULL" else value_of(_unquoted(default, kind), kind)
    except ValueError as error:
        raise ValueError(f"the default of {name}: {error}") from None
    return Parameter(name, kind, value, meaning)


def _unquoted(text: str, kind: str) -> str:
    if kind != "VARCHAR":
        return text
    if not re.fullmatch("'(?:[^']|'')*'", text):
        raise ValueError(f"{text} is not a text in single quotes")
    return text[1:-1].replace("''", "'")


def _chart(content: str) -> Chart:
    kind, _, rest = content.partition(" ")
    columns = [column.strip() for column in rest.split(",")]
    if kind not in _CHART_KINDS:
        raise ValueError(f"unknown chart {kind}; the charts are {', '.join(_CHART_KINDS)}")
    if len(columns) not in (2, 3) or not all(map(_NAME.fullmatch, columns)):
        raise ValueError(f"a chart is '{kind} x, y' or '{kind} x, y, series', of columns")
    return Chart(kind, *columns)


def value_of(text: str, kind: str) -> Value:
    """The value of a text as one of `TYPES`; ValueError if it has none.

    DuckDB's casts are too lenient for this: they round 1.5 to the INTEGER 2.
    """
    return _READERS[kind](text)


def _integer(text: str, bits: int) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,19}", text):
        raise ValueError(f"{text!r} is not an integer")
    if not -(2 ** (bits - 1)) <= int(text) < 2 ** (bits - 1):
        raise ValueError(f"{text} is out of range")
    return int(text)


def _double(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a number")
    return value


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


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


_READERS: Mapping[str, Callable[[str], Value]] = {
    "INTEGER": partial(_integer, bits=32),
    "BIGINT": partial(_integer, bits=64),
    "DOUBLE": _double,
    "BOOLEAN": _boolean,
    "VARCHAR": str,
    "DATE": _date,
    "TIMESTAMPTZ": _timestamp,
}
TYPES = tuple(_READERS)


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
        seconds = f"{self.seconds:.1f} s" if self.seconds >= 0.1 else "less than 0.1 s"
        return f"{count_text(self.requests, 'request')} to the API in {seconds}"

    def filled_in(self, text: str) -> str:
        """A text of the report with the value of each parameter in place of `` `name` ``."""
        values = {name: _value_text(value) for name, value in self.parameters.items()}
        return re.sub(r"`(\w+)`", lambda found: values.get(found[1], found[1]), text)

    def parameter_lines(self, report: Report) -> list[tuple[str, str, str]]:
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
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _value_text(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    return moment_text(value) if isinstance(value, datetime) else visible(str(value))
