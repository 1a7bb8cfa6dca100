"""What a bar or column consists of: its parts, one on the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from vercel_sql.cli.reports.chart.series import Series


@dataclass
class Stack:
    """A bar or column: what it is called, and the values of its parts by their series."""

    name: str
    parts: dict[str, float] = field(default_factory=dict)

    def add(self, part: str, value: float) -> None:
        """Add to a part."""
        self.parts[part] = self.parts.get(part, 0.0) + value

    @property
    def total(self) -> float:
        """What the parts come to."""
        return sum(self.parts.values())

    @property
    def reach(self) -> tuple[float, float]:
        """How far it goes below zero, and above."""
        parts = self.parts.values()
        return sum((part for part in parts if part < 0), 0.0), sum(
            (part for part in parts if part > 0), 0.0
        )


def pieces(stack: Stack, series: Series) -> Iterator[tuple[str, float, float]]:
    """Each part that is not empty, and where it starts and ends, in the order of the series."""
    below = above = 0.0
    for part in sorted(stack.parts, key=series.colour):
        value = stack.parts[part]
        if value == 0:
            continue
        if value < 0:
            yield part, below, below + value
            below += value
        else:
            yield part, above, above + value
            above += value
