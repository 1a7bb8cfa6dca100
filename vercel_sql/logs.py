"""Who hears the package's log, and for how long: standard error, a file, a line of progress."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vercel_sql.errors import OperationalError
from vercel_sql.files import READABLE, open_for_appending
from vercel_sql.logger import IS_RAISED, logger
from vercel_sql.messages import complain
from vercel_sql.paths import named_path

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@contextmanager
def heard_by(
    handler: logging.Handler, level: int | None = None, *, first: bool = False
) -> Iterator[None]:
    """Gives the log to a handler while the context lasts."""
    log = logger()
    before = log.level
    log.addHandler(handler)
    if first:
        log.handlers.insert(0, log.handlers.pop())
    if level is not None and log.getEffectiveLevel() > level:
        log.setLevel(level)
    try:
        yield
    finally:
        log.removeHandler(handler)
        if level is not None:
            log.setLevel(before)


def on_standard_error(*, verbose: bool) -> logging.Handler:
    """A handler that writes to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.DEBUG if verbose else logging.WARNING)
    handler.setFormatter(_InUTC() if verbose else logging.Formatter("vercel-sql: %(message)s"))
    if not verbose:
        # What an error says too is said by whoever shows that.
        handler.addFilter(lambda record: not getattr(record, IS_RAISED, False))
    return handler


class LogFile(logging.StreamHandler):  # type: ignore[type-arg]
    """A file that everything is appended to, each record as a line, with its time in UTC."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._is_broken = False
        try:
            self.path = named_path(path)
            handle = open_for_appending(self.path, forbidden=READABLE)
        except OSError as error:
            raise self._unusable(error.strerror) from None
        # What is written at once is in the file at once: other processes may append to it too.
        super().__init__(os.fdopen(handle, "a", 2**16, "utf-8", "backslashreplace"))
        self.setFormatter(_InUTC())

    def __repr__(self) -> str:
        return f"<LogFile {self.path}>"

    def close(self) -> None:
        """Closes the file."""
        with suppress(OSError):
            self.stream.close()
        super().close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's
        """Says once that the file can't be written, and lets the work go on without it."""
        if not self._is_broken:
            self._is_broken = True
            error = sys.exc_info()[1]
            reason = error.strerror if isinstance(error, OSError) else type(error).__name__
            with suppress(OSError):
                complain(str(self._unusable(reason)))

    def _unusable(self, reason: str | None) -> OperationalError:
        return OperationalError(
            f"the log file {self.path} can't be written: {reason or 'unknown error'}"
        )


class _InUTC(logging.Formatter):
    """Lines that begin with the time in UTC, to the millisecond."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__(_FORMAT)
        self.converter = time.gmtime
