"""A report: an SQL file whose first comment says what it answers, and with which parameters.

::

    -- Stale tokens
    --
    -- Answers: Which tokens has nobody used for more than `days` days?
    -- Parameter: days INTEGER = 90 -- whole days without use
    -- On a hit: Ask the owner;
    --   revoke what nobody misses.
    -- Chart: bar name, idle_days

The title comes first, then the fields; a line that is indented goes on with the one before. A file
whose first comment has no field is a report as well, and its file name is its title.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from vercel_sql.cli.reports.values import TYPES, Value, value_of
from vercel_sql.cli.waiting import waiting
from vercel_sql.errors import Error
from vercel_sql.paths import named_path

CHART_KINDS = ("bar", "line", "timeline")

_FIELDS = {name.lower(): name for name in ("Answers", "Parameter", "On a hit", "Chart")}
_FIELD = re.compile(r"([A-Za-z][A-Za-z ]{2,15}):(?:\s+(.*))?")
_PARAMETER = re.compile(r"(\w+)\s+(\w+)\s*=\s*('(?:[^']|'')*'|.+?)\s+--\s+(\S.*)")
_NAME = re.compile(r"[A-Za-z_]\w*")
_COMMENT = "--"


class ReportError(Error):
    """A file is no report; the message names the file, and the line where there is one."""


@dataclass(frozen=True)
class Parameter:
    """A value that a report can be given.

    Attributes:
        name: the DuckDB variable that it sets.
        type: one of the types that `values.TYPES` lists, in upper case.
        default: its value where none is given; None leaves the variable NULL.
        says: what it means, for people.
    """

    name: str
    type: str
    default: Value | None
    says: str


@dataclass(frozen=True)
class Chart:
    """The picture that belongs to a report.

    Attributes:
        kind: one of `CHART_KINDS`.
        x: the column along the axis: what is compared, or a time.
        y: the column that is drawn: a number, or for a timeline the name of what lies there.
        series: the column that tells several lines or parts of a bar apart, or None.
    """

    kind: str
    x: str
    y: str
    series: str | None = None


@dataclass(frozen=True)
class Report:
    """An SQL file that answers one question.

    Attributes:
        name: the file's name without its suffix; files that are written get it.
        path: where it was read.
        title: a few words.
        answers: the question; empty where the file has no header.
        on_hit: what to do about the rows; may be empty.
        parameters: what it can be given, in the header's order.
        chart: the picture, or None.
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


@dataclass(frozen=True)
class RunFacts:
    """How the rows of a report came to be.

    Attributes:
        at: when it ran, in UTC.
        account: whose tokens they are.
        api: the base URL of the API.
        parameters: the value of each parameter, defaults included.
        requests: how many requests were sent for it.
        seconds: how long it took.
        warnings: what is to be known of the rows: values that could not be read, a wrong clock.
    """

    at: datetime
    account: str
    api: str
    parameters: Mapping[str, Any]
    requests: int
    seconds: float
    warnings: Sequence[str] = ()


def read_report(path: str | Path) -> Report:
    """Reads a report from its file."""
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
        if not any(_begins_field(line) for _, line in lines):
            return self._report(text, self._path.stem, {}, (), None)
        title = self._title(*lines[0])
        fields = self._fields(lines[1:])
        once = {}
        parameters: list[Parameter] = []
        for number, name, content in fields:
            if name == "Parameter":
                parameters.append(self._parameter(number, content, parameters))
            elif name in once:
                self._fail(number, f"{name} is said twice")
            else:
                once[name] = (number, content)
        if "Answers" not in once:
            self._fail(lines[0][0], "the header has no line 'Answers: …'")
        chart = self._chart(*once["Chart"]) if "Chart" in once else None
        return self._report(text, title, once, tuple(parameters), chart)

    def _report(
        self,
        text: str,
        title: str,
        once: Mapping[str, tuple[int, str]],
        parameters: tuple[Parameter, ...],
        chart: Chart | None,
    ) -> Report:
        _, answers = once.get("Answers", (0, ""))
        _, on_hit = once.get("On a hit", (0, ""))
        return Report(self._path.stem, self._path, title, answers, on_hit, parameters, chart, text)

    def _title(self, number: int, line: str) -> str:
        if not line.strip() or _begins_field(line):
            self._fail(number, "the header begins with a title, before its fields")
        return line.strip()

    def _fields(self, lines: list[tuple[int, str]]) -> list[tuple[int, str, str]]:
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
                self._fail(number, "a field is 'Name: …', and a line that goes on is indented")
            found.append((number, self._known(number, match[1]), (match[2] or "").strip()))
        for number, name, content in found:
            if not content:
                self._fail(number, f"{name} is empty")
        return found

    def _known(self, number: int, written: str) -> str:
        name = _FIELDS.get(written.lower())
        if name is None:
            near = get_close_matches(written.lower(), _FIELDS, n=1)
            meant = f"did you mean {_FIELDS[near[0]]}?" if near else ""
            there = meant or f"there are {', '.join(_FIELDS.values())}"
            self._fail(number, f"there is no field {written}; {there}")
        return name

    def _parameter(self, number: int, content: str, others: list[Parameter]) -> Parameter:
        match = _PARAMETER.fullmatch(content)
        if match is None or not _NAME.fullmatch(match[1]):
            self._fail(number, "a parameter is 'name TYPE = default -- what it means'")
        name, kind, default, says = match[1], match[2].upper(), match[3], match[4]
        if kind not in TYPES:
            self._fail(number, f"there is no type {match[2]}; there are {', '.join(TYPES)}")
        if any(other.name.lower() == name.lower() for other in others):
            self._fail(number, f"the parameter {name} is said twice")
        try:
            value = _default(default, kind)
        except ValueError as error:
            self._fail(number, f"the default of {name}: {error}")
        return Parameter(name, kind, value, says)

    def _chart(self, number: int, content: str) -> Chart:
        kind, _, rest = content.partition(" ")
        columns = [column.strip() for column in rest.split(",")]
        if kind not in CHART_KINDS:
            self._fail(number, f"there is no chart {kind}; there are {', '.join(CHART_KINDS)}")
        if len(columns) not in (2, 3) or not all(map(_NAME.fullmatch, columns)):
            self._fail(number, f"a chart is '{kind} x, y' or '{kind} x, y, series', of columns")
        return Chart(kind, *columns)

    def _fail(self, number: int, text: str) -> NoReturn:
        raise ReportError(f"{self._path}:{number}: {text}")


def _default(text: str, kind: str) -> Value | None:
    """The value of an SQL literal."""
    if text.upper() == "NULL":
        return None
    if kind == "VARCHAR":
        if not re.fullmatch("'(?:[^']|'')*'", text):
            raise ValueError(f"{text} is no text in single quotes")
        text = text[1:-1].replace("''", "'")
    return value_of(text, kind)


def _comment_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of the first comment with their numbers, without dashes and the space after."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.startswith(_COMMENT):
            return
        yield number, line.removeprefix(_COMMENT).removeprefix(" ").rstrip()


def _begins_field(line: str) -> bool:
    """Whether a line begins with a field's name, or with what is likely meant as one."""
    match = _FIELD.fullmatch(line)
    return match is not None and bool(get_close_matches(match[1].lower(), _FIELDS, n=1, cutoff=0.8))
