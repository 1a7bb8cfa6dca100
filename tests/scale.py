"""How long the long tests are: each run has a short form, and `.ci/nightly` runs the long one."""

from __future__ import annotations

import os

SCALE = int(os.environ.get("VERCEL_SQL_TEST_SCALE", "1"))
"""By how much more than in each run there is of everything; 10 is the long form."""


def scaled(short: int, long: int) -> int:
    """So many of something: `short` in each run, `long` in the long form."""
    share = min(max((SCALE - 1) / 9, 0.0), 1.0)
    return round(short + (long - short) * share)
