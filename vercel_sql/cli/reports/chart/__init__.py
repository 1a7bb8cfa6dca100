"""A report's chart as inline SVG in the page's own colours.

Charting libraries don't fit: Plotly and Vega add megabytes of script to each page; pygal and
matplotlib fix colours and sizes, so their charts can't follow the page into dark mode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from vercel_sql.cli.reports.chart import plots
from vercel_sql.cli.reports.chart.axes import element, marker, number_text, seconds_of
from vercel_sql.cli.reports.chart.data import Points, Series, points_of, series_of
from vercel_sql.cli.reports.facts import count_text
from vercel_sql.cli.reports.report import Chart
from vercel_sql.cli.reports.rows import Column, Row

# One drawing per screen width: scaled to fit, text would become too small to read.
_WIDTHS = {"wide": 920.0, "middle": 600.0, "narrow": 340.0}

_Plot = Callable[[float], tuple[Markup, float]]  # by width; gives the drawing and its height


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


def draw(
    chart: Chart, columns: Sequence[Column], rows: Iterable[Row], now: datetime
) -> Picture | None:
    """Draw a chart; None if no row can be drawn. `now` is when the report ran."""
    points = points_of(chart, columns, rows)
    if not points.points:
        return None
    series = series_of(points.points)
    plot, description, notes = _KINDS[chart.kind](points, series, seconds_of(now))
    if points.left_out:
        missing = chart.x if points.is_timed else chart.y
        verb = "is" if points.left_out == 1 else "are"
        notes.append(f"{count_text(points.left_out, 'row')} without {missing} {verb} not drawn.")
    title = _title(chart)
    drawings = {name: _svg(name, w, plot, title, description) for name, w in _WIDTHS.items()}
    legend = [
        (_swatch(colour, chart.kind), name)
        for colour, name in series.legend
        if chart.kind != "line" or name in series.names  # lines without a colour are not drawn
    ]
    return Picture(title, drawings, legend, notes)


def _bars(points: Points, series: Series, _: float) -> tuple[_Plot, str, list[str]]:
    if points.is_timed:
        columns = count_text(len({point.time for point in points.points}), "column")
        return (
            lambda width: plots.draw_columns(points.points, series, width),
            f"{columns} over time",
            [],
        )
    bars, more = plots.bars_of(points.points, series)
    largest = sorted(bars, key=lambda bar: -bar.total)[:3]
    description = ", ".join(f"{bar.name} {number_text(bar.total)}" for bar in largest)
    notes = [f"The {len(bars)} largest, and {more:,} more in the table."] if more else []
    return lambda width: plots.draw_bars(bars, series, width), f"Largest: {description}", notes


def _lines(points: Points, series: Series, _: float) -> tuple[_Plot, str, list[str]]:
    names = ", ".join(filter(None, series.names))
    description = f"{count_text(len(series.names), 'line')}: {names}".rstrip(": ")
    notes = []
    if series.others:
        notes.append(f"The {len(series.names)} largest, and {series.others_name} in the table.")
    return lambda width: plots.draw_lines(points, series, width), description, notes


def _timeline(points: Points, series: Series, now: float) -> tuple[_Plot, str, list[str]]:
    lanes, more = plots.lanes_of(points.points)
    description = f"{count_text(len(lanes), 'name')}: {', '.join(lanes)}"
    notes = [f"The first {len(lanes)}, and {more:,} more in the table."] if more else []
    return lambda width: plots.draw_timeline(lanes, series, now, width), description, notes


_KINDS = {"bar": _bars, "line": _lines, "timeline": _timeline}


def _title(chart: Chart) -> str:
    x, y = chart.x.replace("_", " "), chart.y.replace("_", " ")
    title = f"{x}, by {y}" if chart.kind == "timeline" else f"{y} by {x}"
    return title[:1].upper() + title[1:]


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
