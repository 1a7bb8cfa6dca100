"""The modes that write one record after the other, and those that line values up.

Records stream. Their bytes are those of DuckDB's shell, except that SQL always runs: control
characters are calls of `chr`, and NaN and the infinities are quoted. `box`, `column`, `latex` and
`table` read all rows first, and leave nothing out.

`duckbox` is the box that DuckDB draws. It differs from that of DuckDB's own shell in what is safe:
text is made harmless first, and a secret that the box would cut or leave out makes it give way to
the mode `line`. So does a terminal of less than 80 columns that the box would overflow. What is not
a terminal gets all rows.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from threading import Lock, get_ident
from types import MappingProxyType
from typing import Any, TextIO, TypeAlias

import duckdb
from duckdb.sqltypes import DuckDBPyType

from vercel_sql.render.result import (
    Options,
    Result,
    Row,
    display_width,
    for_terminal,
    is_number,
    padded,
    quoted,
    text_literal,
)
from vercel_sql.text import respelt, visible

_Records: TypeAlias = tuple[str, Callable[[Row], str]]  # what stands before the rows; a row


def write(result: Result, out: TextIO, mode: str, options: Options) -> int:
    header, record = MODES[mode](result, options)
    out.write(header)
    count = 0
    for rows in result.texts():
        for row in rows:
            out.write(("\n" if count and mode == "line" else "") + record(row))
            count += 1
        out.flush()
    out.flush()
    return count


def _of_texts(
    line: Callable[[Iterable[str]], str], header: Callable[[Iterable[str]], str] | None = None
) -> Callable[[Result, Options], _Records]:
    """A mode whose rows are lines of texts, as is its header."""

    def records(result: Result, options: Options) -> _Records:
        names = (header or line)(result.names) if options.headers else ""
        null = "NULL" if options.null is None else options.null
        return names, lambda row: line(null if text is None else text for text in row)

    return records


def _tcl(text: str) -> str:
    return '"' + re.sub(rb'[^ -~]|["\\]', _tcl_escape, text.encode()).decode() + '"'


_TCL_NAMED = {b'"': rb"\"", b"\\": rb"\\", b"\t": rb"\t", b"\n": rb"\n", b"\r": rb"\r"}


def _tcl_escape(found: re.Match[bytes]) -> bytes:
    return _TCL_NAMED.get(found[0]) or b"\\%03o" % found[0][0]


def _html(tag: str) -> Callable[[Iterable[str]], str]:
    def row(texts: Iterable[str]) -> str:
        cells = "".join(f"<{tag}>{text.translate(_ENTITIES)}</{tag}>\n" for text in texts)
        return f"<tr>{cells}</tr>\n"

    return row


_ENTITIES = str.maketrans({"<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&quot;", "'": "&#39;"})


def _line(result: Result, options: Options) -> _Records:
    widest = max(5, *map(display_width, result.names))
    names = [padded(name, widest, ">") for name in result.names]
    null = "NULL" if options.null is None else options.null
    return "", lambda row: "".join(
        f"{name} = {null if text is None else text}\n"
        for name, text in zip(names, row, strict=True)
    )


def _quote(result: Result, options: Options) -> _Records:
    header = ",".join(map(_literal, result.names)) + "\n" if options.headers else ""
    values = _values(result, bare=("boolean",))
    return header, lambda row: values(row) + "\n"


def _insert(result: Result, options: Options) -> _Records:
    keywords = result.keywords()
    names = ",".join(_identifier(name, keywords) for name in result.names)
    table = _identifier(options.table_name, keywords)
    into = f"INSERT INTO {table}" + (f"({names})" if options.headers else "")
    values = _values(result)
    return "", lambda row: f"{into} VALUES({values(row)});\n"


def _values(result: Result, *, bare: tuple[str, ...] = ()) -> Callable[[Row], str]:
    """Rows as SQL, with numbers and some other types without quotes."""
    unquoted = [is_number(dtype) or str(dtype.id) in bare for dtype in result.types]

    def value(text: str | None, is_bare: bool) -> str:
        if text is None:
            return "NULL"
        return text if is_bare and text not in _NO_LITERALS else _literal(text)

    return lambda row: ",".join(map(value, row, unquoted))


_NO_LITERALS = frozenset(("nan", "inf", "-inf", "-nan"))


def _literal(text: str) -> str:
    """A string as an SQL expression on one line, without control and invisible characters."""
    literal = text_literal(text)
    spelt = respelt(literal, lambda character: f"', chr({ord(character)}), '")
    return literal if spelt == literal else f"concat({spelt})"


def _identifier(name: str, keywords: frozenset[str]) -> str:
    """A name as DuckDB writes it: quoted where it is a keyword or not plain."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name, re.ASCII)
    return name if plain and name.lower() not in keywords else quoted(name)


MODES: Mapping[str, Callable[[Result, Options], _Records]] = MappingProxyType(
    {
        # Not the control characters between fields that `.help` promises.
        "ascii": _of_texts(lambda texts: "\n".join(texts) + "\n"),
        "html": _of_texts(_html("td"), _html("th")),
        "insert": _insert,
        "line": _line,
        "list": _of_texts(lambda texts: "|".join(texts) + "\n"),
        "quote": _quote,
        "tabs": _of_texts(lambda texts: "\t".join(texts) + "\n"),
        "tcl": _of_texts(lambda texts: " ".join(map(_tcl, texts)) + "\n"),
    }
)


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


def write_grid(result: Result, out: TextIO, mode: str, options: Options) -> int:
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


_COUNTED = 9_999  # DuckDB's box reads no more rows, and says "?" for their number
_UNLIMITED = 2**31 - 1
_READABLE = 20  # what a column of DuckDB's box keeps before others are left out for its sake
_LONG = 40  # a type's name of more characters would only make its column wide


def write_duckbox(
    result: Result,
    out: TextIO,
    *,
    width: int | None,
    secret_columns: frozenset[str],
    options: Options,
) -> int:
    """Write the table, and return the number of all rows. Without a width, nothing is left out."""
    secrets = result.positions(secret_columns)
    most = None if width is None or secrets else options.max_rows
    shows_ends = most is not None and most < _COUNTED // 2
    total = result.keep(_COUNTED if shows_ends else None)
    box = None
    if total <= _COUNTED or shows_ends:
        box = _box(result, total, width, secrets, options)
    if box is not None:
        out.write(box)
    elif width is None:
        write_grid(result, out, "box", options)
        out.write(f"  {total} rows\n")
    else:
        result.keep(most)
        write(result, for_terminal(out, "line"), "line", options)
        if most is not None and most < total:
            out.write(f"\n{total} rows (first {(most + 1) // 2} and last {most // 2} shown)\n")
    out.flush()
    return total


def _box(
    result: Result, total: int, width: int | None, secrets: set[int], options: Options
) -> str | None:
    """What DuckDB draws; None if a secret is not whole in it, or it is wider than the terminal."""
    columns = list(zip(*(row for rows in result.texts() for row in rows), strict=True)) or [
        ()
    ] * len(result.names)
    texts = [[text and visible(text) for text in column] for column in columns]
    whole: set[str] = set()
    for row in zip(*texts, strict=True):
        values = [text for at in secrets if (text := row[at])]
        whole.update(text for text in row if text and any(value in text for value in values))
    most = _UNLIMITED if options.max_rows is None else options.max_rows
    spelt = {
        at: column
        for at, column in enumerate(texts)
        if column != list(columns[at]) or not _is_short(result.types[at])
    }
    box = _SCREEN.box(
        result.relation([visible(name) or " " for name in result.names], spelt),
        max_width=_UNLIMITED if width is None else width,
        max_rows=max(most, total) if width is None or secrets else most,
        max_col_width=max([_READABLE, *map(display_width, whole)]),
        null_value="NULL" if options.null is None else visible(options.null),
    )
    head, edge, foot = box.rstrip("\n").rpartition("┘")
    if width is not None and head.index("\n") > width:
        return None
    if not whole <= {cell.strip() for cell in head.split("│")}:
        return None
    return f"{head}{edge}{foot.replace(str(_COUNTED), str(total), 1)}\n"


def _is_short(dtype: DuckDBPyType) -> bool:
    """Whether the name of a type may stand below its column's; a text has one that may."""
    name = str(dtype)
    return len(name) <= _LONG and visible(name) == name


class _Screen(io.TextIOBase):
    """Standard output while DuckDB prints a box; what other threads print goes where it went.

    There is one, for good: where standard output changes, another thread's `print` may still write
    to this one, which Python before 3.14 does not keep alive for it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._thread = 0
        self._box = io.StringIO()
        self._others: TextIO = sys.stdout

    def write(self, text: str) -> int:
        return (self._box if get_ident() == self._thread else self._others).write(text)

    def box(self, relation: duckdb.DuckDBPyRelation, **options: Any) -> str:
        """What DuckDB shows of a relation."""
        with self._lock:
            self._thread, self._box, self._others = get_ident(), io.StringIO(), sys.stdout
            try:
                with redirect_stdout(self):
                    relation.show(**options)
            finally:
                self._thread = 0
            return self._box.getvalue()


_SCREEN = _Screen()
