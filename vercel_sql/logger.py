"""The package's log: ``vercel_sql`` and the loggers below it, which show no secret to anybody.

What they pass on is masked and harmless before any handler sees it, whoever's that is: DEBUG has
each request and answer, INFO what is waited for, sent again and recovered, WARNING what somebody
has to look at.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from vercel_sql.errors import Error
from vercel_sql.redaction import mask_known, mask_shapes
from vercel_sql.text import visible

NAME = "vercel_sql"
"""The logger that all others of the package are below."""

IS_RAISED = "is_raised"
"""The attribute of records whose text somebody is also told by an error."""

_INDENT = "    "

Mask = Callable[[str], str]


def logger(room: str = "") -> logging.Logger:
    """The logger of a room, or the one above all: filters aren't inherited by loggers below."""
    found = logging.getLogger(f"{NAME}.{room}" if room else NAME)
    found.addFilter(_masking)
    return found


@contextmanager
def warning_of(log: logging.Logger, *kinds: type[Error]) -> Iterator[None]:
    """Logs errors that somebody must act on, and raises them all the same."""
    try:
        yield
    except kinds as error:
        log.warning("%s", error, extra={IS_RAISED: True})
        raise


class _Masking(logging.Filter):
    """Takes out of a record what is secret, and what would forge lines or steer a terminal."""

    def __init__(self) -> None:
        super().__init__()
        self._more: tuple[Mask, ...] = ()
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Masks a record, which always passes."""
        record.msg, record.args = visible(self._mask(record.getMessage())), None
        if record.exc_info and record.exc_info[1] is not None:
            # Not the error itself: a handler could show its frames, and what they hold.
            told = "".join(traceback.format_exception(record.exc_info[1]))
            record.exc_text, record.exc_info = self._lines(told), None
        if record.stack_info:
            record.stack_info = self._lines(record.stack_info)
        return True

    @contextmanager
    def with_more(self, mask: Mask) -> Iterator[None]:
        """Masks more while the context lasts."""
        with self._lock:
            self._more = (*self._more, mask)
        try:
            yield
        finally:
            with self._lock:
                left = list(self._more)
                left.remove(mask)
                self._more = tuple(left)

    def _mask(self, text: str) -> str:
        for mask in self._more:
            text = mask(text)
        return mask_shapes(mask_known(text))

    def _lines(self, text: str) -> str:
        """Indents lines, so that none passes for the log's own."""
        lines = self._mask(text).rstrip("\n").split("\n")
        return "\n".join(f"{_INDENT}{visible(line)}" for line in lines)


_masking = _Masking()
# Who has set up no logging is told by errors alone, and not by Python's last resort as well.
logger().addHandler(logging.NullHandler())


def also_masking(mask: Mask) -> AbstractContextManager[None]:
    """Masks more in the log while the context lasts, such as values from files."""
    return _masking.with_more(mask)
