"""SVG elements, text measured without a browser, and axes whose labels never overlap."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup, escape

from vercel_sql.cli.reports.report import MONTHS, moment_text
from vercel_sql.render.result import display_width

if TYPE_CHECKING:
    from collections.abc import Sequence

FONT_SIZE = 13  # in the page's pixels
AXIS_HEIGHT = FONT_SIZE + 14.0  # of the labels below a plot
_NARROW_CHARACTERS = frozenset("ijl.,:;'|!()[]{}ftr I-`")
_WIDE_CHARACTERS = frozenset("mwMW@%\N{HORIZONTAL ELLIPSIS}\N{EN DASH}\N{EM DASH}")
_SHAPES = (
    "",
    "M{x} {y}m-4 -4h8v8h-8z",
    "M{x} {y}m0 -5.5l5.5 10h-11z",
    "M{x} {y}m0 -6l6 6l-6 6l-6 -6z",
    "M{x} {y}m0 5.5l5.5 -10h-11z",
    "M{x} {y}m-2 -5.5h4v3.5h3.5v4h-3.5v3.5h-4v-3.5h-3.5v-4h3.5z",
    "M{x} {y}m-5 -2h10v4h-10z",
)
_LABEL_GAP = 10.0
_TIME_LABEL_WIDTH = 76.0
_NARROW_WIDTH = 480.0  # narrower drawings are lower, and have names above their lanes
_HOUR = 3600.0
_STEPS = (60.0, 300.0, 900.0, 1800.0, *(_HOUR * h for h in (1, 3, 6, 12, 24, 48, 168, 336)))
_MONTH_STEPS = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 6000, 12000)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def element(tag: str, *children: str, **attributes: object) -> Markup:
    """An escaped element; `class_` is its class, `stroke_width` its stroke-width."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for name, value in attributes.items()
    )
    return Markup(f"<{tag}{written}>{''.join(map(escape, children))}</{tag}>")  # noqa: S704


def _number(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


def text_width(text: str) -> float:
    """An upper estimate of a text's width in pixels: the font is not known."""
    return FONT_SIZE * sum(map(_ems, text))


def _ems(character: str) -> float:
    if character in _NARROW_CHARACTERS:
        return 0.41
    if character in _WIDE_CHARACTERS:
        return 1.0
    if character.isascii():
        return 0.76 if character.isupper() else 0.64
    return 0.7 * max(display_width(character), 0)


def fitted(text: str, width: float) -> str:
    """The text, or as much of its start as fits, and `…`."""
    if text_width(text) <= width:
        return text
    while text and text_width(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def label(text: str, x: float, y: float, width: float, anchor: str = "start") -> Markup:
    """A line of text with its base line at `y`, cut to `width`."""
    shift = {"start": 0.0, "middle": width / 2, "end": width}[anchor]
    shown = fitted(text, width)
    whole = [element("title", text)] if shown != text else []
    inner = element("text", shown, *whole, x=shift, y=float(FONT_SIZE), text_anchor=anchor)
    # An inner <svg> clips: even text in an unexpectedly wide font overlaps nothing.
    box = {"width": max(width, 1.0), "height": FONT_SIZE * 1.5}
    return element("svg", inner, x=x, y=y - FONT_SIZE, **box, class_="label")


def centred_label(text: str, x: float, y: float, width: float) -> tuple[Markup, float, float]:
    """A label centred at `x` but inside the drawing's width; its left and right ends."""
    room = text_width(text) + 2
    left = min(max(x - room / 2, 0.0), width - room)
    return label(text, left, y, room, "middle"), left, left + room


def marker(colour: int, x: float, y: float, *children: Markup) -> Markup:
    """The mark of a series, whose shape tells it apart without its colour."""
    style = {"class_": f"mark s{colour}"}
    if colour == 0:
        return element("circle", *children, cx=x, cy=y, r=4.5, **style)
    path = _SHAPES[colour].format(x=f"{x:.2f}", y=f"{y:.2f}")
    return element("path", *children, d=path, **style)


class Tick(NamedTuple):
    """A value on an axis, and its label."""

    value: float
    label: str


@dataclass(frozen=True)
class Scale:
    """Maps the values from `low` to `high` to the pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def number_ticks(low: float, high: float, most: int, *, whole: bool) -> list[Tick]:
    """About `most` round numbers that span the values; `whole` allows no fractions."""
    step = _round_step((high - low) / max(most - 1, 1))
    if whole:
        step = max(step, 1.0)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [Tick(at * step, number_text(at * step)) for at in range(first, last + 1)]


def _round_step(least: float) -> float:
    magnitude = 10.0 ** math.floor(math.log10(least))
    factors = (f for f in (1, 2, 5) if f * magnitude >= least * (1 - 1e-9))
    return next(factors, 10) * magnitude


def number_text(value: float) -> str:
    """A readable number: `1,500`, `0.25`, `2.5e+20`."""
    if abs(value) < 1e15 and value == int(value):
        return f"{int(value):,}"
    return f"{value:,.4g}"


def time_ticks(low: float, high: float, most: int) -> list[Tick]:
    """At most `most` round moments in UTC between two, in seconds since the epoch."""
    for seconds in _STEPS:
        if (high - low) / seconds < most + 1:
            ticks = _even_ticks(low, high, seconds)
            if len(ticks) <= most:
                return ticks
    months = (_month_ticks(low, high, step) for step in _MONTH_STEPS)
    return next((ticks for ticks in months if len(ticks) <= most), [])


def _even_ticks(low: float, high: float, step: float) -> list[Tick]:
    ticks = []
    for at in range(math.ceil(low / step), math.floor(high / step) + 1):
        moment = _moment_at(at * step)
        is_midnight = moment.hour == moment.minute == 0
        day = f"{moment.day} {MONTHS[moment.month - 1]}"
        ticks.append(Tick(at * step, day if is_midnight else f"{moment:%H:%M}"))
    return ticks


def _month_ticks(low: float, high: float, step: int) -> list[Tick]:
    first, last = (m.year * 12 + m.month - 1 for m in (_moment_at(low), _moment_at(high)))
    ticks = []
    for month in range(first // step * step, last + 1, step):
        moment = datetime(max(month // 12, 1), month % 12 + 1, 1, tzinfo=UTC)
        name = f"{moment.year}" if step % 12 == 0 else f"{MONTHS[month % 12]} {moment.year}"
        if low <= seconds_of(moment) <= high:
            ticks.append(Tick(seconds_of(moment), name))
    return ticks


def _moment_at(seconds: float) -> datetime:
    return _EPOCH + timedelta(seconds=seconds)


def seconds_of(moment: datetime) -> float:
    return (moment - _EPOCH).total_seconds()


def time_text(seconds: float) -> str:
    """A readable moment: `1 Jan 2026` at midnight, else `1 Jan 2026, 09:30 UTC`."""
    text = moment_text(_moment_at(seconds))
    return text.partition(",")[0] if seconds % (24 * _HOUR) == 0 else text


def vertical_lines(scale: Scale, ticks: Sequence[Tick], top: float, bottom: float) -> Markup:
    places = [scale(tick.value) for tick in ticks]
    return Markup("").join(line(x, x, top, bottom, "grid") for x in places)


def line(x1: float, x2: float, y1: float, y2: float, style: str) -> Markup:
    return element("line", x1=x1, x2=x2, y1=y1, y2=y2, class_=style)


def horizontal_axis(along: Scale, ticks: Sequence[Tick], up: Scale, width: float) -> Markup:
    marks = vertical_lines(along, ticks, up.start, up.start + 5)
    return marks + labels_below(along, ticks, up.start + 20, width)


def labels_below(scale: Scale, ticks: Sequence[Tick], base: float, width: float) -> Markup:
    """The labels of a horizontal axis; one that would overlap another is left out."""
    drawn, free = Markup(""), 0.0
    for tick in ticks:
        text, left, right = centred_label(tick.label, scale(tick.value), base, width)
        if left >= free:
            drawn += text
            free = right + _LABEL_GAP
    return drawn


def time_axis(first: float, last: float, start: float, end: float) -> tuple[Scale, list[Tick]]:
    """A horizontal axis of time between two pixels; a single moment stands in the middle."""
    if first == last:
        first, last = first - 24 * _HOUR, last + 24 * _HOUR
    ticks = time_ticks(first, last, max(int((end - start) / _TIME_LABEL_WIDTH), 2))
    return Scale(first, last, start, end), ticks


def value_axis(values: Sequence[float], width: float) -> tuple[Scale, float, Markup]:
    """A vertical axis that includes zero; the right end of its labels, and its drawing."""
    low, high = min(0.0, *values), max(0.0, *values)
    whole = all(value.is_integer() for value in values)
    ticks = number_ticks(low, high if high > low else low + 1, 5, whole=whole)
    left = max(text_width(tick.label) for tick in ticks) + _LABEL_GAP
    top = 12.0
    bottom = top + (180.0 if width < _NARROW_WIDTH else 260.0)
    up = Scale(ticks[0].value, ticks[-1].value, bottom, top)
    drawn = Markup("")
    for tick in ticks:
        y = up(tick.value)
        drawn += line(left, width, y, y, "axis" if tick.value == 0 else "grid")
        drawn += label(tick.label, 0.0, y + 4.5, left - 8, "end")
    return up, left, drawn


class Lanes:
    """Lanes of equal height, each with a name beside it; above it if the drawing is narrow.

    In a drawing of some width, with a margin to the right of the lanes.
    """

    def __init__(
        self, names: Sequence[str], width: float, margin: float = 0.0, top: float = 4.0
    ) -> None:
        self._names = names
        self._is_narrow = width < _NARROW_WIDTH
        widest = min(max(map(text_width, names)) + 2, 0.36 * width)
        self._room = width - margin if self._is_narrow else widest
        self._height = 46.0 if self._is_narrow else 28.0
        self.left = 1.0 if self._is_narrow else widest + 14.0
        self.right = width - max(margin, 6.0)
        self.top = top
        self.bottom = top + self._height * len(names)

    def middle(self, position: int) -> float:
        above = FONT_SIZE + 6.0 if self._is_narrow else 0.0
        return self.top + self._height * position + (self._height + above) / 2

    def names(self) -> Markup:
        drawn = Markup("")
        for position, name in enumerate(self._names):
            if self._is_narrow:
                base = self.top + self._height * position + FONT_SIZE + 2
                drawn += label(name, self.left, base, self._room - self.left)
            else:
                drawn += label(name, 0.0, self.middle(position) + 4.5, self._room, "end")
        return drawn
