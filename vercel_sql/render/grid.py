"""The modes that line values up and leave nothing out: `box`, `column`, `latex` and `table`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TextIO, TypeAlias

from duckdb.sqltypes import DuckDBPyType

from vercel_sql.escapes import visible
from vercel_sql.render.result import Options, Result
from vercel_sql.render.terminal import display_width, padded

_Rule: TypeAlias = Callable[[Sequence[int]], str]


@dataclass(frozen=True)
class _Style:
    """What a mode puts around values.

    Attributes:
        row: what stands before, between and after a row's cells.
        above: the lines above the header, from the columns' widths.
        between: the line between header and rows.
        below: the lines below the rows.
        header: on which side of its cell a name stands; None is where the values stand.
        bare: whether the mode can do without its header.
        cell: makes text harmless, and says it in the mode's language.
    """

    row: tuple[str, str, str]
    above: _Rule | None
    between: _Rule
    below: _Rule | None
    header: str | None = "^"
    bare: bool = False
    cell: Callable[[str], str] = visible


def write(result: Result, out: TextIO, mode: str, options: Options) -> int:
    """Write the result as one of the modes; give the number of its rows.

    All rows are read first, since any of them may be the widest.
    """
    style = STYLES[mode]
    null = style.cell("NULL" if options.null is None else options.null)
    names = [style.cell(name) for name in result.names]
    rows = [
        [null if text is None else style.cell(text) for text in row]
        for rows in result.texts()
        for row in rows
    ]
    wanted = [*options.widths, *([0] * len(names))][: len(names)]
    widths = [
        max(abs(least), *(display_width(row[at]) for row in (names, *rows)))
        for at, least in enumerate(wanted)
    ]
    sides = [">" if least < 0 else "<" for least in wanted]
    if mode == "latex":
        out.write(_tabular(result.types))
    for line in _lines(style, names, rows, widths, sides, headers=options.headers):
        out.write(line + "\n")
    out.flush()
    return len(rows)


def _lines(
    style: _Style,
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    widths: Sequence[int],
    sides: Sequence[str],
    *,
    headers: bool,
) -> Iterator[str]:
    if style.above:
        yield style.above(widths)
    if headers or not style.bare:
        yield _row(style, names, widths, [style.header or side for side in sides])
        yield style.between(widths)
    for row in rows:
        yield _row(style, row, widths, sides)
    if style.below:
        yield style.below(widths)


def _row(style: _Style, texts: Sequence[str], widths: Sequence[int], sides: Sequence[str]) -> str:
    start, between, end = style.row
    return start + between.join(map(padded, texts, widths, sides)) + end


def _rule(left: str, line: str, cross: str, right: str) -> _Rule:
    return lambda widths: left + cross.join(line * (width + 2) for width in widths) + right


_LATEX = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
}
# DuckDB's shell puts numbers of the other types on the left.
_LATEX_RIGHT = frozenset(("tinyint", "smallint", "integer", "bigint", "float", "double", "decimal"))


def _latex(text: str) -> str:
    return re.sub(r"[&%$#_{}~^\\]", lambda found: _LATEX[found[0]], visible(text))


def _tabular(types: Sequence[DuckDBPyType]) -> str:
    sides = "".join("r" if str(dtype.id) in _LATEX_RIGHT else "l" for dtype in types)
    return f"\\begin{{tabular}}{{|{sides}|}}\n"


_ASCII_RULE = _rule("+", "-", "+", "+")

STYLES: Mapping[str, _Style] = MappingProxyType(
    {
        "box": _Style(
            row=("│ ", " │ ", " │"),
            above=_rule("┌", "─", "┬", "┐"),
            between=_rule("├", "─", "┼", "┤"),
            below=_rule("└", "─", "┴", "┘"),
        ),
        "column": _Style(
            row=("", "  ", ""),
            above=None,
            between=lambda widths: "  ".join("-" * width for width in widths),
            below=None,
            header=None,
            bare=True,
        ),
        "latex": _Style(
            row=("", " & ", r" \\"),
            above=lambda _: r"\hline",
            between=lambda _: r"\hline",
            below=lambda _: "\\hline\n\\end{tabular}",
            cell=_latex,
        ),
        "table": _Style(
            row=("| ", " | ", " |"), above=_ASCII_RULE, between=_ASCII_RULE, below=_ASCII_RULE
        ),
    }
)
"""How each of the modes looks, as in DuckDB's shell."""
