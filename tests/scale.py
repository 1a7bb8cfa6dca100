"""How long the long tests are: each run has a short form, and `.ci/nightly` runs the long one."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

SCALE = int(os.environ.get("VERCEL_SQL_TEST_SCALE", "1"))
"""By how much more than in each run there is of everything; 10 is the long form."""


def scaled(short: int, long: int) -> int:
    """So many of something: `short` in each run, `long` in the long form."""
    share = min(max((SCALE - 1) / 9, 0.0), 1.0)
    return round(short + (long - short) * share)


def sampled(cells: Sequence[T], every: int, offset: str = "") -> list[T]:
    """One of so many in each run, all in the long form.

    Args:
        cells: the cells of a table.
        every: of how many one is taken.
        offset: a text, such as the name of the row, that decides where the taking begins.
    """
    if SCALE > 1 or len(cells) <= every:
        return list(cells)
    return list(cells[zlib.crc32(offset.encode()) % every :: every])
