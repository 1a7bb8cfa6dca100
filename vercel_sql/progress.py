"""A line that says how far a long statement is, for a person who watches."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from vercel_sql import Connection
from vercel_sql.http.events import PageEvent, RequestEvent
from vercel_sql.logs import heard_by
from vercel_sql.messages import SAID_AFTER
from vercel_sql.sql.plan import Plan
from vercel_sql.text import visible

_LINE = "{desc}, {elapsed}"
_LINE_WITH_TOTAL = "{desc}: {n_fmt} of {total_fmt} |{bar}| {elapsed}"


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
        """From now on counts the requests of a plan that change something."""
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
        """Shows the line after a while, whether or not there is anything to tell by then."""
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
        """Takes the line off the screen until there is more to tell, so that others can write."""
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
        """Says on the line what the statement waits for, at once."""
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
    """Counts what is done while the context lasts; shown where it takes more than two seconds.

    The line is gone when the context ends, so results must be written after it.
    """
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
    """What draws the line; None where the environment's ``TQDM_…`` makes it unusable."""
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
