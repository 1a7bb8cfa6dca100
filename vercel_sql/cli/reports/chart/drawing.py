"""Draws a report's chart for each width of screen, and says beside it what it leaves out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from vercel_sql.cli.reports.chart.bars import bars_of, draw_bars
from vercel_sql.cli.reports.chart.columns import draw_columns
from vercel_sql.cli.reports.chart.lines import draw_lines
from vercel_sql.cli.reports.chart.points import Points, points_of
from vercel_sql.cli.reports.chart.series import Series, marker, series_of
from vercel_sql.cli.reports.chart.svg import element
from vercel_sql.cli.reports.chart.ticks import number_text, seconds_of
from vercel_sql.cli.reports.chart.timeline import draw_timeline, lanes_of
from vercel_sql.cli.reports.facts import count_text
from vercel_sql.cli.reports.report import Chart
from vercel_sql.cli.reports.rows import Column, Row

# Scaled to fit, the text would become too small to read.
_WIDTHS = {"wide": 920.0, "middle": 600.0, "narrow": 340.0}

_Drawn = Callable[[float], tuple[Markup, float]]


@dataclass(frozen=True)
class Picture:
    """A chart, ready for a page.

    Attributes:
        title: what it shows.
        drawings: the same for each width, by the class of the page's style that shows it.
        legend: the mark and name of each series; empty where there is nothing to tell apart.
        notes: what is not drawn.
    """

    title: str
    drawings: dict[str, Markup]
    legend: Sequence[tuple[Markup, str]]
    notes: Sequence[str]


def draw(
    chart: Chart, columns: Sequence[Column], rows: Iterable[Row], now: datetime
) -> Picture | None:
    """Draws a chart; None where no row has anything to draw."""
    points = points_of(chart, columns, rows)
    if not points.points:
        return None
    series = series_of(points.points)
    make, says, notes = _KINDS[chart.kind](points, series, seconds_of(now))
    title = _title(chart)
    if points.left_out:
        missing = chart.x if points.is_timed else chart.y
        verb = "is" if points.left_out == 1 else "are"
        notes.append(f"{count_text(points.left_out, 'row')} without {missing} {verb} not drawn.")
    drawings = {name: _svg(name, width, make, title, says) for name, width in _WIDTHS.items()}
    others_drawn = chart.kind != "line"
    legend = [
        (_swatch(colour, chart.kind), name)
        for colour, name in series.legend
        if others_drawn or name in series.names
    ]
    return Picture(title, drawings, legend, notes)


def _bars(points: Points, series: Series, _: float) -> tuple[_Drawn, str, list[str]]:
    if points.is_timed:
        says = f"{count_text(len({point.time for point in points.points}), 'column')} over time"
        return lambda width: draw_columns(points.points, series, width), says, []
    bars, more = bars_of(points.points, series)
    largest = sorted(bars, key=lambda bar: -bar.total)[:3]
    says = "Largest: " + ", ".join(f"{bar.name} {number_text(bar.total)}" for bar in largest)
    notes = [f"The {len(bars)} largest, and {more:,} more in the table."] if more else []
    return lambda width: draw_bars(bars, series, width), says, notes


def _lines(points: Points, series: Series, _: float) -> tuple[_Drawn, str, list[str]]:
    says = f"{count_text(len(series.names), 'line')}: {', '.join(filter(None, series.names))}"
    notes = []
    if series.others:
        notes.append(f"The {len(series.names)} largest, and {series.others_name} in the table.")
    return lambda width: draw_lines(points, series, width), says.rstrip(": "), notes


def _timeline(points: Points, series: Series, now: float) -> tuple[_Drawn, str, list[str]]:
    lanes, more = lanes_of(points.points)
    says = f"{count_text(len(lanes), 'name')}: {', '.join(lanes)}"
    notes = [f"The first {len(lanes)}, and {more:,} more in the table."] if more else []
    return lambda width: draw_timeline(lanes, series, now, width), says, notes


_KINDS = {"bar": _bars, "line": _lines, "timeline": _timeline}


def _title(chart: Chart) -> str:
    x, y = chart.x.replace("_", " "), chart.y.replace("_", " ")
    title = f"{x}, by {y}" if chart.kind == "timeline" else f"{y} by {x}"
    return title[:1].upper() + title[1:]


def _svg(name: str, width: float, make: _Drawn, title: str, says: str) -> Markup:
    body, height = make(width)
    ids = f"chart-{name}-title", f"chart-{name}-says"
    about = element("title", title, id=ids[0]) + element("desc", says, id=ids[1])
    return element(
        "svg",
        about,
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
