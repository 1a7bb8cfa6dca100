"""A table for people, in the look of DuckDB's own.

DuckDB's renderer is not used, since it can only print, lets control characters through, and cuts
whatever does not fit: here a secret is shown whole, in its cell or below the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TextIO, TypeAlias

import wcwidth

from vercel_sql.cli.render.escapes import JOINERS, visible
from vercel_sql.cli.render.kinds import is_number, type_name
from vercel_sql.cli.render.layout import Column, Layout, fit, natural
from vercel_sql.cli.render.result import Result

_ENDS = 20  # rows shown from each end of a long result in a terminal, as DuckDB does
_COUNTED = 10  # from so many rows on, their number is said

_Row: TypeAlias = Sequence[str | None]


def write(result: Result, out: TextIO, *, width: int | None, secret_columns: frozenset[str]) -> int:
    """Write the table; give the number of the result's rows, shown or not.

    Args:
        result: what to write.
        out: where to write.
        width: the terminal's; None leaves nothing out.
        secret_columns: columns that are shown in full, and because of which no row is left out.
    """
    wanted = {name.lower() for name in secret_columns}
    secret = {at for at, name in enumerate(result.names) if name.lower() in wanted}
    if width is None or secret:
        head: list[_Row] = [row for _, rows in result.texts() for row in rows]
        tail: list[_Row] = []
        total = len(head)
    else:
        total, head, tail = _ends(result)
    secret |= _carriers(head, secret)
    grid = _Grid(result, [_shown(row) for row in head], [_shown(row) for row in tail], secret)
    layout = natural(grid.columns) if width is None else fit(grid.columns, width)
    for line in grid.lines(layout, total, width):
        out.write(line + "\n")
    out.flush()
    return total


def _ends(result: Result) -> tuple[int, list[_Row], list[_Row]]:
    """The number of rows, and the first and last of them; all are first if they are few."""
    total = 0
    head: list[_Row] = []
    tail: list[_Row] = []
    for count, rows in result.texts(ends=_ENDS):
        total += count
        space = _ENDS - len(head)
        head.extend(rows[:space])
        tail = [*tail, *rows[space:]][-_ENDS:]
    if total <= 2 * _ENDS:
        return total, head + tail, []
    return total, head, tail


def _carriers(rows: Sequence[_Row], secret: set[int]) -> set[int]:
    """The other columns that hold a row's secret inside a value: they are as secret."""
    found: set[int] = set()
    for row in rows:
        values = [value for at in secret if (value := row[at])]
        found.update(
            at for at, text in enumerate(row) if text and any(value in text for value in values)
        )
    return found


def _shown(row: _Row) -> list[str]:
    return ["NULL" if text is None else visible(text) for text in row]


def _width(text: str) -> int:
    return len(text) if text.isascii() else max(wcwidth.wcswidth(text), 0)


class _Grid:
    """The cells of a table, and their lines for a layout."""

    def __init__(
        self, result: Result, head: list[list[str]], tail: list[list[str]], secret: set[int]
    ) -> None:
        self._names = [visible(name) for name in result.names]
        self._kinds = [visible(type_name(dtype)) for dtype in result.types]
        self._right = [is_number(dtype) for dtype in result.types]
        self._head, self._tail, self._secret = head, tail, sorted(secret)
        self.columns = [
            Column(
                needs=max(_width(name), max((_width(row[at]) for row in head + tail), default=0)),
                type_width=_width(kind),
                secret=at in secret,
            )
            for at, (name, kind) in enumerate(zip(self._names, self._kinds, strict=True))
        ]

    def lines(self, layout: Layout, total: int, width: int | None) -> Iterator[str]:
        if layout.widths:
            yield from self._box(layout)
            yield from self._footer(layout, total, width)
        if layout.below:
            yield from self._below()

    def _box(self, layout: Layout) -> Iterator[str]:
        centred = ["^"] * len(self._names)
        sides = [">" if right else "<" for right in self._right]
        yield _rule(layout, "┌┬┐")
        yield _line(layout, self._names, centred)
        yield _line(layout, self._kinds, centred)
        yield _rule(layout, "├┼┤" if self._head else "└┴┘")
        for row in self._head:
            yield _line(layout, row, sides)
        if self._tail:
            yield from [_line(layout, ["·"] * len(sides), sides, gap="·")] * 3
        for row in self._tail:
            yield _line(layout, row, sides)
        if self._head:
            yield _rule(layout, "└┴┘")

    def _footer(self, layout: Layout, total: int, width: int | None) -> Iterator[str]:
        rows, columns = len(self._head) + len(self._tail), len(layout.widths)
        all_shown = rows == total and columns == len(self._names)
        if all_shown and 0 < total < _COUNTED:
            return
        said = [_count(total, "row", rows), _count(len(self._names), "column", columns)]
        line = "  " + "    ".join(said)
        if width is None or len(line) <= width:
            yield line
        else:
            yield from said

    def _below(self) -> Iterator[str]:
        for number, row in enumerate(self._head, 1):
            if len(self._head) > 1:
                yield f"row {number}"
            for at in self._secret:
                yield f"{self._names[at]}: {row[at]}"


def _count(number: int, noun: str, shown: int) -> str:
    said = f"{number} {noun}" if number == 1 else f"{number} {noun}s"
    return said if shown == number else f"{said} ({shown} shown)"


def _rule(layout: Layout, corners: str) -> str:
    left, cross, right = tuple(corners)
    widths = dict(layout.widths)
    if layout.gap is not None:
        widths[layout.gap] = 1
    return left + cross.join("─" * (widths[at] + 2) for at in sorted(widths)) + right


def _line(layout: Layout, texts: Sequence[str], sides: Sequence[str], gap: str = "…") -> str:
    cells = {at: _padded(texts[at], width, sides[at]) for at, width in layout.widths.items()}
    if layout.gap is not None:
        cells[layout.gap] = gap
    return "│ " + " │ ".join(cells[at] for at in sorted(cells)) + " │"


def _clipped(text: str, width: int) -> str:
    if text.isascii():
        return text[:width]
    return str(wcwidth.clip(text, 0, width)).rstrip(JOINERS)


def _padded(text: str, width: int, side: str) -> str:
    """The text in so many terminal columns, cut with `…` if it is longer."""
    spare = width - _width(text)
    if spare < 0:
        text = _clipped(text, width - 1) + "…"
        spare = width - _width(text)
    if side == ">":
        return " " * spare + text
    if side == "^":
        return " " * (spare // 2) + text + " " * (spare - spare // 2)
    return text + " " * spare
