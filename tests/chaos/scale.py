"""How long the long tests are: each run has a short form, and the nightly run the long one."""

from __future__ import annotations

import os

SCALE = float(os.environ.get("VERCEL_SQL_TEST_SCALE", "1"))


def scaled(short: int, long: int) -> int:
    """So many of something: `short` in each run, up to `long` where the scale is 100."""
    share = min(max((SCALE - 1) / 99, 0.0), 1.0)
    return round(short + (long - short) * share)
