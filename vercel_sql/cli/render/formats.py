"""The choice of a format, and the loop that streams a result through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TextIO

from vercel_sql.cli.render import csv_lines, json_lines, markdown
from vercel_sql.cli.render.result import Arrow, Result

FORMATS = ("table", "csv", "json", "ndjson", "markdown")

SEPARATORS: Mapping[str, str] = MappingProxyType(
    {"table": "\n", "csv": "\n", "json": "", "ndjson": "", "markdown": "\n"}
)
"""What stands between two results of one output. The caller writes it."""

_STREAMS: dict[str, Callable[[Result, TextIO], int]] = {
    "csv": csv_lines.write,
    "json": json_lines.write_array,
    "ndjson": json_lines.write_objects,
    "markdown": markdown.write,
}


def render(
    result: Arrow,
    fmt: str,
    out: TextIO,
    *,
    width: int | None,
    secret_columns: frozenset[str] = frozenset(),
) -> int:
    """Write a result, and give the number of its rows.

    Every format but `table` streams: it holds one batch at a time, and flushes after each. An error
    of the result's source passes through as it is; a JSON array then stays open, so that no reader
    takes the part for the whole. A result without columns writes nothing.

    Args:
        result: what to write. DuckDB gives it exactly with `arrow_lossless_conversion = true`.
        fmt: one of `FORMATS`.
        out: where to write.
        width: the columns of the terminal that `out` is, None if it is none. Only `table` asks.
        secret_columns: the columns, in any case, whose values are shown once and thus in full.

    Raises:
        ValueError: `fmt` is none of `FORMATS`.
    """
    if fmt not in FORMATS:
        raise ValueError(f"{fmt!r} is not an output format; there are {', '.join(FORMATS)}.")
    with Result(result) as rows:
        if not rows.names:
            return rows.drain()
        if fmt == "table":
            # Only the table needs wcwidth, and a script that pipes JSON should start fast.
            from vercel_sql.cli.render.table import write as write_table

            return write_table(rows, out, width=width, secret_columns=secret_columns)
        return _STREAMS[fmt](rows, out)
