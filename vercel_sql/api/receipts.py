"""Answers that showed a secret, until whoever asked for them has surely had them.

A process that is killed before it could show a secret has lost it, though its answer came. So the
end of each such create is noted in the journal only when the next statement begins, or when the
connection is closed; what nobody took is never noted as taken.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from vercel_sql.api.journal import Entry

_batch: ContextVar[list[Entry] | None] = ContextVar("vercel_sql_receipts", default=None)


class Receipts:
    """The answered creates of one client whose ends are not noted yet; threads may share it."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._held: list[Entry] = []
        self._lock = threading.Lock()

    def add(self, entry: Entry | None) -> None:
        """Takes a create that was answered: within `gathered`, for whoever gathers."""
        if entry is None:
            return
        batch = _batch.get()
        if batch is not None:
            batch.append(entry)
        else:
            self.take([entry])

    @contextmanager
    def gathered(self, batch: list[Entry]) -> Iterator[None]:
        """Puts what this thread adds into a list, for somebody who may not wait for it any more."""
        token = _batch.set(batch)
        try:
            yield
        finally:
            _batch.reset(token)

    def take(self, batch: list[Entry]) -> None:
        """Takes creates whose answers are with whoever asked for them."""
        with self._lock:
            self._entries += batch

    def settle(self) -> None:
        """Notes that all that was taken has surely reached whoever asked for it."""
        with self._lock:
            entries, self._entries = self._entries, []
        for entry in entries:
            entry.settled("given")

    def hold(self, entry: Entry) -> None:
        """Takes a create whose secret is not safe before somebody says so, by `release`."""
        with self._lock:
            self._held.append(entry)

    def release(self, how: str) -> None:
        """Notes what became of the secrets that were held: where they are saved, for example."""
        with self._lock:
            entries, self._held = self._held, []
        for entry in entries:
            entry.settled(how)
