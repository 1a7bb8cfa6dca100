"""How wide each column of a table in a terminal is, and which columns have to go.

The rules are those of DuckDB's own box, with two more: a secret is never cut, and a terminal of
less than 80 columns, which DuckDB's box would overflow, gets a table that fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_READABLE = 20  # what a column keeps, in terminal columns, before others are left out for its sake
_NARROW = 80  # below so many columns a table does with less:
_READABLE_IF_NARROW = 12
_GAP = 4  # the column that says `…` where others are left out


@dataclass(frozen=True)
class Column:
    """What the layout knows of a column, in terminal columns.

    Attributes:
        needs: its widest cell, its name included.
        type_width: its type's name, which may be cut at any time.
        secret: whether it must be shown in full, or not in the table at all.
    """

    needs: int
    type_width: int
    secret: bool


@dataclass(frozen=True)
class Layout:
    """The columns that are shown.

    Attributes:
        widths: by position; a column that is not here is left out.
        gap: the position at which `…` stands for what is left out, None if nothing is.
        below: whether the secrets did not fit, and go below the table.
        shortened: whether all columns are shown, and some of them narrower than they are.
    """

    widths: dict[int, int]
    gap: int | None = None
    below: bool = False
    shortened: bool = False

    @property
    def total(self) -> int:
        """How wide the table is, its borders included."""
        return _total(self.widths.values()) + (0 if self.gap is None else _GAP)


def natural(columns: Sequence[Column], least: int) -> Layout:
    """All columns, as wide as they are; the first is stretched until the table has the width."""
    widths = [max(column.needs, column.type_width) for column in columns]
    widths[0] += max(0, least - _total(widths))
    return Layout(dict(enumerate(widths)))


def fit(columns: Sequence[Column], width: int, least: int) -> Layout:
    """The layout for a terminal: whole if it can be, else shortened, else with columns left out."""
    whole = natural(columns, min(least, width))
    if whole.total <= width:
        return whole
    readable = _READABLE if width >= _NARROW else _READABLE_IF_NARROW
    wishes = [c.needs if c.secret else whole.widths[at] for at, c in enumerate(columns)]
    floors = [c.needs if c.secret else min(wishes[at], readable) for at, c in enumerate(columns)]
    if _total(floors) > width:
        return _pruned(columns, wishes, floors, width)
    widths = _levelled(wishes, floors, _total(wishes) - width)
    _grow(widths, whole.widths, width - _total(widths.values()))
    return Layout(widths, shortened=widths != whole.widths)


def _levelled(wishes: Sequence[int], floors: Sequence[int], excess: int) -> dict[int, int]:
    """The widest columns give way first, down to the next widest, until they are all as wide."""
    widths = dict(enumerate(wishes))
    order = sorted((at for at in widths if wishes[at] > floors[at]), key=widths.__getitem__)
    for start in reversed(range(len(order))):
        if excess <= 0:
            break
        group = order[start:]
        room = sum(wishes[at] for at in group) - excess
        level = wishes[order[start - 1]] if start else floors[order[0]]
        if room >= level * len(group):
            each, more = divmod(room, len(group))
            widths |= {at: each + (number < more) for number, at in enumerate(group)}
            break
    return widths


def _pruned(
    columns: Sequence[Column], wishes: Sequence[int], floors: Sequence[int], width: int
) -> Layout:
    """Columns are left out from the middle, since the ends say most of a row; secrets stay."""
    secrets = [column.needs for column in columns if column.secret]
    others = len(secrets) < len(columns)
    below = bool(secrets) and _total(secrets) + (_GAP if others else 0) > width
    shown = {at: floors[at] for at, c in enumerate(columns) if not (below and c.secret)}
    room = width - (_GAP if len(columns) > 1 else 0)
    middle = len(columns) // 2
    for at in sorted(shown, key=lambda at: (abs(at - middle), at > middle)):
        if len(shown) == 1 or _total(shown.values()) <= room:
            break
        if not columns[at].secret:
            del shown[at]
    if _total(shown.values()) > room:  # a single column, wider than the terminal
        shown = {at: max(1, room - _total([0])) for at in shown}
    _grow(shown, dict(enumerate(wishes)), room - _total(shown.values()))
    gone = [at for at in range(len(columns)) if at not in shown]
    return Layout(shown, gone[0] if gone and shown else None, below)


def _grow(widths: dict[int, int], wishes: dict[int, int], spare: int) -> None:
    """Hands out what is left, from the left."""
    for at in sorted(widths):
        more = min(wishes[at] - widths[at], spare)
        if more > 0:
            widths[at] += more
            spare -= more


def _total(widths: Iterable[int]) -> int:
    return 1 + sum(width + 3 for width in widths)
