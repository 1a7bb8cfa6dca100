"""Lines over time, or over names in the result's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from vercel_sql.cli.reports.chart.axes import (
    BELOW,
    Scale,
    labels_below,
    levels,
    time_axis,
    upright_lines,
)
from vercel_sql.cli.reports.chart.points import Point, Points
from vercel_sql.cli.reports.chart.series import Series, marker
from vercel_sql.cli.reports.chart.svg import element
from vercel_sql.cli.reports.chart.ticks import Tick, number_text, time_text

_MARGIN = 10.0
_CROWDED = 16.0  # pixels between two marks; with less, some are left out


def draw_lines(points: Points, series: Series, width: float) -> tuple[Markup, float]:
    """The drawing, and its height; the values of one place and series are added."""
    lines = _lines(points, series)
    up, left, drawn = levels([v for line in lines.values() for v in line.values()], width)
    along, ticks = _along(points, left + _MARGIN, width - _MARGIN)
    drawn += upright_lines(along, ticks, up.start, up.start + 5)
    drawn += labels_below(along, ticks, up.start + 20, width)
    # The largest is drawn last, so that it lies above the others.
    for name in reversed(series.names):
        drawn += _line(name, lines[name], series, points, along, up)
    return drawn, up.start + BELOW


def _lines(points: Points, series: Series) -> dict[str, dict[float, float]]:
    """The height of each line by place: a moment, or a name's position."""
    positions = _positions(points.points)
    lines: dict[str, dict[float, float]] = {name: {} for name in series.names}
    for point in points.points:
        if point.series in lines:
            place = positions[point.name] if point.time is None else point.time
            line = lines[point.series]
            line[place] = line.get(place, 0.0) + point.value
    return lines


def _positions(points: Sequence[Point]) -> dict[str, float]:
    names = dict.fromkeys(point.name for point in points)
    return {name: float(position) for position, name in enumerate(names)}


def _along(points: Points, start: float, end: float) -> tuple[Scale, list[Tick]]:
    if points.is_timed:
        times = [point.time for point in points.points if point.time is not None]
        return time_axis(min(times), max(times), start, end)
    positions = _positions(points.points)
    ticks = [Tick(position, name) for name, position in positions.items()]
    if len(ticks) == 1:
        return Scale(-1.0, 1.0, start, end), ticks
    return Scale(0.0, len(ticks) - 1.0, start, end), ticks


def _line(
    name: str,
    line: Mapping[float, float],
    series: Series,
    points: Points,
    along: Scale,
    up: Scale,
) -> Markup:
    colour = series.colour(name)
    places = sorted(line)
    path = "L".join(f"{along(place):.2f} {up(line[place]):.2f}" for place in places)
    drawn = element("path", d=f"M{path}", class_=f"line s{colour}")
    names = list(_positions(points.points))
    crowd = 1 + int(_CROWDED * (len(places) - 1) / (along.end - along.start))
    for place in places[::crowd]:
        where = time_text(place) if points.is_timed else names[int(place)]
        says = f"{where}: {number_text(line[place])}" + (f" ({name})" if name else "")
        drawn += marker(colour, along(place), up(line[place]), element("title", says))
    return drawn
