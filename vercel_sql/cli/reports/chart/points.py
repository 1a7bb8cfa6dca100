"""The columns of a result that a chart draws, as points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from vercel_sql.cli.reports.chart.ticks import seconds_of
from vercel_sql.cli.reports.report import Chart
from vercel_sql.cli.reports.rows import Column, Kind, Row
from vercel_sql.errors import ProgrammingError
from vercel_sql.escapes import visible

NOTHING = "(none)"
"""What a NULL or empty name is called."""


@dataclass(frozen=True)
class Point:
    """A row of a chart.

    Attributes:
        name: what it is called along the axis of names: for a timeline its `y`, else its `x`.
        time: its moment in seconds since the epoch, where `x` is a time.
        value: its number; of a timeline's points, 1.
        series: to which line or part it belongs; empty where the chart has no series.
    """

    name: str
    time: float | None
    value: float
    series: str


@dataclass(frozen=True)
class Points:
    """What a chart draws.

    Attributes:
        points: the rows that can be drawn, in the result's order.
        is_timed: whether `x` is a time.
        left_out: how many rows can't be drawn, having no value or no time.
    """

    points: Sequence[Point]
    is_timed: bool
    left_out: int


def points_of(chart: Chart, columns: Sequence[Column], rows: Iterable[Row]) -> Points:
    """The points of a chart."""
    x, y = _position(chart.x, columns), _position(chart.y, columns)
    series = _position(chart.series, columns) if chart.series else None
    is_timed = columns[x].kind in (Kind.TIME, Kind.DATE)
    if chart.kind == "timeline" and not is_timed:
        raise ProgrammingError(
            f"the chart of the report has {chart.x} along its axis of time, which is no time"
        )
    if chart.kind != "timeline" and columns[y].kind is not Kind.NUMBER:
        raise ProgrammingError(f"the chart of the report draws {chart.y}, which is no number")
    points, left_out = [], 0
    for row in rows:
        time = _seconds(row[x]) if is_timed else None
        value = 1.0 if chart.kind == "timeline" else _finite(row[y])
        if value is None or (is_timed and time is None):
            left_out += 1
            continue
        name = _name(row[y if chart.kind == "timeline" else x])
        points.append(Point(name, time, value, "" if series is None else _name(row[series])))
    return Points(points, is_timed, left_out)


def _position(name: str, columns: Sequence[Column]) -> int:
    for position, column in enumerate(columns):
        if column.name.lower() == name.lower():
            return position
    there = ", ".join(column.name for column in columns)
    raise ProgrammingError(
        f"the chart of the report names the column {name}, which its result does not have; "
        f"there are {there}"
    )


def _name(text: str | None) -> str:
    return visible(text) if text and text.strip() else NOTHING


def _finite(text: str | None) -> float | None:
    value = math.nan if text is None else float(text)
    return value if math.isfinite(value) else None


def _seconds(text: str | None) -> float | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:  # NULL, infinity, and years that Python does not count
        return None
    return seconds_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
