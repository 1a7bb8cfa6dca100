"""Who hears the package's log, and for how long."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heard_by(handler: logging.Handler, level: int | None = None) -> Iterator[None]:
    """Gives the log to a handler while the context lasts.

    Args:
        handler: the handler.
        level: how much is logged meanwhile; None leaves it as it is.
    """
    logger = logging.getLogger("vercel_sql")
    before = logger.level
    logger.addHandler(handler)
    if level is not None:
        logger.setLevel(level)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        if level is not None:
            logger.setLevel(before)
