"""The columns whose values are shown this once: no mode cuts them or leaves them out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

Row: TypeAlias = Sequence[str | None]


def positions(names: Sequence[str], secret_columns: frozenset[str]) -> set[int]:
    """Where the secret columns are; names match in any case."""
    wanted = {name.lower() for name in secret_columns}
    return {at for at, name in enumerate(names) if name.lower() in wanted}


def carriers(rows: Sequence[Row], secret: set[int]) -> set[int]:
    """The columns that hold a row's secret inside a value: they are as secret."""
    found: set[int] = set()
    for row in rows:
        values = [value for at in secret if (value := row[at])]
        found.update(
            at for at, text in enumerate(row) if text and any(value in text for value in values)
        )
    return found


def in_full(names: Sequence[str], rows: Sequence[Sequence[str]], secret: set[int]) -> Iterator[str]:
    """Lines that say the secrets of each row, for what did not fit in a table."""
    for number, row in enumerate(rows, 1):
        if len(rows) > 1:
            yield f"row {number}"
        for at in sorted(secret):
            yield f"{names[at]}: {row[at]}"
