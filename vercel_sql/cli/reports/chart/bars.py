"""Level bars, one a name, in the result's order; with series, each bar has its parts."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from vercel_sql.cli.reports.chart.axes import BELOW, Scale, labels_below, upright_lines
from vercel_sql.cli.reports.chart.lanes import MOST, Lanes
from vercel_sql.cli.reports.chart.points import Point
from vercel_sql.cli.reports.chart.series import Series
from vercel_sql.cli.reports.chart.stacks import Stack, pieces
from vercel_sql.cli.reports.chart.svg import element, label, text_width
from vercel_sql.cli.reports.chart.ticks import number_text, number_ticks

_BESIDE = 12.0
_THICK = 16.0
_THINNEST = 1.5
_GAP = 1.0  # between the parts of a bar


def bars_of(points: Sequence[Point], series: Series) -> tuple[list[Stack], int]:
    """The bars with the largest values, in the result's order, and how many others there are.

    Without series each point is a bar of its own, whatever its name; else the points of one name
    and series are added.
    """
    bars: list[Stack] = []
    named: dict[str, Stack] = {}
    for point in points:
        bar = named.get(point.name) if series.legend else None
        if bar is None:
            bar = named[point.name] = Stack(point.name)
            bars.append(bar)
        bar.add(series.title(point.series), point.value)
    largest = {id(bar) for bar in sorted(bars, key=lambda bar: -abs(bar.total))[:MOST]}
    return [bar for bar in bars if id(bar) in largest], max(len(bars) - MOST, 0)


def draw_bars(bars: Sequence[Stack], series: Series, width: float) -> tuple[Markup, float]:
    """The drawing, and its height."""
    values = [number_text(bar.total) for bar in bars]
    beside = max(map(text_width, values)) + _BESIDE
    lanes = Lanes([bar.name for bar in bars], width, beside)
    ends = [end for bar in bars for end in bar.reach]
    low, high = min(0.0, *ends), max(0.0, *ends)
    scale = Scale(low, high if high > low else low + 1, lanes.left, lanes.right)
    whole = all(part.is_integer() for bar in bars for part in bar.parts.values())
    most = int((lanes.right - lanes.left) / 80)
    ticks = [
        tick
        for tick in number_ticks(scale.low, scale.high, most, whole=whole)
        if scale.low <= tick.value <= scale.high
    ]
    drawn = upright_lines(scale, ticks, lanes.top, lanes.bottom) + lanes.names()
    for position, (bar, value) in enumerate(zip(bars, values, strict=True)):
        drawn += _bar(bar, series, scale, lanes.middle(position))
        base = lanes.middle(position) + 4.5
        drawn += label(value, width - beside, base, beside, "end")
    drawn += element("line", x1=scale(0), x2=scale(0), y1=lanes.top, y2=lanes.bottom, class_="axis")
    drawn += labels_below(scale, ticks, lanes.bottom + 18, lanes.right + beside)
    return drawn, lanes.bottom + BELOW


def _bar(bar: Stack, series: Series, scale: Scale, middle: float) -> Markup:
    drawn = Markup("")
    gap = _GAP if len(bar.parts) > 1 else 0.0
    for part, start, end in pieces(bar, series):
        left, right = sorted((scale(start), scale(end)))
        says = f"{bar.name}: {number_text(end - start)}" + (f" ({part})" if part else "")
        drawn += element(
            "rect",
            element("title", says),
            x=left,
            y=middle - _THICK / 2,
            # A part is seen, however small it is beside the others.
            width=max(right - left - gap, _THINNEST),
            height=_THICK,
            class_=f"bar s{series.colour(part)}",
        )
    return drawn
