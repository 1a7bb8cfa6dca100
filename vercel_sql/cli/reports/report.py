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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from vercel_sql.cli.terminal import waiting
from vercel_sql.errors import Error
from vercel_sql.paths import named_path

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
