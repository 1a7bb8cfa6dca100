"""A report's chart as inline SVG in the page's own colours.

Charting libraries don't fit: Plotly and Vega add megabytes of script to each page; pygal and
matplotlib fix colours and sizes, so their charts can't follow the page into dark mode.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

from markupsafe import Markup

from vercel_sql.cli.reports.axes import (
    AXIS_HEIGHT,
    FONT_SIZE,
    Lanes,
    Scale,
    Tick,
    centred_label,
    element,
    horizontal_axis,
    label,
    labels_below,
    line,
    marker,
    number_text,
    number_ticks,
    seconds_of,
    text_width,
    time_axis,
    time_text,
    value_axis,
    vertical_lines,
)
from vercel_sql.cli.reports.report import Chart, count_text
from vercel_sql.cli.reports.rows import Column, Kind, Row
from vercel_sql.errors import ProgrammingError
from vercel_sql.text import visible

# One drawing per screen width: scaled to fit, text would become too small to read.
_WIDTHS = {"wide": 920.0, "middle": 600.0, "narrow": 340.0}
_COLOURS = 6  # nobody can tell more apart: the series after the first six share another
_MOST_LANES = 20  # the table shows the rest
_BAR_THICKNESS = 16.0
_COLUMN_THICKNESS = 44.0
_MARKER_DISTANCE = 16.0  # pixels between the markers of a line; with less, some are left out

_Drawing = tuple[Markup, float]  # and its height
_Plot = Callable[[float], _Drawing]  # by width
_Parts = dict[str, float]  # of a bar or column: the value of each series


@dataclass(frozen=True)
class Picture:
    """A chart, ready for a page.

    Attributes:
        title: what it shows.
        drawings: the SVG for each width, by its CSS class.
        legend: the mark and name of each series; empty without series.
        notes: what is not drawn.
    """

    title: str
    drawings: dict[str, Markup]
    legend: Sequence[tuple[Markup, str]]
    notes: Sequence[str]


class _Point(NamedTuple):
    """A row: its name on the axis or lane, its time if `x` is one, its value, and its series."""

    name: str
    time: float | None
    value: float
    series: str


class _Data:
    """The rows that can be drawn, in the result's order, and their series.

    Attributes:
        points: the points.
        is_timed: whether `x` is a time.
        left_out: the number of rows without a value or time.
        series: the series with a colour of their own, largest first; one with an empty name if the
            chart has no series.
        others: the number of the other series.
    """

    def __init__(self, chart: Chart, columns: Sequence[Column], rows: Iterable[Row]) -> None:
        x, y = _position(chart.x, columns), _position(chart.y, columns)
        part = _position(chart.series, columns) if chart.series else None
        is_timeline = chart.kind == "timeline"
        self.is_timed = columns[x].kind in (Kind.TIME, Kind.DATE)
        if is_timeline and not self.is_timed:
            raise ProgrammingError(
                f"the report's timeline needs a time, and {chart.x} is not a time"
            )
        if not is_timeline and columns[y].kind is not Kind.NUMBER:
            raise ProgrammingError(f"the report's chart draws {chart.y}, which is not a number")
        self.points: list[_Point] = []
        self.left_out = 0
        totals: dict[str, float] = {}
        for row in rows:
            time = _seconds(row[x]) if self.is_timed else None
            value = 1.0 if is_timeline else float(row[y] or "nan")
            if not math.isfinite(value) or (self.is_timed and time is None):
                self.left_out += 1
                continue
            series = "" if part is None else _name(row[part])
            self.points.append(_Point(_name(row[y if is_timeline else x]), time, value, series))
            totals[series] = totals.get(series, 0.0) + abs(value)
        names = sorted(totals, key=lambda name: -totals[name])
        self.series, self.others = names[:_COLOURS], len(names[_COLOURS:])

    @property
    def times(self) -> list[float]:
        return [point.time for point in self.points if point.time is not None]

    @property
    def others_name(self) -> str:
        return f"{self.others:,} other" + ("" if self.others == 1 else "s")

    @property
    def legend(self) -> list[str]:
        """The names of the colours; empty without series."""
        if self.series == [""]:
            return []
        return [*self.series, self.others_name] if self.others else self.series

    def colour(self, name: str) -> int:
        return self.series.index(name) if name in self.series else _COLOURS

    def add(self, parts: _Parts, point: _Point) -> None:
        """Add a point to a bar, to the part that stands for its series."""
        part = point.series if point.series in self.series else self.others_name
        parts[part] = parts.get(part, 0.0) + point.value

    def pieces(self, parts: _Parts) -> Iterator[tuple[str, float, float]]:
        """Each part of a bar that is not zero, with its start and end."""
        below = above = 0.0
        for part in sorted(parts, key=self.colour):
            value = parts[part]
            if value < 0:
                yield part, below, below + value
                below += value
            elif value > 0:
                yield part, above, above + value
                above += value

    def ends(self, bars: Iterable[_Parts]) -> list[float]:
        """Where pieces of the bars end, the furthest ones included."""
        return [0.0, *(end for parts in bars for _, _, end in self.pieces(parts))]


def draw(
    chart: Chart, columns: Sequence[Column], rows: Iterable[Row], now: datetime
) -> Picture | None:
    """Draw a chart; None if no row can be drawn. `now` is when the report ran."""
    data = _Data(chart, columns, rows)
    if not data.points:
        return None
    if chart.kind == "timeline":
        plot, description, notes = _timeline(data, seconds_of(now))
    else:
        plot, description, notes = (_bars if chart.kind == "bar" else _lines)(data)
    if data.left_out:
        missing = chart.x if data.is_timed else chart.y
        verb = "is" if data.left_out == 1 else "are"
        notes.append(f"{count_text(data.left_out, 'row')} without {missing} {verb} not drawn.")
    x, y = chart.x.replace("_", " "), chart.y.replace("_", " ")
    title = f"{x}, by {y}" if chart.kind == "timeline" else f"{y} by {x}"
    title = title[:1].upper() + title[1:]
    drawings = {name: _svg(name, w, plot, title, description) for name, w in _WIDTHS.items()}
    legend = [
        (_swatch(colour, chart.kind), name)
        for colour, name in enumerate(data.legend)
        if chart.kind != "line" or colour < _COLOURS  # lines without a colour are not drawn
    ]
    return Picture(title, drawings, legend, notes)


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


def _seconds(text: str | None) -> float | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:  # NULL, infinity, and years outside Python's range
        return None
    return seconds_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _svg(name: str, width: float, plot: _Plot, title: str, description: str) -> Markup:
    body, height = plot(width)
    ids = f"chart-{name}-title", f"chart-{name}-description"
    return element(
        "svg",
        element("title", title, id=ids[0]) + element("desc", description, id=ids[1]),
        body,
        class_=f"chart {name}",
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=width,
        height=height,
        role="img",
        aria_labelledby=" ".join(ids),
    )


def _swatch(colour: int, kind: str) -> Markup:
    bar = element("rect", x=1, y=1, width=12, height=12, rx=2, class_=f"bar s{colour}")
    mark = bar if kind == "bar" else marker(colour, 7.0, 7.0)
    return element("svg", mark, width=14, height=14, class_="chart", aria_hidden="true")


def _bars(data: _Data) -> tuple[_Plot, str, list[str]]:
    """Columns over time; else horizontal bars, the largest in the result's order.

    With series, points of the same name and series are added; without, each is a bar of its own.
    """
    if data.is_timed:
        columns = count_text(len(set(data.times)), "column")
        return lambda width: _draw_columns(data, width), f"{columns} over time", []
    bars: list[tuple[str, _Parts]] = []
    named: dict[str, _Parts] = {}
    for point in data.points:
        if point.name not in named or not data.legend:
            named[point.name] = {}
            bars.append((point.name, named[point.name]))
        data.add(named[point.name], point)
    by_size = sorted(range(len(bars)), key=lambda at: -abs(_total(bars[at][1])))
    largest = [bars[at] for at in sorted(by_size[:_MOST_LANES])]
    top = sorted(largest, key=lambda bar: -_total(bar[1]))[:3]
    named_top = ", ".join(f"{name} {number_text(_total(parts))}" for name, parts in top)
    more = len(bars) - len(largest)
    notes = [f"The {len(largest)} largest, and {more:,} more in the table."] if more else []
    return lambda width: _draw_bars(data, largest, width), f"Largest: {named_top}", notes


def _total(parts: _Parts) -> float:
    return sum(parts.values())


def _draw_bars(data: _Data, bars: Sequence[tuple[str, _Parts]], width: float) -> _Drawing:
    values = [number_text(_total(parts)) for _, parts in bars]
    margin = max(map(text_width, values)) + 12.0
    lanes = Lanes([name for name, _ in bars], width, margin)
    ends = data.ends(parts for _, parts in bars)
    low, high = min(ends), max(ends)
    scale = Scale(low, high if high > low else low + 1, lanes.left, lanes.right)
    whole = all(value.is_integer() for _, parts in bars for value in parts.values())
    ticks = number_ticks(low, scale.high, int((lanes.right - lanes.left) / 80), whole=whole)
    ticks = [tick for tick in ticks if low <= tick.value <= scale.high]
    drawn = vertical_lines(scale, ticks, lanes.top, lanes.bottom) + lanes.names()
    for position, ((name, parts), value) in enumerate(zip(bars, values, strict=True)):
        middle = lanes.middle(position)
        for part, *piece in data.pieces(parts):
            left, right = sorted(map(scale, piece))
            # However small a part is beside the others, it stays visible.
            wide = max(right - left - (len(parts) > 1), 1.5)
            place = {"x": left, "y": middle - _BAR_THICKNESS / 2}
            drawn += _piece(data, name, part, piece, **place, width=wide, height=_BAR_THICKNESS)
        drawn += label(value, width - margin, middle + 4.5, margin, "end")
    drawn += line(scale(0), scale(0), lanes.top, lanes.bottom, "axis")
    drawn += labels_below(scale, ticks, lanes.bottom + 18, lanes.right + margin)
    return drawn, lanes.bottom + AXIS_HEIGHT


def _draw_columns(data: _Data, width: float) -> _Drawing:
    """Vertical columns; values of the same time and series are added."""
    stacks: dict[float, _Parts] = {}
    for point in data.points:
        if point.time is not None:
            data.add(stacks.setdefault(point.time, {}), point)
    up, left, drawn = value_axis(data.ends(stacks.values()), width)
    times = sorted(stacks)
    thick = _column_thickness(times, width - left)
    along, ticks = time_axis(times[0], times[-1], left + thick / 2 + 4, width - thick / 2 - 4)
    drawn += horizontal_axis(along, ticks, up, width)
    for time in times:
        for part, *piece in data.pieces(stacks[time]):
            top, bottom = sorted(map(up, piece))
            place = {"x": along(time) - thick / 2, "y": top}
            size = {"width": thick, "height": bottom - top}
            drawn += _piece(data, time_text(time), part, piece, **place, **size)
    return drawn, up.start + AXIS_HEIGHT


def _column_thickness(times: Sequence[float], room: float) -> float:
    if len(times) == 1:
        return _COLUMN_THICKNESS
    nearest = min(later - sooner for sooner, later in pairwise(times))
    share = nearest / (times[-1] - times[0] + nearest)
    return max(min(room * share * 0.8, _COLUMN_THICKNESS), 1.0)


def _piece(data: _Data, name: str, part: str, ends: Sequence[float], **box: float) -> Markup:
    text = f"{name}: {number_text(ends[1] - ends[0])}" + (f" ({part})" if part else "")
    title = element("title", text)
    return element("rect", title, **box, class_=f"bar s{data.colour(part)}")


def _lines(data: _Data) -> tuple[_Plot, str, list[str]]:
    names = ", ".join(filter(None, data.series))
    description = f"{count_text(len(data.series), 'line')}: {names}".rstrip(": ")
    notes = []
    if data.others:
        notes.append(f"The {len(data.series)} largest, and {data.others_name} in the table.")
    return lambda width: _draw_lines(data, width), description, notes


def _draw_lines(data: _Data, width: float) -> _Drawing:
    """Lines over time or names; values of the same place and series are added."""
    names = list(dict.fromkeys(point.name for point in data.points))
    positions = {name: float(position) for position, name in enumerate(names)}
    lines: dict[str, dict[float, float]] = {name: {} for name in data.series}
    for point in data.points:
        if point.series in lines:
            place = positions[point.name] if point.time is None else point.time
            values = lines[point.series]
            values[place] = values.get(place, 0.0) + point.value
    up, left, drawn = value_axis([v for values in lines.values() for v in values.values()], width)
    if data.is_timed:
        along, ticks = time_axis(min(data.times), max(data.times), left + 10, width - 10)
    else:
        ticks = [Tick(position, name) for name, position in positions.items()]
        low, high = (0.0, len(ticks) - 1.0) if len(ticks) > 1 else (-1.0, 1.0)
        along = Scale(low, high, left + 10, width - 10)
    drawn += horizontal_axis(along, ticks, up, width)
    for name in reversed(data.series):  # the largest last, above the others
        spots = sorted(lines[name].items())
        crowd = 1 + int(_MARKER_DISTANCE * (len(spots) - 1) / (along.end - along.start))
        path = "L".join(f"{along(place):.2f} {up(value):.2f}" for place, value in spots)
        drawn += element("path", d=f"M{path}", class_=f"line s{data.colour(name)}")
        for place, value in spots[::crowd]:
            where = time_text(place) if data.is_timed else names[int(place)]
            text = f"{where}: {number_text(value)}" + (f" ({name})" if name else "")
            title = element("title", text)
            drawn += marker(data.colour(name), along(place), up(value), title)
    return drawn, up.start + AXIS_HEIGHT


def _timeline(data: _Data, now: float) -> tuple[_Plot, str, list[str]]:
    lanes: dict[str, list[_Point]] = {}
    for point in data.points:
        lanes.setdefault(point.name, []).append(point)
    first = dict(list(lanes.items())[:_MOST_LANES])
    more = len(lanes) - len(first)
    description = f"{count_text(len(first), 'name')}: {', '.join(first)}"
    notes = [f"The first {len(first)}, and {more:,} more in the table."] if more else []
    return lambda width: _draw_timeline(data, first, now, width), description, notes


def _draw_timeline(
    data: _Data, points: Mapping[str, Sequence[_Point]], now: float, width: float
) -> _Drawing:
    lanes = Lanes(list(points), width, top=FONT_SIZE + 10.0)
    times = [now, *(point.time or 0.0 for lane in points.values() for point in lane)]
    margin = max((max(times) - min(times)) * 0.02, 3600.0)
    scale, ticks = time_axis(min(times) - margin, max(times) + margin, lanes.left, lanes.right)
    drawn = [
        vertical_lines(scale, ticks, lanes.top, lanes.bottom),
        line(scale(now), scale(now), lanes.top - 4, lanes.bottom, "now"),
        centred_label("this run", scale(now), lanes.top - 8, width)[0],
        lanes.names(),
    ]
    for position, (name, lane) in enumerate(points.items()):
        y = lanes.middle(position)
        drawn.append(line(lanes.left, lanes.right, y, y, "lane"))
        drawn += _marks(data, name, lane, scale, y)
    drawn.append(labels_below(scale, ticks, lanes.bottom + 18, width))
    return Markup("").join(drawn), lanes.bottom + AXIS_HEIGHT


def _marks(
    data: _Data, name: str, lane: Sequence[_Point], scale: Scale, y: float
) -> Iterator[Markup]:
    """The marks of a lane; those of one colour at one pixel are drawn once."""
    places: dict[tuple[int, int], list[_Point]] = {}
    for point in lane:
        place = data.colour(point.series), round(scale(point.time or 0.0))
        places.setdefault(place, []).append(point)
    for (colour, _), (point, *others) in places.items():
        text = f"{name}: {time_text(point.time or 0.0)}"
        text += f" ({point.series})" if point.series else ""
        text += f", and {len(others):,} more" if others else ""
        yield marker(colour, scale(point.time or 0.0), y, element("title", text))
