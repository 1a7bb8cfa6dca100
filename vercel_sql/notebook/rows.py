"""The rows of a statement in a notebook: shown without secrets, complete on request."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from vercel_sql.catalog.ddl import literal, quoted
from vercel_sql.connection.cursor import require_library
from vercel_sql.redaction import MASK
from vercel_sql.render import render
from vercel_sql.render.result import Result, is_number
from vercel_sql.text import visible

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

Mask = Callable[[str], str]
"""Masks the known secrets in a text."""

_SHOWN = 50  # rows, unless secrets are shown this once
_WIDTH = 200  # characters, of the table as plain text
_LEFT = ' style="text-align: left"'


class Rows:
    """The rows of a statement.

    They are shown with masked secrets unless asked for; `df`, `pl`, `arrow` and `fetchall` return
    all values.

    Args:
        table: the rows.
        secret_columns: the columns with secrets.
        mask: masks the known secrets in a text; None shows them.
        variable: the notebook's variable with these rows, if any.
    """

    def __init__(
        self,
        table: pa.Table,
        secret_columns: frozenset[str],
        mask: Mask | None,
        variable: str | None = None,
    ) -> None:
        self._table = table
        self._secret_columns = secret_columns
        self._mask = mask if secret_columns else None
        self._variable = variable

    @property
    def notes(self) -> list[str]:
        if self._mask is None:
            return []
        variable = self._variable
        where = f"{variable}.df() has the values" if variable else "--save NAME keeps the values"
        return [
            f"Masked: {', '.join(sorted(self._secret_columns))}. {where} for code, and "
            "--show-secrets shows them, which the notebook's file then holds."
        ]

    def given(self, *, variable: str | None = None, show_secrets: bool = False) -> Rows:
        """The same rows, in another variable or with secrets shown."""
        mask = None if show_secrets else self._mask
        return Rows(self._table, self._secret_columns, mask, variable or self._variable)

    @property
    def is_masked(self) -> bool:
        return self._mask is not None

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __repr__(self) -> str:
        out = io.StringIO()
        secret = frozenset[str]() if self._mask else self._secret_columns
        shown = self._shown()
        render(shown, "table", out, width=_WIDTH, secret_columns=secret)
        # The table says itself how many rows it has.
        below = self._below(shown) if shown.num_rows < len(self) else self.notes
        return "\n".join([out.getvalue().rstrip("\n"), *below])

    def _repr_html_(self) -> str:
        """A small table, in which every value is text."""
        shown = self._shown()
        with Result(shown) as result:
            left = ["" if is_number(dtype) else _LEFT for dtype in result.types]
            rows = [_html_row("td", row, left) + "\n" for some in result.texts() for row in some]
        head = _html_row("th", shown.column_names, left)
        below = "".join(f"<p>{_html_text(note)}</p>\n" for note in self._below(shown))
        return (
            f'<table border="1" class="dataframe">\n<thead>{head}</thead>\n'
            f"<tbody>\n{''.join(rows)}</tbody>\n</table>\n{below}"
        )

    def __reduce__(self) -> Any:
        raise TypeError("rows may contain secrets and can't be pickled: use their df() or arrow()")

    @property
    def columns(self) -> list[str]:
        """The columns' names."""
        return list(self._table.column_names)

    def df(self) -> pd.DataFrame:
        """The rows as a pandas DataFrame.

        Raises:
            InterfaceError: pandas is missing.
        """
        require_library("pandas")
        with _zone_of(self._table) as con:
            frame: pd.DataFrame = relation(con, self._table).df()
            return frame

    def pl(self) -> pl.DataFrame:
        """The rows as a polars DataFrame.

        Raises:
            InterfaceError: polars is missing.
        """
        require_library("polars")
        # Imported here: polars is the caller's choice, and no dependency of this package.
        import polars

        return polars.DataFrame(self._table)

    def arrow(self) -> pa.Table:
        """The rows as a pyarrow Table."""
        return self._table

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The rows as tuples."""
        with _zone_of(self._table) as con:
            return relation(con, self._table).fetchall()

    def _shown(self) -> pa.Table:
        if self._mask is None:
            return self._table if self._secret_columns else self._table.slice(0, _SHOWN)
        return _masked(self._table.slice(0, _SHOWN), self._secret_columns, self._mask)

    def _below(self, shown: pa.Table) -> list[str]:
        count = len(self)
        if shown.num_rows < count:
            return [f"{count:,} rows, the first {shown.num_rows} shown", *self.notes]
        return [f"{count:,} row{'' if count == 1 else 's'}", *self.notes]


def secrets_in(table: pa.Table, mask: Mask) -> frozenset[str]:
    """The columns that contain a known secret."""
    found: set[str] = set()
    with Result(table) as result:
        for rows in result.texts():
            for name, texts in zip(result.names, zip(*rows, strict=True), strict=False):
                # As one text: a secret is looked for once, and not in each of a million values.
                joined = "\0".join(text for text in texts if text is not None)
                if mask(joined) != joined:
                    found.add(name)
    return frozenset(found)


def _masked(table: pa.Table, secret_columns: frozenset[str], mask: Mask) -> pa.Table:
    """The table with every secret replaced, by column and wherever one is known."""
    with Result(table) as result:
        rows = [row for some in result.texts() for row in some]
        secret = result.positions(secret_columns)
    for at, name in enumerate(table.column_names):
        texts = [row[at] for row in rows]
        shown = [text and (MASK if at in secret else mask(text)) for text in texts]
        if shown != texts:
            table = table.set_column(at, name, pa.array(shown, pa.string()))
    return table


def _html_row(tag: str, texts: Sequence[str | None], styles: Sequence[str]) -> str:
    return "<tr>{}</tr>".format(
        "".join(
            f"<{tag}{style}>{'<i>NULL</i>' if text is None else _html_text(text)}</{tag}>"
            for text, style in zip(texts, styles, strict=True)
        )
    )


def _html_text(text: str) -> str:
    return escape("\n".join(map(visible, text.split("\n"))))


def relation(con: duckdb.DuckDBPyConnection, table: pa.Table) -> duckdb.DuckDBPyRelation:
    """A relation over rows that have been read, so that it sends no request."""
    # DuckDB 1.5 can't scan a table of Arrow with two columns of one name.
    places = [f"c{place}" for place in range(table.num_columns)]
    names = zip(places, table.column_names, strict=True)
    columns = ", ".join(f"{place} AS {quoted(name)}" for place, name in names)
    return con.from_arrow(table.rename_columns(places)).project(columns)


def _zone_of(table: pa.Table) -> duckdb.DuckDBPyConnection:
    """A separate DuckDB in the time zone of the rows' Arrow types."""
    con = duckdb.connect()
    for kind in table.schema.types:
        if pa.types.is_timestamp(kind) and kind.tz:
            con.execute(f"SET TimeZone = {literal(kind.tz)}")
            break
    return con
