"""Fetches the next page of a listing on a thread of its own while the last one is being used."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any

from vercel_sql.api.cancel_scope import CancelScope, waited_for


class ReadAhead:
    """At most one page ahead of the one that was asked for last.

    The thread does not wait for a page to be taken before it goes on with the next, as long as
    somebody waits for that page: a wake-up between two threads costs as much as a small request.
    """

    def __init__(
        self, fetch: Callable[[Any], Any], cursor: Any, scope: Callable[[], CancelScope]
    ) -> None:
        self._fetch = fetch
        self._scope = scope
        self._pages: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._changed = threading.Condition()
        self._asked = 0
        self._stopped = False
        # The first page is fetched where it is asked for: what follows is worth a thread.
        self._cursor = cursor
        self._thread: threading.Thread | None = None

    def next(self) -> Any:
        """The next page."""
        if self._thread is None:
            page = self._fetch(self._cursor)
            if page.cursor is not None:
                self._start(page.cursor)
            return page
        with self._changed:
            self._asked += 1
            self._changed.notify()
        page, error = self._scope().take(self._pages)
        if error is not None:
            raise error
        return page

    def stop(self) -> None:
        """Ends the thread after the request that is under way; its answer is dropped."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _start(self, cursor: Any) -> None:
        # In the context of who asks, whose calls may have a scope of their own.
        self._thread = threading.Thread(
            target=copy_context().run,
            args=(self._run, cursor),
            name="vercel-sql-read-ahead",
            daemon=True,
        )
        self._thread.start()

    def _run(self, cursor: Any) -> None:
        with waited_for():
            self._fetch_from(cursor)

    def _fetch_from(self, cursor: Any) -> None:
        fetched = 0
        while cursor is not None and self._may_fetch(fetched):
            try:
                page = self._fetch(cursor)
            except BaseException as error:
                self._pages.put((None, error))
                return
            self._pages.put((page, None))
            fetched += 1
            cursor = page.cursor

    def _may_fetch(self, fetched: int) -> bool:
        """Waits until the page after ``fetched`` may be fetched; False where nobody wants it."""
        with self._changed:
            while not self._stopped and fetched > self._asked:
                self._changed.wait()
            return not self._stopped
