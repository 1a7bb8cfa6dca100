"""Errors without the variables of the frames that they came through.

Those hold requests with their credentials and answers with their secrets, and many a tool writes
down the local variables of every frame.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType

from vercel_sql.errors import PartialWriteError

_USED = ["duckdb", "h11", "httpcore", "httpx", "keyring", "pyarrow", "sqlglot"]
_FRAMES_OF = sys.stdlib_module_names | {"vercel_sql", *_USED}
"""The packages whose variables are cleared; a caller's own functions keep theirs."""


def bare(error: BaseException) -> None:
    """Makes an error, and all that led to it, begin their tracebacks where they are raised next."""
    for each in _chain(error):
        each.__traceback__ = None
    if error.__suppress_context__:
        error.__context__ = None


def clear(error: BaseException) -> None:
    """Clears the variables of the frames that an error came through, which stay in its traceback.

    Frames that still run keep theirs.
    """
    for each in _chain(error):
        traceback = each.__traceback__
        while traceback is not None:
            _clear_frame(traceback.tb_frame)
            traceback = traceback.tb_next


def _clear_frame(frame: FrameType) -> None:
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    if package in _FRAMES_OF:
        try:
            frame.clear()
        except RuntimeError:
            return  # it still runs


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and all that led to it."""
    left, seen = [error], set[int]()
    while left:
        each = left.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        led = [each.__cause__, each.__context__, getattr(each, "cause", None)]
        if isinstance(each, PartialWriteError):
            led += [write.error for write in (*each.failed, *each.unknown)]
        left += [other for other in led if isinstance(other, BaseException)]
