"""How wide each column of a table in a terminal is, and which columns have to go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_READABLE = 12  # what a column keeps, in terminal columns, before others are left out for its sake
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

    @property
    def wants(self) -> int:
        """What it takes if there is room: a short type is shown whole."""
        return max(self.needs, min(self.type_width, _READABLE))


@dataclass(frozen=True)
class Layout:
    """The columns that are shown.

    Attributes:
        widths: by position; a column that is not here is left out.
        gap: the position at which `…` stands for what is left out, None if nothing is.
        below: whether the secrets did not fit, and go below the table.
    """

    widths: dict[int, int]
    gap: int | None = None
    below: bool = False


def natural(columns: Sequence[Column]) -> Layout:
    """All columns, as wide as they are."""
    return Layout({at: max(c.needs, c.type_width) for at, c in enumerate(columns)})


def fit(columns: Sequence[Column], width: int) -> Layout:
    """The layout for a terminal: whole if it can be, else shortened, else with columns left out."""
    whole = natural(columns)
    if _total(whole.widths.values()) <= width:
        return whole
    secrets = [column.needs for column in columns if column.secret]
    others = len(secrets) < len(columns)
    below = bool(secrets) and _total(secrets) + (_GAP if others else 0) > width
    kept = [at for at, column in enumerate(columns) if not (below and column.secret)]
    widths = None
    while kept:
        room = width - (_GAP if len(kept) < len(columns) else 0)
        widths = _shrunk([columns[at] for at in kept], room)
        if widths is not None:
            break
        # As in DuckDB's tables the middle goes first: the ends say most of a row.
        open_to_leave = [at for at in kept if not columns[at].secret]
        kept.remove(open_to_leave[len(open_to_leave) // 2])
    gone = [at for at in range(len(columns)) if at not in kept]
    shown = dict(zip(kept, widths or (), strict=True))
    return Layout(shown, gone[0] if gone else None, below)


def _shrunk(columns: Sequence[Column], room: int) -> list[int] | None:
    """Widths that fit the room, the widest column cut first; None if there are none."""
    if len(columns) == 1 and not columns[0].secret:
        widths = [max(1, min(columns[0].needs, room - _total([0])))]
    else:
        fitting = (widths for widths in _candidates(columns, room) if _total(widths) <= room)
        widths = next(fitting, [])
        if not widths:
            return None
    spare = room - _total(widths)
    for at, column in enumerate(columns):
        more = min(max(column.needs, column.type_width) - widths[at], spare)
        if more > 0:
            widths[at] += more
            spare -= more
    return widths


def _candidates(columns: Sequence[Column], room: int) -> Iterator[list[int]]:
    """Widths under an ever lower cap, and last those without whole types."""
    for cap in range(max(room, _READABLE), _READABLE - 1, -1):
        yield [c.needs if c.secret else min(c.wants, cap) for c in columns]
    yield [c.needs if c.secret else min(c.needs, _READABLE) for c in columns]


def _total(widths: Iterable[int]) -> int:
    return 1 + sum(width + 3 for width in widths)
