"""Writes results: as a table for people, as CSV, JSON, NDJSON or Markdown for all else.

Values are exact in every format. A table in a terminal is the only output that shortens anything,
and it never does that to a secret. The formats are the command line's, the modes the shell's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, TextIO

from vercel_sql.render import duckbox, modes, text_formats
from vercel_sql.render.result import Options, Result
from vercel_sql.render.terminal import for_terminal

if TYPE_CHECKING:
    from vercel_sql.render.result import Rows

__all__ = ["FORMATS", "MODES", "SEPARATORS", "Options", "render", "render_mode"]

_MODE_OF = {
    "table": "duckbox",
    "csv": "csv",
    "json": "json",
    "ndjson": "jsonlines",
    "markdown": "markdown",
}

FORMATS = tuple(_MODE_OF)
"""The command line's. Its `table` is the shell's mode `duckbox`, its `ndjson` is `jsonlines`."""

_WRITERS = {
    "csv": text_formats.write_csv,
    "json": text_formats.write_array,
    "jsonlines": text_formats.write_objects,
    "markdown": text_formats.write_markdown,
}

MODES = tuple(sorted((*modes.STYLES, *modes.MODES, *_WRITERS, "duckbox", "trash")))
"""The shell's modes, as DuckDB's shell has them. Here `table` is one of ASCII characters."""

SEPARATORS: Mapping[str, str] = MappingProxyType(
    {name: "" if "json" in name else "\n" for name in FORMATS}
)
"""What stands between two results of one output. The caller writes it."""


def render(
    result: Rows,
    fmt: str,
    out: TextIO,
    *,
    width: int | None,
    secret_columns: frozenset[str] = frozenset(),
    options: Options | None = None,
) -> int:
    """Write a result in a format of the command line, and give the number of its rows.

    As `render_mode`, for the mode that the format is.

    Raises:
        ValueError: `fmt` is none of `FORMATS`.
    """
    if fmt not in _MODE_OF:
        raise ValueError(f"{fmt!r} is not an output format; there are {', '.join(FORMATS)}.")
    mode = _MODE_OF[fmt]
    return render_mode(
        result, mode, out, width=width, secret_columns=secret_columns, options=options
    )


def render_mode(
    result: Rows,
    mode: str,
    out: TextIO,
    *,
    width: int | None,
    secret_columns: frozenset[str] = frozenset(),
    options: Options | None = None,
) -> int:
    """Write a result as a mode of the shell does, and give the number of its rows.

    Every mode but `duckbox` and those that line values up streams: it holds one batch at a time,
    and flushes after each. An error of the result's source passes through as it is; a JSON array
    then stays open, so that no reader takes the part for the whole. A result without columns writes
    nothing. Where `width` is given no control character gets through, in any mode.

    No mode loses a secret: `duckbox` alone shortens anything, and shows secrets whole; `trash`,
    which leaves all out, gives way to `line` where there are any.

    Args:
        result: what to write. DuckDB gives it exactly with `arrow_lossless_conversion = true`.
        mode: one of `MODES`.
        out: where to write.
        width: the columns of the terminal that `out` is, None if it is none. Only `duckbox` asks
            how many there are.
        secret_columns: the columns, in any case, whose values are shown once and thus in full.
        options: what was set about the output.

    Raises:
        ValueError: `mode` is none of `MODES`.
    """
    if mode not in MODES:
        raise ValueError(f"{mode!r} is not an output mode; there are {', '.join(MODES)}.")
    options = options or Options()
    with Result(result) as rows:
        if not rows.names:
            return rows.drain()
        if mode == "duckbox":
            return duckbox.write(
                rows, out, width=width, secret_columns=secret_columns, options=options
            )
        if mode == "trash":
            if not rows.positions(secret_columns):
                return rows.drain()
            mode = "line"
        if width is not None:
            out = for_terminal(out, mode)
        if mode in modes.STYLES:
            return modes.write_grid(rows, out, mode, options)
        if mode in modes.MODES:
            return modes.write(rows, out, mode, options)
        return _WRITERS[mode](rows, out, options)
