"""The plots: bars, columns over time, lines, timelines. Each gives its drawing and its height."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from markupsafe import Markup

from vercel_sql.cli.reports.chart.axes import (
    AXIS_HEIGHT,
    FONT_SIZE,
    Lanes,
    Scale,
    Tick,
    centred_label,
    element,
    label,
    labels_below,
    marker,
    number_text,
    number_ticks,
    text_width,
    time_axis,
    time_text,
    value_axis,
    vertical_lines,
)
from vercel_sql.cli.reports.chart.data import Point, Points, Series, Stack

_MOST_LANES = 20  # the table shows the rest
_BAR_THICKNESS = 16.0
_COLUMN_THICKNESS = 44.0
_MARKER_DISTANCE = 16.0  # pixels between the markers of a line; with less, some are left out

_Drawing = tuple[Markup, float]
_Box = dict[str, float]


def bars_of(points: Sequence[Point], series: Series) -> tuple[list[Stack], int]:
    """The largest bars in the result's order, and the number of others.

    With series, points of the same name and series are added; without, each is a bar of its own.
    """
    bars: list[Stack] = []
    named: dict[str, Stack] = {}
    for point in points:
        bar = named.get(point.name) if series.legend else None
        if bar is None:
            bar = named[point.name] = Stack(point.name)
            bars.append(bar)
        bar.add(series.title(point.series), point.value)
    largest = {id(bar) for bar in sorted(bars, key=lambda bar: -abs(bar.total))[:_MOST_LANES]}
    return [bar for bar in bars if id(bar) in largest], max(len(bars) - _MOST_LANES, 0)


def draw_bars(bars: Sequence[Stack], series: Series, width: float) -> _Drawing:
    """Horizontal bars, one per name."""
    values = [number_text(bar.total) for bar in bars]
    margin = max(map(text_width, values)) + 12.0
    lanes = Lanes([bar.name for bar in bars], width, margin)
    ends = [end for bar in bars for end in bar.extent]
    low, high = min(0.0, *ends), max(0.0, *ends)
    scale = Scale(low, high if high > low else low + 1, lanes.left, lanes.right)
    whole = all(part.is_integer() for bar in bars for part in bar.parts.values())
    ticks = number_ticks(low, scale.high, int((lanes.right - lanes.left) / 80), whole=whole)
    ticks = [tick for tick in ticks if low <= tick.value <= scale.high]
    drawn = vertical_lines(scale, ticks, lanes.top, lanes.bottom) + lanes.names()
    for position, (bar, value) in enumerate(zip(bars, values, strict=True)):
        middle = lanes.middle(position)
        drawn += _stack(bar, series, _bar_box(scale, middle, gap=len(bar.parts) > 1))
        drawn += label(value, width - margin, middle + 4.5, margin, "end")
    drawn += element("line", x1=scale(0), x2=scale(0), y1=lanes.top, y2=lanes.bottom, class_="axis")
    drawn += labels_below(scale, ticks, lanes.bottom + 18, lanes.right + margin)
    return drawn, lanes.bottom + AXIS_HEIGHT


def _bar_box(scale: Scale, middle: float, *, gap: bool) -> Callable[[float, float], _Box]:
    def box(start: float, end: float) -> _Box:
        left, right = sorted((scale(start), scale(end)))
        # However small a part is beside the others, it stays visible.
        wide = max(right - left - float(gap), 1.5)
        top = middle - _BAR_THICKNESS / 2
        return {"x": left, "y": top, "width": wide, "height": _BAR_THICKNESS}

    return box


def draw_columns(points: Sequence[Point], series: Series, width: float) -> _Drawing:
    """Vertical columns over time; values of the same time and series are added."""
    stacks: dict[float, Stack] = {}
    for point in points:
        if point.time is not None:
            stack = stacks.setdefault(point.time, Stack(time_text(point.time)))
            stack.add(series.title(point.series), point.value)
    up, left, drawn = value_axis([end for s in stacks.values() for end in s.extent], width)
    times = sorted(stacks)
    thick = _column_thickness(times, width - left)
    along, ticks = time_axis(times[0], times[-1], left + thick / 2 + 4, width - thick / 2 - 4)
    drawn += _horizontal_axis(along, ticks, up, width)
    for time in times:
        drawn += _stack(stacks[time], series, _column_box(up, along(time), thick))
    return drawn, up.start + AXIS_HEIGHT


def _column_thickness(times: Sequence[float], room: float) -> float:
    if len(times) == 1:
        return _COLUMN_THICKNESS
    nearest = min(later - sooner for sooner, later in pairwise(times))
    share = nearest / (times[-1] - times[0] + nearest)
    return max(min(room * share * 0.8, _COLUMN_THICKNESS), 1.0)


def _column_box(up: Scale, middle: float, thick: float) -> Callable[[float, float], _Box]:
    def box(start: float, end: float) -> _Box:
        top, bottom = sorted((up(start), up(end)))
        return {"x": middle - thick / 2, "y": top, "width": thick, "height": bottom - top}

    return box


def _stack(stack: Stack, series: Series, box: Callable[[float, float], _Box]) -> Markup:
    drawn = Markup("")
    for part, start, end in stack.pieces(series):
        text = f"{stack.name}: {number_text(end - start)}" + (f" ({part})" if part else "")
        style = {**box(start, end), "class_": f"bar s{series.colour(part)}"}
        drawn += element("rect", element("title", text), **style)
    return drawn


def _horizontal_axis(along: Scale, ticks: Sequence[Tick], up: Scale, width: float) -> Markup:
    marks = vertical_lines(along, ticks, up.start, up.start + 5)
    return marks + labels_below(along, ticks, up.start + 20, width)


def draw_lines(points: Points, series: Series, width: float) -> _Drawing:
    """Lines over time or names; values of the same place and series are added."""
    names = list(dict.fromkeys(point.name for point in points.points))
    positions = {name: float(position) for position, name in enumerate(names)}
    lines: dict[str, dict[float, float]] = {name: {} for name in series.names}
    for point in points.points:
        if point.series in lines:
            place = positions[point.name] if point.time is None else point.time
            line = lines[point.series]
            line[place] = line.get(place, 0.0) + point.value
    up, left, drawn = value_axis([v for line in lines.values() for v in line.values()], width)
    if points.is_timed:
        times = [point.time for point in points.points if point.time is not None]
        along, ticks = time_axis(min(times), max(times), left + 10, width - 10)
    else:
        ticks = [Tick(position, name) for name, position in positions.items()]
        low, high = (0.0, len(ticks) - 1.0) if len(ticks) > 1 else (-1.0, 1.0)
        along = Scale(low, high, left + 10, width - 10)
    drawn += _horizontal_axis(along, ticks, up, width)
    for name in reversed(series.names):  # the largest last, above the others
        crowd = 1 + int(_MARKER_DISTANCE * (len(lines[name]) - 1) / (along.end - along.start))
        spots = [(along(place), up(value)) for place, value in sorted(lines[name].items())]
        path = "L".join(f"{x:.2f} {y:.2f}" for x, y in spots)
        drawn += element("path", d=f"M{path}", class_=f"line s{series.colour(name)}")
        for place, value in sorted(lines[name].items())[::crowd]:
            where = time_text(place) if points.is_timed else names[int(place)]
            text = f"{where}: {number_text(value)}" + (f" ({name})" if name else "")
            title = element("title", text)
            drawn += marker(series.colour(name), along(place), up(value), title)
    return drawn, up.start + AXIS_HEIGHT


def lanes_of(points: Sequence[Point]) -> tuple[dict[str, list[Point]], int]:
    """The points of the result's first names, and the number of other names."""
    lanes: dict[str, list[Point]] = {}
    for point in points:
        lanes.setdefault(point.name, []).append(point)
    return dict(list(lanes.items())[:_MOST_LANES]), max(len(lanes) - _MOST_LANES, 0)


def draw_timeline(
    points: dict[str, list[Point]], series: Series, now: float, width: float
) -> _Drawing:
    """A lane per name, a mark per moment, and a line for the time of this run."""
    lanes = Lanes(list(points), width, top=FONT_SIZE + 10.0)
    times = [point.time for lane in points.values() for point in lane if point.time is not None]
    first, last = min(now, *times), max(now, *times)
    margin = max((last - first) * 0.02, 3600.0)
    scale, ticks = time_axis(first - margin, last + margin, lanes.left, lanes.right)
    x = scale(now)
    drawn = [
        vertical_lines(scale, ticks, lanes.top, lanes.bottom),
        element("line", x1=x, x2=x, y1=lanes.top - 4, y2=lanes.bottom, class_="now"),
        centred_label("this run", x, lanes.top - 8, width)[0],
        lanes.names(),
    ]
    for position, (name, lane) in enumerate(points.items()):
        y = lanes.middle(position)
        drawn.append(element("line", x1=lanes.left, x2=lanes.right, y1=y, y2=y, class_="lane"))
        drawn += _marks(name, lane, series, scale, y)
    drawn.append(labels_below(scale, ticks, lanes.bottom + 18, width))
    return Markup("").join(drawn), lanes.bottom + AXIS_HEIGHT


def _marks(
    name: str, lane: Sequence[Point], series: Series, scale: Scale, y: float
) -> Iterator[Markup]:
    """The marks of a lane; those of one colour at one pixel are drawn once."""
    places: dict[tuple[int, int], list[Point]] = {}
    for point in lane:
        place = series.colour(point.series), round(scale(point.time or 0.0))
        places.setdefault(place, []).append(point)
    for (colour, _), (point, *others) in places.items():
        text = f"{name}: {time_text(point.time or 0.0)}"
        text += f" ({point.series})" if point.series else ""
        text += f", and {len(others):,} more" if others else ""
        yield marker(colour, scale(point.time or 0.0), y, element("title", text))
