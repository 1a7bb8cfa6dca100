"""Upright columns over time; with series, each column has its parts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup

from vercel_sql.cli.reports.chart.axes import (
    BELOW,
    Scale,
    labels_below,
    levels,
    time_axis,
    upright_lines,
)
from vercel_sql.cli.reports.chart.points import Point
from vercel_sql.cli.reports.chart.series import Series
from vercel_sql.cli.reports.chart.stacks import Stack, pieces
from vercel_sql.cli.reports.chart.svg import element
from vercel_sql.cli.reports.chart.ticks import number_text, time_text

_THICKEST = 44.0
_FILLED = 0.8  # of the place between two columns


def draw_columns(points: Sequence[Point], series: Series, width: float) -> tuple[Markup, float]:
    """The drawing, and its height; the values of one time and series are added."""
    stacks: dict[float, Stack] = {}
    for point in points:
        if point.time is not None:
            stack = stacks.setdefault(point.time, Stack(time_text(point.time)))
            stack.add(series.title(point.series), point.value)
    up, left, drawn = levels([end for stack in stacks.values() for end in stack.reach], width)
    times = sorted(stacks)
    thick = _thickness(times, width - left)
    along, ticks = time_axis(times[0], times[-1], left + thick / 2 + 4, width - thick / 2 - 4)
    drawn += upright_lines(along, ticks, up.start, up.start + 5)
    drawn += labels_below(along, ticks, up.start + 20, width)
    columns = (_column(stacks[time], series, along(time), thick, up) for time in times)
    return drawn + Markup("").join(columns), up.start + BELOW


def _thickness(times: Sequence[float], room: float) -> float:
    if len(times) == 1:
        return _THICKEST
    nearest = min(later - sooner for sooner, later in pairwise(times))
    share = nearest / (times[-1] - times[0] + nearest)
    return max(min(room * share * _FILLED, _THICKEST), 1.0)


def _column(stack: Stack, series: Series, x: float, thick: float, up: Scale) -> Markup:
    drawn = Markup("")
    for part, start, end in pieces(stack, series):
        top, bottom = sorted((up(start), up(end)))
        says = f"{stack.name}: {number_text(end - start)}" + (f" ({part})" if part else "")
        drawn += element(
            "rect",
            element("title", says),
            x=x - thick / 2,
            y=top,
            width=thick,
            height=bottom - top,
            class_=f"bar s{series.colour(part)}",
        )
    return drawn
