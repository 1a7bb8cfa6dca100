"""A timeline: a lane a name, a mark a moment, and where the present is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from vercel_sql.cli.reports.chart.axes import BELOW, Scale, labels_below, time_axis, upright_lines
from vercel_sql.cli.reports.chart.lanes import MOST, Lanes
from vercel_sql.cli.reports.chart.points import Point
from vercel_sql.cli.reports.chart.series import Series, marker
from vercel_sql.cli.reports.chart.svg import SIZE, element, label, text_width
from vercel_sql.cli.reports.chart.ticks import time_text

_TOP = SIZE + 10.0
_MARGIN = 0.02  # of the span, at both ends
_NOW = "this run"


def lanes_of(points: Sequence[Point]) -> tuple[dict[str, list[Point]], int]:
    """The points of the first names of the result, and how many other names there are."""
    lanes: dict[str, list[Point]] = {}
    for point in points:
        lanes.setdefault(point.name, []).append(point)
    return dict(list(lanes.items())[:MOST]), max(len(lanes) - MOST, 0)


def draw_timeline(
    lanes: dict[str, list[Point]], series: Series, now: float, width: float
) -> tuple[Markup, float]:
    """The drawing, and its height."""
    sides = Lanes(list(lanes), width, top=_TOP)
    times = [point.time for lane in lanes.values() for point in lane if point.time is not None]
    first, last = min(now, *times), max(now, *times)
    margin = max((last - first) * _MARGIN, 3600.0)
    scale, ticks = time_axis(first - margin, last + margin, sides.left, sides.right)
    drawn = [upright_lines(scale, ticks, sides.top, sides.bottom)]
    drawn += [_present(scale(now), sides, width), sides.names()]
    for position, (name, lane) in enumerate(lanes.items()):
        y = sides.middle(position)
        drawn.append(element("line", x1=sides.left, x2=sides.right, y1=y, y2=y, class_="lane"))
        drawn += _marks(name, lane, series, scale, y)
    drawn.append(labels_below(scale, ticks, sides.bottom + 18, width))
    return Markup("").join(drawn), sides.bottom + BELOW


def _marks(
    name: str, lane: Sequence[Point], series: Series, scale: Scale, y: float
) -> Iterator[Markup]:
    """The marks of a lane; those of one colour that would lie on one another are one."""
    places: dict[tuple[int, int], list[Point]] = {}
    for point in lane:
        place = series.colour(point.series), round(scale(point.time or 0.0))
        places.setdefault(place, []).append(point)
    for (colour, _), (point, *others) in places.items():
        says = f"{name}: {time_text(point.time or 0.0)}"
        says += f" ({point.series})" if point.series else ""
        says += f", and {len(others):,} more" if others else ""
        yield marker(colour, scale(point.time or 0.0), y, element("title", says))


def _present(x: float, sides: Lanes, width: float) -> Markup:
    line = element("line", x1=x, x2=x, y1=sides.top - 4, y2=sides.bottom, class_="now")
    room = text_width(_NOW) + 2
    left = min(max(x - room / 2, 0.0), width - room)
    return line + label(_NOW, left, _TOP - 8, room, "middle")
