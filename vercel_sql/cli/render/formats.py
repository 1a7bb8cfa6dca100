"""The choice of a format, and the loop that streams a result through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TextIO

from vercel_sql.cli.render import csv_lines, json_lines, markdown
from vercel_sql.cli.render.options import Options
from vercel_sql.cli.render.result import Arrow, Result

FORMATS = ("table", "csv", "json", "ndjson", "markdown")
"""The command line's. Its `table` is the shell's mode `duckbox`, its `ndjson` is `jsonlines`."""

MODES = (
    "ascii",
    "box",
    "column",
    "csv",
    "duckbox",
    "html",
    "insert",
    "json",
    "jsonlines",
    "latex",
    "line",
    "list",
    "markdown",
    "quote",
    "table",
    "tabs",
    "tcl",
    "trash",
)
"""The shell's modes, as DuckDB's shell has them. Here `table` is one of ASCII characters."""

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


def render_mode(
    result: Arrow,
    mode: str,
    out: TextIO,
    *,
    width: int | None,
    secret_columns: frozenset[str] = frozenset(),
    options: Options | None = None,
) -> int:
    """Write a result as a mode of the shell does, and give the number of its rows.

    Where `width` is given no control character gets through, in any mode.

    Args:
        result: what to write.
        mode: one of `MODES`.
        out: where to write.
        width: the columns of the terminal that `out` is, None if it is none.
        secret_columns: the columns, in any case, whose values are shown once and thus in full.
        options: what was set about the output.

    Raises:
        ValueError: `mode` is none of `MODES`.
    """
    if mode not in MODES:
        raise ValueError(f"{mode!r} is not an output mode; there are {', '.join(MODES)}.")
    del options  # the modes that look at them follow
    formats = {"jsonlines": "ndjson", "csv": "csv", "json": "json", "markdown": "markdown"}
    fmt = formats.get(mode, "table")
    return render(result, fmt, out, width=width, secret_columns=secret_columns)
