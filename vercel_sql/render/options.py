"""What a person may set about the output of the shell's modes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """Settings that only some of the modes look at.

    Attributes:
        max_rows: `.maxrows`, how many rows `duckbox` shows in a terminal; None shows all.
        headers: `.headers`, whether the modes that can do without the columns' names show them.
        widths: `.width`, the least width of each column in terminal columns; a negative one puts
            the column on the right. For `box`, `column`, `latex` and `table`.
        null: `.nullvalue`, what stands for NULL; None leaves it to the mode.
        table_name: the table that the statements of `insert` name.
    """

    max_rows: int | None = 40
    headers: bool = True
    widths: tuple[int, ...] = ()
    null: str | None = None
    table_name: str = "tbl"
