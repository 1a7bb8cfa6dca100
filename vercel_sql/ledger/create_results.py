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

from vercel_sql.ledger.journal import JournalHandle, PendingCreate
from vercel_sql.ledger.records import Intent, Outcome


@dataclass
class Batch:
    """What one thread sent and what was answered, for somebody who waits for it.

    Attributes:
        handles: what it sends, or has sent.
        answered: the creates whose secrets it was shown.
    """

    handles: list[JournalHandle] = field(default_factory=list)
    answered: list[PendingCreate] = field(default_factory=list)

    def give_up(self, reason: str) -> None:
        """Notes that nobody waits for it any more: whatever comes, nobody is given it."""
        for handle in self.handles:
            if handle.create is not None:
                handle.create.given_up(reason)


_batch: ContextVar[Batch | None] = ContextVar("vercel_sql_batch", default=None)


class CreateResults:
    """The answered creates of one client whose ends are not noted yet; threads may share it."""

    def __init__(self) -> None:
        self._taken: list[PendingCreate] = []
        self._held: list[PendingCreate] = []
        self._lock = threading.Lock()

    @contextmanager
    def gathered(self, batch: Batch) -> Iterator[None]:
        """Puts what this thread begins and adds into a batch."""
        token = _batch.set(batch)
        try:
            yield
        finally:
            _batch.reset(token)

    def begin(self, handle: JournalHandle) -> None:
        """Takes a write that is about to be sent: within `gathered`, for whoever waits for it."""
        batch = _batch.get()
        if batch is not None:
            batch.handles.append(handle)

    def add(self, create: PendingCreate) -> None:
        """Takes a create that was answered: within `gathered`, for whoever waits for it."""
        batch = _batch.get()
        if batch is not None:
            batch.answered.append(create)
        else:
            self.take([create])

    def take(self, creates: list[PendingCreate]) -> None:
        """Takes creates whose answers are with whoever asked for them."""
        with self._lock:
            self._taken += creates

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
        for create in self._all_taken():
            create.settled("given")

    def _all_taken(self) -> list[PendingCreate]:
        with self._lock:
            creates, self._taken = self._taken, []
        return creates

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


def _answered(creates: list[PendingCreate]) -> list[tuple[PendingCreate, Outcome]]:
    noted = [(create, create.outcome) for create in list(creates)]
    return [(create, last) for create, last in noted if last and last.state == "answered"]
