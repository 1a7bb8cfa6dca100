"""Writes results: as a table for people, as CSV, JSON, NDJSON or Markdown for all else.

Values are exact in every format. A table in a terminal is the only output that shortens anything,
and it never does that to a secret. The formats are the command line's, the modes the shell's.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, TextIO

from vercel_sql.render import modes, text_formats
from vercel_sql.render.result import Options, Result, for_terminal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vercel_sql.render.result import Rows

__all__ = ["FORMATS", "MODES", "MODE_OF", "SEPARATORS", "Options", "render", "render_mode"]

MODE_OF = {
    "table": "duckbox",
    "csv": "csv",
    "json": "json",
    "ndjson": "jsonlines",
    "markdown": "markdown",
}

FORMATS = tuple(MODE_OF)
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
    """Write a result in one of `FORMATS`, as `render_mode` does; return the number of its rows."""
    if fmt not in MODE_OF:
        raise ValueError(f"{fmt!r} is not an output format; there are {', '.join(FORMATS)}.")
    mode = MODE_OF[fmt]
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
    """Write a result in one of `MODES` of the shell, and return the number of its rows.

    All modes but `duckbox` and those that align values stream: they hold one batch at a time, and
    flush after each. If the source fails, a JSON array stays open, so that no reader takes the part
    for the whole. With a `width`, that of the terminal, no control character gets through.

    No mode loses a secret: only `duckbox` shortens anything, and shows secrets whole; `trash`,
    which leaves all out, becomes `line` if there are any.
    """
    if mode not in MODES:
        raise ValueError(f"{mode!r} is not an output mode; there are {', '.join(MODES)}.")
    options = options or Options()
    with Result(result) as rows:
        if not rows.names:
            return rows.drain()
        if mode == "duckbox":
            return modes.write_duckbox(
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
