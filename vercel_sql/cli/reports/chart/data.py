"""What a chart draws: the rows as points, their series, and the parts of bars."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from vercel_sql.cli.reports.chart.axes import OTHERS, seconds_of
from vercel_sql.cli.reports.report import Chart
from vercel_sql.cli.reports.rows import Column, Kind, Row
from vercel_sql.errors import ProgrammingError
from vercel_sql.text import visible


@dataclass(frozen=True)
class Point:
    """A row of a chart.

    Attributes:
        name: its place on the axis of names: a timeline's `y`, any other chart's `x`.
        time: seconds since the epoch if `x` is a time.
        value: its number; 1 on a timeline.
        series: its line or part; empty if the chart has no series.
    """

    name: str
    time: float | None
    value: float
    series: str


@dataclass(frozen=True)
class Points:
    """The rows that can be drawn, in the result's order.

    Attributes:
        points: the points.
        is_timed: whether `x` is a time.
        left_out: the number of rows without a value or time.
    """

    points: Sequence[Point]
    is_timed: bool
    left_out: int


def points_of(chart: Chart, columns: Sequence[Column], rows: Iterable[Row]) -> Points:
    """The points of a chart."""
    x, y = _position(chart.x, columns), _position(chart.y, columns)
    series = _position(chart.series, columns) if chart.series else None
    is_timeline = chart.kind == "timeline"
    is_timed = columns[x].kind in (Kind.TIME, Kind.DATE)
    if is_timeline and not is_timed:
        raise ProgrammingError(f"the report's timeline needs a time, and {chart.x} is not a time")
    if not is_timeline and columns[y].kind is not Kind.NUMBER:
        raise ProgrammingError(f"the report's chart draws {chart.y}, which is not a number")
    points, left_out = [], 0
    for row in rows:
        time = _seconds(row[x]) if is_timed else None
        value = 1.0 if is_timeline else _finite(row[y])
        if value is None or (is_timed and time is None):
            left_out += 1
            continue
        name = _name(row[y if is_timeline else x])
        points.append(Point(name, time, value, "" if series is None else _name(row[series])))
    return Points(points, is_timed, left_out)


def _position(name: str, columns: Sequence[Column]) -> int:
    for position, column in enumerate(columns):
        if column.name.lower() == name.lower():
            return position
    raise ProgrammingError(
        f"the report's chart names the column {name}, but the result only has "
        + ", ".join(column.name for column in columns)
    )


def _name(text: str | None) -> str:
    return visible(text) if text and text.strip() else "(none)"


def _finite(text: str | None) -> float | None:
    value = math.nan if text is None else float(text)
    return value if math.isfinite(value) else None


def _seconds(text: str | None) -> float | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:  # NULL, infinity, and years outside Python's range
        return None
    return seconds_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


@dataclass(frozen=True)
class Series:
    """The series of a chart; without any, one with an empty name.

    Attributes:
        names: those with a colour of their own, largest first.
        others: the number of the others.
    """

    names: Sequence[str]
    others: int

    @property
    def legend(self) -> list[tuple[int, str]]:
        """Colour and name of each."""
        if tuple(self.names) == ("",):
            return []
        named = list(enumerate(self.names))
        return [*named, (OTHERS, self.others_name)] if self.others else named

    @property
    def others_name(self) -> str:
        """The name of all series without a colour."""
        return "1 other" if self.others == 1 else f"{self.others:,} others"

    def colour(self, name: str) -> int:
        """The number of a series' colour."""
        return self.names.index(name) if name in self.names else OTHERS

    def title(self, name: str) -> str:
        """The name of a series in the chart."""
        return name if name in self.names else self.others_name


def series_of(points: Iterable[Point]) -> Series:
    """The series of some points, by the sum of their values."""
    totals: dict[str, float] = {}
    for point in points:
        totals[point.series] = totals.get(point.series, 0.0) + abs(point.value)
    names = sorted(totals, key=lambda name: -totals[name])
    return Series(names[:OTHERS], len(names[OTHERS:]))


@dataclass
class Stack:
    """A bar or column: its name, and the values of its parts by series."""

    name: str
    parts: dict[str, float] = field(default_factory=dict)

    def add(self, part: str, value: float) -> None:
        """Add to a part."""
        self.parts[part] = self.parts.get(part, 0.0) + value

    @property
    def total(self) -> float:
        """The sum of its parts."""
        return sum(self.parts.values())

    @property
    def extent(self) -> tuple[float, float]:
        """How far it reaches below zero, and above."""
        values = self.parts.values()
        return sum((v for v in values if v < 0), 0.0), sum((v for v in values if v > 0), 0.0)

    def pieces(self, series: Series) -> Iterator[tuple[str, float, float]]:
        """Each part that is not zero, with its start and end."""
        below = above = 0.0
        for part in sorted(self.parts, key=series.colour):
            value = self.parts[part]
            if value < 0:
                yield part, below, below + value
                below += value
            elif value > 0:
                yield part, above, above + value
                above += value
