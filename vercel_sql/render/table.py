"""The mode `duckbox`: a table for people, as DuckDB's own box shows it.

DuckDB's renderer is not used, since it can only print, lets control characters through, and cuts
whatever does not fit: here a secret is shown whole, in its cell or below the table. Other
differences: control characters are spelt as in `escapes`; a nested type's name is folded where it
is long; values that are wrapped are not laid out as JSON; a terminal of less than 80 columns gets a
table that fits; and what is no terminal gets all rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TextIO

from vercel_sql.escapes import visible
from vercel_sql.render import secret
from vercel_sql.render.footer import Footer
from vercel_sql.render.kinds import is_number, type_name
from vercel_sql.render.large_numbers import readable
from vercel_sql.render.layout import Column, Layout, fit, natural
from vercel_sql.render.options import Options
from vercel_sql.render.result import Result
from vercel_sql.render.secret import Row
from vercel_sql.render.texts import display_width, padded, wrapped

_DOTS = 3  # lines of dots where rows are left out: fewer rows than these are never left out
_FRAME = 5  # lines of a table that are no rows


def write(
    result: Result,
    out: TextIO,
    *,
    width: int | None,
    secret_columns: frozenset[str],
    options: Options,
) -> int:
    """Write the table; give the number of the result's rows, shown or not.

    Args:
        result: what to write.
        out: where to write.
        width: the terminal's; None leaves nothing out.
        secret_columns: columns that are shown in full, and because of which no row is left out.
        options: `max_rows` and `null` are looked at.
    """
    secrets = secret.positions(result.names, secret_columns)
    if width is None or secrets or options.max_rows is None:
        head: list[Row] = [row for _, rows in result.texts() for row in rows]
        tail: list[Row] = []
        total = len(head)
    else:
        total, head, tail = _ends(result, options.max_rows)
    secrets |= secret.carriers(head, secrets)
    null = "NULL" if options.null is None else visible(options.null)
    shown = [
        [[null if text is None else visible(text) for text in row] for row in rows]
        for rows in (head, tail)
    ]
    in_words = _in_words(result, head) if width is not None and total == 1 else None
    footer = Footer(total, len(head) + len(tail), len(result.names), rounded=width is not None)
    grid = _Grid(result, shown[0], shown[1], secrets, footer, in_words)
    for line in grid.lines(width, options.max_rows):
        out.write(line + "\n")
    out.flush()
    return total


def _ends(result: Result, max_rows: int) -> tuple[int, list[Row], list[Row]]:
    """The number of rows, and the first and last of them; all are first if they are few."""
    top, bottom = (max_rows + 1) // 2, max_rows // 2
    few = max_rows + _DOTS
    total = 0
    head: list[Row] = []
    tail: list[Row] = []
    for count, rows in result.texts(ends=few):
        total += count
        space = few - len(head)
        head.extend(rows[:space])
        tail = [*tail, *rows[space:]][-few:]
    if total <= few:
        return total, head, []
    return total, head[:top], [*head, *tail][-bottom:] if bottom else []


def _in_words(result: Result, rows: Sequence[Row]) -> list[str] | None:
    """The numbers of a single row in words, if all of it are large numbers."""
    if not all(map(is_number, result.types)):
        return None
    words = [readable(text or "") for text in rows[0]]
    return [f"({text})" for text in words] if all(words) else None


@dataclass(frozen=True)
class _Line:
    """The cells of a line of the table, and on which side of them the texts stand."""

    cells: Sequence[str]
    sides: Sequence[str]


class _Grid:
    """The cells of a table, and their lines for a layout."""

    def __init__(
        self,
        result: Result,
        head: list[list[str]],
        tail: list[list[str]],
        secrets: set[int],
        footer: Footer,
        in_words: list[str] | None,
    ) -> None:
        self._names = [visible(name) for name in result.names]
        self._kinds = [visible(type_name(dtype)) for dtype in result.types]
        self._head, self._tail, self._secrets = head, tail, secrets
        self._footer, self._in_words = footer, in_words
        self._centred = "^" * len(self._names)
        right = "".join(">" if is_number(dtype) else "<" for dtype in result.types)
        self._sides = self._centred if in_words else right
        rows = [self._names, *head, *tail, *([in_words] if in_words else [])]
        self._columns = [
            Column(
                needs=max(display_width(row[at]) for row in rows),
                type_width=display_width(kind),
                secret=at in secrets,
            )
            for at, kind in enumerate(self._kinds)
        ]

    def lines(self, width: int | None, max_rows: int | None) -> Iterator[str]:
        least = self._footer.least
        layout = (
            natural(self._columns, least) if width is None else fit(self._columns, width, least)
        )
        if layout.widths:
            yield from self._box(layout, max_rows)
            yield from self._footer.lines(layout.total, len(layout.widths))
        if layout.below:
            yield from secret.in_full(self._names, self._head, self._secrets)

    def _box(self, layout: Layout, max_rows: int | None) -> Iterator[str]:
        spare = self._spare_lines(layout, max_rows)
        yield _rule(layout, "┌┬┐")
        for cells in (self._names, self._kinds):
            yield from _row(layout, _Line(cells, self._centred), spare)
        if self._footer.rows:
            yield _rule(layout, "├┼┤")
        for number, row in enumerate(self._head):
            if spare and number:
                yield _rule(layout, "├┼┤")
            yield from _row(layout, _Line(row, self._sides), spare)
        if self._in_words:
            yield from _row(layout, _Line(self._in_words, self._sides), 0)
        if self._tail:
            yield from [self._dots(layout)] * _DOTS
        for row in self._tail:
            yield from _row(layout, _Line(row, self._sides), 0)
        yield _rule(layout, "└┴┘")

    def _spare_lines(self, layout: Layout, max_rows: int | None) -> int:
        """How many more lines each row may take, so that nothing needs to be cut."""
        if not layout.shortened or not self._head or min(layout.widths.values()) < 2:
            return 0
        if max_rows is None:
            return max(map(len, (text for row in self._head for text in row)))
        rows = len(self._head) + bool(self._in_words)
        each = (max_rows - _FRAME) // rows
        return each if rows + _FRAME < max_rows and each > 1 else 0

    def _dots(self, layout: Layout) -> str:
        """A line for what is left out, its dots in the middle of the values around it."""
        cells, sides = [], []
        for at, side in enumerate(self._sides):
            around = [
                display_width(rows[end][at]) for rows, end in ((self._head, -1), (self._tail, 0))
            ]
            around = [min(columns, layout.widths.get(at, 0)) for columns in around if columns]
            middle = (min(around) - 1) // 2 if around else 0
            cells.append(f"·{' ' * middle}" if side == ">" else f"{' ' * middle}·")
            sides.append(side if around else "^")
        return _line(layout, _Line(cells, sides))


def _row(layout: Layout, line: _Line, spare: int) -> Iterator[str]:
    """The lines of a row: one, or with spare ones as many as its longest value takes."""
    if not spare:
        yield _line(layout, line)
        return
    columns = {at: wrapped(line.cells[at], width, spare + 1) for at, width in layout.widths.items()}
    for texts in zip_longest(*columns.values(), fillvalue=""):
        cells = [""] * len(line.cells)
        for at, text in zip(columns, texts, strict=True):
            cells[at] = text
        yield _line(layout, _Line(cells, line.sides))


def _rule(layout: Layout, corners: str) -> str:
    left, cross, right = tuple(corners)
    widths = dict(layout.widths)
    if layout.gap is not None:
        widths[layout.gap] = 1
    return left + cross.join("─" * (widths[at] + 2) for at in sorted(widths)) + right


def _line(layout: Layout, line: _Line) -> str:
    cells = {
        at: padded(line.cells[at], columns, line.sides[at]) for at, columns in layout.widths.items()
    }
    if layout.gap is not None:
        cells[layout.gap] = "…"
    return "│ " + " │ ".join(cells[at] for at in sorted(cells)) + " │"
