"""Scales, the lines of a grid, and labels at ticks that keep out of each other's way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from vercel_sql.cli.reports.chart.svg import SIZE, element, label, text_width
from vercel_sql.cli.reports.chart.ticks import Tick, number_ticks, time_ticks

BELOW = SIZE + 14.0
"""The height that the labels below a plot take."""

_BETWEEN = 10.0
_APART = 76.0  # pixels between two labels of a time axis
_DAY = 86_400.0
_ABOVE = 12.0


@dataclass(frozen=True)
class Scale:
    """Maps the values from `low` to `high` to the pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where a value is."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def upright_lines(scale: Scale, ticks: Sequence[Tick], top: float, bottom: float) -> Markup:
    """A line at each tick, from the top to the bottom of a plot."""
    places = [scale(tick.value) for tick in ticks]
    return Markup("").join(
        element("line", x1=x, x2=x, y1=top, y2=bottom, class_="grid") for x in places
    )


def labels_below(scale: Scale, ticks: Sequence[Tick], base: float, width: float) -> Markup:
    """The labels of the ticks of a level axis; one that has no room is left out."""
    drawn = Markup("")
    free = 0.0
    for tick in ticks:
        room = text_width(tick.label) + 2
        left = min(max(scale(tick.value) - room / 2, 0.0), width - room)
        if left >= free:
            drawn += label(tick.label, left, base, room, "middle")
            free = left + room + _BETWEEN
    return drawn


def time_axis(first: float, last: float, start: float, end: float) -> tuple[Scale, list[Tick]]:
    """A level axis of time between two pixels, and its ticks."""
    if first == last:
        first, last = first - _DAY, last + _DAY
    ticks = time_ticks(first, last, max(int((end - start) / _APART), 2))
    return Scale(first, last, start, end), ticks


def levels(values: Sequence[float], width: float) -> tuple[Scale, float, Markup]:
    """An upright axis that has zero and some values on it."""
    low, high = min(0.0, *values), max(0.0, *values)
    whole = all(value.is_integer() for value in values)
    ticks = number_ticks(low, high if high > low else low + 1, 5, whole=whole)
    left = max(text_width(tick.label) for tick in ticks) + _BETWEEN
    bottom = _ABOVE + (180.0 if width < 480 else 260.0)
    up = Scale(ticks[0].value, ticks[-1].value, bottom, _ABOVE)
    drawn = Markup("")
    for tick in ticks:
        y = up(tick.value)
        look = "axis" if tick.value == 0 else "grid"
        drawn += element("line", x1=left, x2=width, y1=y, y2=y, class_=look)
        drawn += label(tick.label, 0.0, y + 4.5, left - 8, "end")
    return up, left, drawn
