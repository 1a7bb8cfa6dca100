"""Where the package's log goes: standard error, a file, the line of progress."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from vercel_sql.errors import OperationalError
from vercel_sql.files import READABLE, named_path, open_for_appending
from vercel_sql.logger import IS_RAISED, logger
from vercel_sql.text import SAID_AFTER, complain, visible

if TYPE_CHECKING:
    from vercel_sql import Connection
    from vercel_sql.http.events import PageEvent, RequestEvent
    from vercel_sql.sql.plan import Plan

_LINE = "{desc}, {elapsed}"
_LINE_WITH_TOTAL = "{desc}: {n_fmt} of {total_fmt} |{bar}| {elapsed}"
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
        """Reports once that the file can't be written; the work goes on without it."""
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


class Progress:
    """The line of one statement: a bar where the total is known, else pages and rows."""

    def __init__(self, bar: Any = None, waits_for: Callable[[], str | None] = lambda: None) -> None:
        self._bar = bar
        self._waits_for = waits_for
        self._timer: threading.Timer | None = None
        self._counts_writes_only = False
        self._requests = self._pages = self._rows = 0
        # Requests that run side by side are told of by their threads.
        self._lock = threading.RLock()

    def expect(self, plan: Plan) -> None:
        """Counts only the writes of a plan from now on."""
        if self._bar is None:
            return
        self.clear()
        self._counts_writes_only = True
        bar = self._bar
        bar.bar_format = f"{_LINE_WITH_TOTAL} of {plan.pace.about}".removesuffix(" of ")
        bar.total = plan.count if plan.writes is None else plan.writes
        bar.n = bar.last_print_n = 0
        bar.start_t = bar.last_print_t = time.time()
        bar.delay = SAID_AFTER
        self.begin()

    def begin(self) -> None:
        """Shows the line after a while, even if there is nothing to tell by then."""
        self._show_in(SAID_AFTER)

    def _show_in(self, seconds: float) -> None:
        with self._lock:
            self._timer = threading.Timer(seconds, self._show)
            self._timer.daemon = True
            self._timer.start()

    def stop(self) -> None:
        """Shows nothing more of itself."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def clear(self) -> None:
        """Hides the line until there is more to tell, so that others can write."""
        self.stop()
        with self._lock:
            bar = self._bar
            if bar is not None and bar.last_print_t >= bar.start_t + bar.delay:
                bar.clear()

    def count(self, event: RequestEvent) -> None:
        """Counts a request."""
        with self._lock:
            if not self._counts_writes_only:
                self._requests += 1
                self._advance(event.api_method)
            elif event.effect == "write" and event.attempt == 1:
                self._bar.set_description_str(event.api_method, refresh=False)
                self._bar.update()

    def count_page(self, event: PageEvent) -> None:
        """Counts a page of a listing and its rows."""
        with self._lock:
            if not self._counts_writes_only:
                self._pages += 1
                self._rows += event.rows
                self._advance(event.api_method)

    def say(self, text: str) -> None:
        """Shows at once what the statement waits for."""
        with self._lock:
            self._bar.delay = 0  # else the line is not cleared at the end
            self._bar.set_description_str(text)

    def _show(self) -> None:
        with self._lock:
            if self._timer is not threading.current_thread():
                return  # stopped, or begun anew
            self._bar.delay = 0
            server = self._waits_for()
            if server and not self._bar.n:
                self._bar.set_description_str(f"waiting for {visible(server)}", refresh=False)
            self._bar.refresh()
            self._show_in(1.0)  # its clock goes on while nothing else does

    def _advance(self, api_method: str) -> None:
        done = _counted(self._requests, "request")
        if self._pages:
            done = f"{_counted(self._pages, 'page')}, {_counted(self._rows, 'row')}"
        self._bar.set_description_str(f"{api_method}: {done}", refresh=False)
        self._bar.update()


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun if number == 1 else noun + 's'}"


@contextmanager
def progress(connection: Connection, out: TextIO | None) -> Iterator[Progress]:
    """Shows what is done meanwhile, after two seconds; the line is gone when the context ends."""
    tqdm = None if out is None else _tqdm()
    if tqdm is None:
        yield Progress()
        return
    with tqdm(
        file=out,
        desc="no answer yet",
        bar_format=_LINE,
        delay=SAID_AFTER,
        leave=False,
        dynamic_ncols=True,
    ) as bar:
        line = Progress(bar, lambda: connection.client.connections.waits_for)
        line.begin()
        with (
            connection.observed(line.count),
            connection.client.pages.subscribe(line.count_page),
            # It also says that it waits for a rate limit, and how long.
            heard_by(_OnTheLine(line), logging.INFO, first=True),
        ):
            try:
                yield line
            finally:
                line.stop()


def _tqdm() -> Any:
    """tqdm; None if a ``TQDM_…`` variable makes it unusable."""
    try:
        # Imported here: a pipe or a scheduled job does not pay for it.
        from tqdm import tqdm
    except ValueError:
        return None
    tqdm.monitor_interval = 0  # no thread of its own
    return tqdm


class _OnTheLine(logging.Handler):
    """Says on the line what the client logs."""

    def __init__(self, line: Progress) -> None:
        super().__init__(logging.INFO)
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING:
            self._line.say(record.getMessage())
        else:
            self._line.clear()  # others show it in full, on a line of its own
            self._line.begin()
