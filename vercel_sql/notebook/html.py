"""Rows as an HTML table for a notebook: small, and every value in it is text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import pyarrow as pa

from vercel_sql.escapes import visible
from vercel_sql.render.result import Result, is_number

_LEFT = ' style="text-align: left"'


def to_html(table: pa.Table, notes: Sequence[str]) -> str:
    """An HTML fragment that holds the rows, and the notes below them."""
    with Result(table) as result:
        left = ["" if is_number(dtype) else _LEFT for dtype in result.types]
        head = "".join(
            f"<th{style}>{_text(name)}</th>" for name, style in zip(result.names, left, strict=True)
        )
        body = "".join(f"<tr>{_cells(row, left)}</tr>\n" for rows in result.texts() for row in rows)
    below = "".join(f"<p>{_text(note)}</p>\n" for note in notes)
    return (
        f'<table border="1" class="dataframe">\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}</tbody>\n</table>\n{below}"
    )


def _cells(row: Sequence[str | None], left: Sequence[str]) -> str:
    return "".join(
        f"<td{style}>{'<i>NULL</i>' if text is None else _text(text)}</td>"
        for text, style in zip(row, left, strict=True)
    )


def _text(text: str) -> str:
    return escape("\n".join(map(visible, text.split("\n"))))
