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
from pathlib import Path

from vercel_sql.ledger.journal import JournalHandle, PendingCreate
from vercel_sql.ledger.records import Intent, Outcome

_batch: ContextVar[list[JournalHandle] | None] = ContextVar("vercel_sql_batch", default=None)


class CreateResults:
    """The answered creates of one client whose ends are not noted yet; threads may share it."""

    def __init__(self) -> None:
        self._taken: list[JournalHandle] = []
        self._held: list[PendingCreate] = []
        self._lock = threading.Lock()

    @contextmanager
    def gathered(self, batch: list[JournalHandle]) -> Iterator[None]:
        """Puts what this thread begins into a batch, for somebody who waits for it."""
        token = _batch.set(batch)
        try:
            yield
        finally:
            _batch.reset(token)

    def begin(self, handle: JournalHandle) -> None:
        """Takes a write that is about to be sent: within `gathered`, for whoever waits for it."""
        batch = _batch.get()
        if batch is not None:
            batch.append(handle)
        else:
            self.take([handle])

    def take(self, batch: list[JournalHandle]) -> None:
        """Takes writes whose answers are with whoever asked for them."""
        with self._lock:
            self._taken += batch

    @property
    def answers(self) -> list[Outcome]:
        """The answers of the statement that ran last which showed a secret."""
        return [outcome for _, outcome in _answered(self._taken)]

    @property
    def unsaved(self) -> list[Intent]:
        """The creates of the statement that ran last whose secrets are in no file."""
        answers = _answered(self._taken)
        return [create.intent for create, outcome in answers if outcome.saved_in is None]

    def kept_in(self, path: Path) -> None:
        """Notes that a file has what could not be shown; `recover` will say so."""
        for create, outcome in _answered(self._all_taken()):
            if outcome.saved_in is None:
                create.answered(outcome.key, outcome.made_at, str(path))

    def settle(self) -> None:
        """Notes that all that was taken has surely reached whoever asked for it."""
        for create, _ in _answered(self._all_taken()):
            create.settled("given")

    def _all_taken(self) -> list[JournalHandle]:
        with self._lock:
            handles, self._taken = self._taken, []
        return handles

    def hold(self, create: PendingCreate) -> None:
        """Takes a create whose secret is not safe before somebody says so, by `release`."""
        with self._lock:
            self._held.append(create)

    def release(self, how: str) -> None:
        """Notes what became of the secrets that were held: where they are saved, for example."""
        with self._lock:
            creates, self._held = self._held, []
        for create in creates:
            create.settled(how)


def _answered(handles: list[JournalHandle]) -> list[tuple[PendingCreate, Outcome]]:
    creates = [handle.create for handle in list(handles) if handle.create is not None]
    noted = [(create, create.outcome) for create in creates]
    return [(create, last) for create, last in noted if last and last.state == "answered"]
