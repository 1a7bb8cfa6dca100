"""Which lines or parts a chart tells apart: the largest by colour and shape, the others as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from vercel_sql.cli.reports.chart.points import Point
from vercel_sql.cli.reports.chart.svg import element

MOST = 6
"""How many series have a colour of their own: more are told apart by nobody."""

_OTHERS = MOST


@dataclass(frozen=True)
class Series:
    """The series of a chart; a chart without any has one, whose name is empty.

    Attributes:
        names: those that have a colour, the largest first.
        others: how many have none.
    """

    names: Sequence[str]
    others: int

    @property
    def legend(self) -> list[tuple[int, str]]:
        """Colour and name of what a reader has to tell apart."""
        if tuple(self.names) == ("",):
            return []
        named = list(enumerate(self.names))
        return [*named, (_OTHERS, self.others_name)] if self.others else named

    @property
    def others_name(self) -> str:
        """What all without a colour are called together."""
        return "1 other" if self.others == 1 else f"{self.others:,} others"

    def colour(self, name: str) -> int:
        """The number of a series' colour."""
        return self.names.index(name) if name in self.names else _OTHERS

    def title(self, name: str) -> str:
        """What a series is called in the chart."""
        return name if name in self.names else self.others_name


def series_of(points: Iterable[Point]) -> Series:
    """The series of some points, by the sum of their values."""
    totals: dict[str, float] = {}
    for point in points:
        totals[point.series] = totals.get(point.series, 0.0) + abs(point.value)
    names = sorted(totals, key=lambda name: -totals[name])
    return Series(names[:MOST], len(names[MOST:]))


def marker(colour: int, x: float, y: float, *inside: Markup) -> Markup:
    """The mark of a series, with a shape of its own for who does not see colours."""
    look = {"class_": f"mark s{colour}"}
    if colour == 0:
        return element("circle", *inside, cx=x, cy=y, r=4.5, **look)
    return element("path", *inside, d=_SHAPES[colour].format(x=f"{x:.2f}", y=f"{y:.2f}"), **look)


_SHAPES = (
    "",
    "M{x} {y}m-4 -4h8v8h-8z",
    "M{x} {y}m0 -5.5l5.5 10h-11z",
    "M{x} {y}m0 -6l6 6l-6 6l-6 -6z",
    "M{x} {y}m0 5.5l5.5 -10h-11z",
    "M{x} {y}m-2 -5.5h4v3.5h3.5v4h-3.5v3.5h-4v-3.5h-3.5v-4h3.5z",
    "M{x} {y}m-5 -2h10v4h-10z",
)
