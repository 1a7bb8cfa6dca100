"""A line that says how far a long statement is, for a person who watches."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from vercel_sql import Connection
from vercel_sql.api import RequestEvent

DELAY_SECONDS = 2.0
_LINE = "{desc}: {n_fmt} requests in {elapsed}"


@contextmanager
def progress(connection: Connection, out: TextIO) -> Iterator[None]:
    """Counts the requests while the context lasts; shown where it takes more than two seconds.

    The line is gone when the context ends, so results must be written after it. Whether anybody
    watches is for the caller to know.

    Args:
        connection: what runs the statement.
        out: where the line is written, each state of it after a carriage return.
    """
    # Imported here: a pipe or a scheduled job does not pay for it.
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # no thread of its own
    with tqdm(
        file=out, bar_format=_LINE, delay=DELAY_SECONDS, leave=False, dynamic_ncols=True
    ) as bar:

        def count(event: RequestEvent) -> None:
            bar.set_description_str(event.api_method, refresh=False)
            bar.update()

        with connection.observed(count), _waiting_shown(bar):
            yield


@contextmanager
def _waiting_shown(bar: Any) -> Iterator[None]:
    """Says on the line what the client logs: that it waits for a rate limit, and how long."""
    logger, handler = logging.getLogger("vercel_sql"), _OnTheLine(bar)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _OnTheLine(logging.Handler):
    def __init__(self, bar: Any) -> None:
        super().__init__(logging.INFO)
        self._bar = bar

    def emit(self, record: logging.LogRecord) -> None:
        self._bar.delay = 0  # else the line is not cleared at the end
        self._bar.set_description_str(record.getMessage())
