"""The mode `duckbox`: the box that DuckDB draws.

It differs from that of DuckDB's own shell in what is safe. Text is made harmless first. A secret
that the box would cut or leave out makes it give way to the mode `line`, and so does a terminal of
less than 80 columns that the box would overflow. What is no terminal gets all rows.
"""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stdout
from threading import Lock, get_ident
from typing import Any, TextIO

import duckdb
from duckdb.sqltypes import DuckDBPyType

from vercel_sql.render import modes
from vercel_sql.render.result import Options, Result
from vercel_sql.render.terminal import display_width, for_terminal
from vercel_sql.text import visible

_COUNTED = 9_999  # DuckDB's box reads no more rows, and says "?" for their number
_UNLIMITED = 2**31 - 1
_READABLE = 20  # what a column of DuckDB's box keeps before others are left out for its sake
_LONG = 40  # a type's name of more characters would only make its column wide


def write(
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
        modes.write_grid(result, out, "box", options)
        out.write(f"  {total} rows\n")
    else:
        result.keep(most)
        modes.write(result, for_terminal(out, "line"), "line", options)
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
