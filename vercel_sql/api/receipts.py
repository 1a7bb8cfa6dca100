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
from dataclasses import dataclass, field
from pathlib import Path

from vercel_sql.api.journal import Entry
from vercel_sql.api.journal_records import Answered, Intent
from vercel_sql.api.noting import Trail


@dataclass
class Batch:
    """What one thread sent and what was answered, for somebody who waits for it.

    Attributes:
        trails: what it sends, or has sent.
        answered: the creates whose secrets it was shown.
    """

    trails: list[Trail] = field(default_factory=list)
    answered: list[Entry] = field(default_factory=list)

    def give_up(self, reason: str) -> None:
        """Notes that nobody waits for it any more: whatever comes, nobody is given it."""
        for trail in self.trails:
            if trail.entry is not None:
                trail.entry.given_up(reason)


_batch: ContextVar[Batch | None] = ContextVar("vercel_sql_receipts", default=None)


class Receipts:
    """The answered creates of one client whose ends are not noted yet; threads may share it."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._held: list[Entry] = []
        self._lock = threading.Lock()

    def begin(self, trail: Trail) -> None:
        """Takes a write that is about to be sent: within `gathered`, for whoever waits for it."""
        batch = _batch.get()
        if batch is not None:
            batch.trails.append(trail)

    def add(self, entry: Entry) -> None:
        """Takes a create that was answered: within `gathered`, for whoever waits for it."""
        batch = _batch.get()
        if batch is not None:
            batch.answered.append(entry)
        else:
            self.take([entry])

    @property
    def answers(self) -> list[Answered]:
        """The answers of the statement that ran last which showed a secret."""
        with self._lock:
            noted = [entry.outcome for entry in self._entries]
        return [outcome for outcome in noted if isinstance(outcome, Answered)]

    @property
    def unsaved(self) -> list[Intent]:
        """The creates of the statement that ran last whose secrets are in no file."""
        with self._lock:
            entries = list(self._entries)
        return [
            entry.intent
            for entry in entries
            if isinstance(entry.outcome, Answered) and entry.outcome.saved_in is None
        ]

    def kept_in(self, path: Path) -> None:
        """Notes that a file has what could not be shown; `recover` will say so."""
        with self._lock:
            entries, self._entries = self._entries, []
        for entry in entries:
            if isinstance(entry.outcome, Answered) and entry.outcome.saved_in is None:
                entry.answered(entry.outcome.key, entry.outcome.made_at, str(path))

    @contextmanager
    def gathered(self, batch: Batch) -> Iterator[None]:
        """Puts what this thread begins and adds into a batch."""
        token = _batch.set(batch)
        try:
            yield
        finally:
            _batch.reset(token)

    def take(self, entries: list[Entry]) -> None:
        """Takes creates whose answers are with whoever asked for them."""
        with self._lock:
            self._entries += entries

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
