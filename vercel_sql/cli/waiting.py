"""Says what a command waits for, where that takes a while."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vercel_sql.cli.output import watched
from vercel_sql.escapes import visible
from vercel_sql.messages import SAID_AFTER


@contextmanager
def waiting(what: str) -> Iterator[Callable[[], None]]:
    """Says to a person who watches what is waited for, where that takes more than two seconds.

    Args:
        what: a server's name, for example.

    Yields:
        what to call where something else is waited for before the context ends.
    """
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
