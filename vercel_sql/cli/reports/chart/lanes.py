"""Names down the side, and a lane beside each; above it where the drawing is narrow."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from vercel_sql.cli.reports.chart.svg import SIZE, label, text_width

MOST = 20
"""How many lanes there are at most: more are a table."""

_NARROW = 480.0  # narrower drawings have the names above the lanes
_SHARE = 0.36  # of the width, for names at the side
_GAP = 14.0


class Lanes:
    """Lanes of equal height.

    Attributes:
        left: where the lanes begin.
        right: where they end.
        top: the upper end of the first.
        bottom: the lower end of the last.
    """

    def __init__(
        self, names: Sequence[str], width: float, beside: float = 0.0, top: float = 4.0
    ) -> None:
        self._names = names
        self._is_narrow = width < _NARROW
        widest = min(max(map(text_width, names)) + 2, _SHARE * width)
        self._room = width - beside if self._is_narrow else widest
        self._height = 46.0 if self._is_narrow else 28.0
        self.left = 1.0 if self._is_narrow else widest + _GAP
        self.right = width - max(beside, 6.0)
        self.top = top
        self.bottom = top + self._height * len(names)

    def middle(self, position: int) -> float:
        """How high the middle of a lane is."""
        free = SIZE + 6.0 if self._is_narrow else 0.0
        return self.top + self._height * position + (self._height + free) / 2

    def names(self) -> Markup:
        """The lanes' names."""
        drawn = Markup("")
        for position, name in enumerate(self._names):
            if self._is_narrow:
                base = self.top + self._height * position + SIZE + 2
                drawn += label(name, self.left, base, self._room - self.left)
            else:
                drawn += label(name, 0.0, self.middle(position) + 4.5, self._room, "end")
        return drawn
