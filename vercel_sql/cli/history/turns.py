"""A history that another process has open is waited for: snapshots and reports take turns."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from typing import TypeVar

from vercel_sql.errors import OperationalError
from vercel_sql.messages import SAID_AFTER, say

T = TypeVar("T")
# For how many seconds others are waited for, and after how many it is said.
_LIMIT = 60.0
# What DuckDB says, and what Windows does.
_LOCKED = re.compile(r"(?:Could not set lock|used by another process)(?:.*?\(PID (\d+)\))?", re.S)


class BusyError(OperationalError):
    """Another process has the history open, or has just made it."""


def holder(said: str) -> str | None:
    """Who has a file open, where that is what an error of DuckDB's says."""
    found = _LOCKED.search(said)
    if found is None:
        return None
    return f"process {found[1]}" if found[1] else "another process"


def in_turn(act: Callable[[], T]) -> T:
    """Does something with a history, again while it raises `BusyError`."""
    began = time.monotonic()
    is_told = False
    while True:
        try:
            return act()
        except BusyError as error:
            waited = time.monotonic() - began
            if waited > _LIMIT:
                raise OperationalError(f"{error}, still after {_LIMIT:.0f} s") from None
            if waited > SAID_AFTER and not is_told:
                is_told = True
                say(f"Waiting, {_LIMIT:.0f} s at most: {error}")
        time.sleep(random.uniform(0.02, 0.2))  # noqa: S311 - so that not all come at once
