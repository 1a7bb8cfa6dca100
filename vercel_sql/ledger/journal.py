"""The journal: each create is on the disk before it is sent, and then its outcome.

So a crash can't make anybody forget a token: ``vercel-sql recover`` looks for the creates that
have no end. Each create has a file of its own, so that damage to one hides no other.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vercel_sql.errors import APIError, JournalError, RequestError, StatementCancelledError
from vercel_sql.files import remove
from vercel_sql.http.requests import Request
from vercel_sql.http.server_clock import ServerClock, boot_id, steady_ms
from vercel_sql.ledger.journal_files import (
    Intent,
    LivingProcess,
    Outcome,
    State,
    add_to,
    begin,
    journal_folder,
    known_keys,
    modified,
    read_all,
    remove_leftovers,
)
from vercel_sql.logger import logger
from vercel_sql.redaction import MASK, Redactor
from vercel_sql.runtime.scope import AbandonedError

log = logger("api")

# How many seconds after its end a file with a row's key is kept: the row may appear in the listing
# for another create soon after, and must not be taken for that one's.
_KEPT_SECONDS = 120.0
# How many seconds after it was begun a create may still take effect: something between here and the
# server may hold a request back. As long, the keys of other rows are kept to tell them apart.
LATEST_SECONDS = 3 * 3600
_LONGEST_VALUE = 500  # characters


def now_ms() -> int:
    """This machine's time, in milliseconds since the epoch: for readers, not for decisions."""
    return time.time_ns() // 1_000_000


class PendingCreate:
    """One create of this process, from its intent to its end. Failures to record are only logged.

    Attributes:
        journal: where it is recorded.
        intent: what is about to be sent.
        outcome: the last outcome, or None.
    """

    def __init__(self, journal: Journal, intent: Intent, path: Path) -> None:
        self.journal = journal
        self.intent = intent
        self.outcome: Outcome | None = None
        self._is_given_up = False
        self._path = path

    def answered(
        self, key: str | None, made_at: int | None = None, saved_in: str | None = None
    ) -> None:
        """Records that it was carried out, and where its secret is saved."""
        # Somebody still has to see its secret, unless nobody waits for it.
        self._note("answered", ends=self._is_given_up, key=key, made_at=made_at, saved_in=saved_in)

    def given_up(self, reason: str) -> None:
        """Records that nobody waits for the answer any more, which may still come."""
        self._is_given_up = True
        self._note("given up", ends=False, reason=reason)

    def unsent(self, reason: str) -> None:
        self._note("unsent", reason=reason)

    def unknown(
        self,
        reason: str,
        candidates: Sequence[str] = (),
        *,
        since: int | None = None,
        server_at: int | None = None,
    ) -> None:
        """Records that its outcome is unknown; `recover` may find out."""
        keys = tuple(candidates)
        self._note("unknown", reason=reason, candidates=keys, since=since, server_at=server_at)

    def settled(self, how: str) -> None:
        self._note("settled", how=how)

    def _note(self, state: State, *, ends: bool = True, **more: Any) -> None:
        self.outcome = Outcome(state=state, id=self.intent.id, at=now_ms(), **more)
        self.journal.note(self.outcome, self._path, ends=ends)


class Journal:
    """What this process records in one folder; threads may share it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: LivingProcess | None = None
        self._lock = threading.Lock()
        self._open: set[str] = set()
        self._keys: set[str] = set()

    def begin(self, **about: Any) -> PendingCreate:
        """Records that a create is about to be sent, and returns when that is on the disk.

        ``about`` are the attributes of the `Intent` other than process and time. Raises
        `JournalError` if it can't be recorded, so that nothing may be sent.
        """
        with self._lock:
            try:
                intent = Intent(
                    id=uuid.uuid4().hex,
                    at=now_ms(),
                    steady_at=steady_ms(),
                    boot=boot_id(),
                    process=self._living().name,
                    **about,
                )
                path = begin(self.folder, intent)
            except OSError as error:
                raise JournalError(
                    f"the journal {self.folder} can't be written: "
                    f"{error.strerror or 'unknown error'}. Without it a crash could lose a new "
                    "secret, so nothing was sent (VERCEL_SQL_STATE_DIR names another folder)"
                ) from None
            self._open.add(intent.id)
        return PendingCreate(self, intent, path)

    def _living(self) -> LivingProcess:
        if self._process is not None and not self._process.is_known:
            self._process.close(remove=False)
            self._process = None
        if self._process is None:
            self._process = LivingProcess(self.folder)
        self._process.touch()
        return self._process

    def note(self, outcome: Outcome, path: Path, *, ends: bool) -> None:
        """Records an outcome, and whether this process is done with the create.

        A crash of the machine soon after may lose the outcome; then the create is open.
        """
        with self._lock:
            if outcome.key is not None:
                self._keys.add(outcome.key)
            try:
                add_to(path, outcome, sync=False)
            except OSError as error:
                log.warning("the journal %s can't be written: %s", self.folder, error.strerror)
            if ends:
                self._open.discard(outcome.id)

    def known_keys(self) -> frozenset[str]:
        return known_keys(read_all(self.folder)) | self._keys

    def release(self) -> None:
        """If nothing is under way: marks this process as gone, and tidies the folder."""
        with self._lock:
            if self._process is None or self._open:
                return
            process, self._process = self._process, None
            try:
                process.close(remove=True)
                tidy(self.folder)
            except OSError as error:
                log.warning("the journal %s can't be tidied: %s", self.folder, error.strerror)

    def forget_after_fork(self) -> None:
        """In a child process: the locked file is the parent's."""
        self._lock = threading.Lock()
        self._open.clear()
        if self._process is not None:
            self._process.close(remove=False)
            self._process = None


def tidy(folder: Path) -> None:
    """Removes the files of creates that have ended, unless they have a row's key and are recent.

    They stay longer while another create has no end: their rows are not its own.
    """
    remove_leftovers(folder)
    files = read_all(folder)
    is_waiting = any(file.is_open for file in files)
    for file in files:
        is_told = any(create.answer is not None for create in file.creates)
        kept = LATEST_SECONDS if is_waiting else _KEPT_SECONDS
        is_new = abs(time.time() - modified(file.path)) < kept
        if not file.is_open and not (is_told and is_new):
            remove(file.path)


_journals: dict[Path, Journal] = {}
_journals_lock = threading.Lock()


def journal() -> Journal:
    """The journal of this process, in the user's current state directory."""
    folder = journal_folder()
    with _journals_lock:
        return _journals.setdefault(folder, Journal(folder))


@atexit.register
def release_all() -> None:
    for each in list(_journals.values()):
        each.release()


def _forget_after_fork() -> None:
    global _journals_lock  # another thread of the parent may have held it
    _journals_lock = threading.Lock()
    for each in _journals.values():
        each.forget_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


@dataclass
class JournalHandle:
    """The journal's record of one write, for the code that sends it and that saves its secret.

    Attributes:
        saved_in: the file that its secret will be saved in.
        mark: the random end of one of the new row's values, if it has one.
        there: the keys of rows that exist before: none of them is the new one.
        create: what was recorded when it was last sent; None if nothing was sent, or if its method
            makes no secret.
    """

    saved_in: Path | None = None
    mark: str | None = None
    there: tuple[str, ...] = ()
    create: PendingCreate | None = None

    def lost(self, reason: str) -> None:
        """Records that the answer can't be used, unless an outcome was recorded."""
        if self.create is not None and self.create.outcome is None:
            self.create.unknown(reason)


_batch: ContextVar[list[JournalHandle] | None] = ContextVar("vercel_sql_batch", default=None)


class CreateResults:
    """A client's answered creates whose secrets may not have reached the caller yet; thread-safe.

    A process that is killed before it could show a secret has lost it, though its answer came. So
    such a create is recorded as settled only when the next statement begins or the connection is
    closed.
    """

    def __init__(self) -> None:
        self._taken: list[JournalHandle] = []
        self._held: list[PendingCreate] = []
        self._lock = threading.Lock()

    @contextmanager
    def gathered(self, batch: list[JournalHandle]) -> Iterator[None]:
        """Collects the writes that this thread begins in a batch, for whoever waits for it."""
        token = _batch.set(batch)
        try:
            yield
        finally:
            _batch.reset(token)

    def begin(self, handle: JournalHandle) -> None:
        """Adds a write that is about to be sent to the batch of `gathered`, if any."""
        batch = _batch.get()
        if batch is not None:
            batch.append(handle)

    def add(self, handle: JournalHandle) -> None:
        """Takes a write that was answered, unless it is in a batch."""
        if _batch.get() is None:
            self.take([handle])

    def take(self, batch: list[JournalHandle]) -> None:
        """Takes writes whose answers the caller has."""
        with self._lock:
            self._taken += batch

    @property
    def answers(self) -> list[Outcome]:
        """The answers of the last statement that showed a secret."""
        return [outcome for _, outcome in _answered(self._taken)]

    @property
    def unsaved(self) -> list[Intent]:
        """The creates of the last statement whose secrets are in no file."""
        answers = _answered(self._taken)
        return [create.intent for create, outcome in answers if outcome.saved_in is None]

    def kept_in(self, path: Path) -> None:
        """Records the file that has what could not be shown; `recover` will say so."""
        for create, outcome in _answered(self._all_taken()):
            if outcome.saved_in is None:
                create.answered(outcome.key, outcome.made_at, str(path))

    def settle(self) -> None:
        """Records that everything that was taken has reached the caller."""
        for create, _ in _answered(self._all_taken()):
            create.settled("given")

    def _all_taken(self) -> list[JournalHandle]:
        with self._lock:
            handles, self._taken = self._taken, []
        return handles

    def hold(self, create: PendingCreate) -> None:
        """Takes a create whose secret is not safe until `release`."""
        with self._lock:
            self._held.append(create)

    def release(self, how: str) -> None:
        """Records what happened to the secrets that were held, such as where they are saved."""
        with self._lock:
            creates, self._held = self._held, []
        for create in creates:
            create.settled(how)


def _answered(handles: list[JournalHandle]) -> list[tuple[PendingCreate, Outcome]]:
    creates = [handle.create for handle in list(handles) if handle.create is not None]
    noted = [(create, create.outcome) for create in creates]
    return [(create, last) for create, last in noted if last and last.state == "answered"]


@contextmanager
def journaled(
    request: Request,
    url: str,
    clock: ServerClock,
    bearer: str | None,
    redactor: Redactor,
    handle: JournalHandle,
) -> Iterator[None]:
    """Records a write before it is sent to a base URL, and its failure, if any.

    ``bearer`` is the connection's token, if it is sent; ``handle`` gets the create. Raises
    `JournalError` if it can't be recorded, so that nothing may be sent.
    """
    handle.create = journal().begin(
        server_at=clock.earliest_ms(),
        url=url,
        account=None if bearer is None else fingerprint(bearer),
        resource=request.method.resource,
        method=request.method.name,
        values=_values(request, redactor),
        mark=handle.mark,
        about=_about(request, redactor),
        secrets_file=None if handle.saved_in is None else str(handle.saved_in.absolute()),
        there=handle.there,
    )
    try:
        yield
    except BaseException as error:
        reason = redactor.mask(str(error)) or type(error).__name__
        (handle.create.unsent if is_unsent(error) else handle.create.unknown)(reason)
        raise


def fingerprint(bearer: str) -> str:
    """A shortened hash of a token, which tells tokens apart and reveals nothing."""
    return hashlib.sha256(bearer.encode()).hexdigest()[:16]


def is_unsent(error: BaseException) -> bool:
    """Whether a write that failed so surely was not carried out."""
    if isinstance(error, APIError):
        # A redirect, a time-out or a server error may come from between here and the API.
        return 400 <= error.status < 500 and error.status != 408
    if isinstance(error, RequestError):
        return not error.outcome_unknown
    # An abandoned request goes on, with an unknown outcome.
    return isinstance(error, StatementCancelledError) and not isinstance(error, AbandonedError)


def _values(request: Request, redactor: Redactor) -> dict[str, Any]:
    """The known columns of the new row; none if one of them may be secret."""
    trace = request.method.trace
    if trace is None:
        return {}
    found = {column: request.argument(name) for column, name in trace.matches.items()}
    if any(value is None or redactor.mask(str(value)) != str(value) for value in found.values()):
        return {}
    return found


def _about(request: Request, redactor: Redactor) -> dict[str, Any]:
    shown = {**request.shown_query, **(request.shown_body or {})}
    texts = {name: redactor.mask(str(value)) for name, value in shown.items() if value != MASK}
    return {name: text[:_LONGEST_VALUE] for name, text in texts.items()}
