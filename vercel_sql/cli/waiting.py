"""Says what a command waits for, where that takes a while."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vercel_sql.cli.output import watched
from vercel_sql.escapes import visible
from vercel_sql.interrupts import leave
from vercel_sql.messages import SAID_AFTER


@contextmanager
def waiting(what: str) -> Iterator[Callable[[], None]]:
    """Says to a person who watches what is waited for, where that takes more than two seconds."""
    out = watched()
    if out is None:
        yield lambda: None
        return
    timer = threading.Timer(SAID_AFTER, out.write, [f"Waiting for {visible(what)} …\n"])
    timer.daemon = True
    timer.start()
    try:
        yield timer.cancel
    finally:
        timer.cancel()


@contextmanager
def in_time(what: str, code: int, failure: str, seconds: float) -> Iterator[None]:
    """Says what DuckDB waits for, and ends the command where that takes too long."""
    reason = f"{failure}: there was no answer within {seconds:.0f} s"
    timer = threading.Timer(seconds, leave, [code, reason])
    timer.daemon = True
    timer.start()
    try:
        with waiting(what):
            yield
    finally:
        timer.cancel()
