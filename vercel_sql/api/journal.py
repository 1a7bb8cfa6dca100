"""The journal: before a create is sent it is on the disk that it will be, and then how it ended.

So a crash can't make anybody forget a token: what was begun and has no end is looked for by
``vercel-sql recover``. Each create is a file of its own, so that damage to one hides no other; a
process keeps none where it makes nothing.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vercel_sql.api.journal_files import (
    File,
    LivingProcess,
    add_to,
    begin,
    journal_folder,
    modified,
    note_length,
    read_all,
    remove_leftovers,
)
from vercel_sql.api.journal_records import (
    Answered,
    GivenUp,
    Intent,
    Outcome,
    Settled,
    Unknown,
    Unsent,
)
from vercel_sql.api.logger import logger
from vercel_sql.api.os_files import remove
from vercel_sql.api.steady_clock import boot_id, steady_ms
from vercel_sql.errors import JournalError

log = logger("api")

# For so long after its end, in seconds, a file that tells of a row is kept: the row might be
# listed for a create that comes soon after, and it is known to have come of another one.
_KEPT_SECONDS = 120.0
# For so long after a create was begun, in seconds, it may still take effect: something between here
# and the server may keep a request, and pass it on late. As long, other rows are told from its own.
LATEST_SECONDS = 3 * 3600


def now_ms() -> int:
    """The time of this machine, in milliseconds since the epoch: for people, and no decision."""
    return time.time_ns() // 1_000_000


class Entry:
    """One create of this process, from its intent to its end. What can't be noted is only logged.

    Attributes:
        intent: what is about to be sent.
        outcome: what was noted last of how it ended, or None.

    Args:
        journal: where it is noted.
        intent: what is about to be sent.
        path: its file.
    """

    def __init__(self, journal: Journal, intent: Intent, path: Path) -> None:
        self.intent = intent
        self.outcome: Outcome | None = None
        self._is_given_up = False
        self._journal = journal
        self._path = path

    @property
    def journal(self) -> Journal:
        """Where it is noted."""
        return self._journal

    def answered(
        self, key: str | None, made_at: int | None = None, saved_in: str | None = None
    ) -> None:
        """Notes that it was carried out, and where its secret is saved by now."""
        id_ = self.intent.id
        self._note(Answered(id=id_, at=now_ms(), key=key, made_at=made_at, saved_in=saved_in))

    def given_up(self, reason: str) -> None:
        """Notes that nobody waits for the answer any more, which may come all the same."""
        self._is_given_up = True
        self._note(GivenUp(id=self.intent.id, at=now_ms(), reason=reason))

    def unsent(self, reason: str) -> None:
        """Notes that it surely was not carried out."""
        self._note(Unsent(id=self.intent.id, at=now_ms(), reason=reason))

    def unknown(self, reason: str, candidates: Sequence[str] = (), **times: int | None) -> None:
        """Notes that nobody knows whether it was carried out; `recover` may find out.

        Args:
            reason: what happened.
            candidates: the keys of the rows that it may have made.
            times: ``since`` and ``server_at`` of `Unknown`.
        """
        keys = tuple(candidates)
        record = Unknown(id=self.intent.id, at=now_ms(), reason=reason, candidates=keys, **times)
        self._note(record)

    def settled(self, how: str) -> None:
        """Notes that nothing is left to be done about it."""
        self._note(Settled(id=self.intent.id, at=now_ms(), how=how))

    def _note(self, outcome: Outcome) -> None:
        self.outcome = outcome
        # Its secret is still to be shown to somebody, or its answer is still to come.
        goes_on = isinstance(outcome, GivenUp) or (
            isinstance(outcome, Answered) and not self._is_given_up
        )
        self._journal.note(outcome, self._path, ends=not goes_on)


class Journal:
    """What this process notes in one folder; threads may share it.

    Attributes:
        folder: where the files are.

    Args:
        folder: where the files are to be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: LivingProcess | None = None
        self._lock = threading.Lock()
        self._open: set[str] = set()
        self._keys: set[str] = set()

    def begin(self, **about: Any) -> Entry:
        """Notes that a create is about to be sent, and returns when that is on the disk.

        Args:
            about: the attributes of the `Intent` that this process and this moment do not tell.

        Raises:
            JournalError: it can't be noted, so nothing may be sent.
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
                    f"nothing was sent: what would be lost in a crash is noted first, and "
                    f"{self.folder} can't be written: {error.strerror or 'unknown error'} "
                    "(VERCEL_SQL_STATE_DIR names another folder)"
                ) from None
            self._open.add(intent.id)
        return Entry(self, intent, path)

    def _living(self) -> LivingProcess:
        if self._process is not None and not self._process.is_known:
            self._process.close(remove=False)
            self._process = None
        if self._process is None:
            self._process = LivingProcess(self.folder)
        self._process.touch()
        return self._process

    def note(self, outcome: Outcome, path: Path, *, ends: bool) -> None:
        """Notes how a create ended; a crash soon after may still lose it.

        Args:
            outcome: how it ended.
            path: its file.
            ends: whether this process has nothing more to do with it.
        """
        with self._lock:
            if isinstance(outcome, Answered) and outcome.key is not None:
                self._keys.add(outcome.key)
            try:
                add_to(path, outcome, sync=False)
            except OSError as error:
                log.warning("the journal %s can't be written: %s", self.folder, error.strerror)
            if ends:
                self._open.discard(outcome.id)

    def note_length(self, secrets_file: Path, length: int) -> None:
        """Notes how many bytes a secrets file has by now; what can't be noted is only logged."""
        try:
            note_length(self.folder, secrets_file, length)
        except OSError as error:
            log.warning("the journal %s can't be written: %s", self.folder, error.strerror)

    def known_keys(self) -> frozenset[str]:
        """The keys of all rows that a process is known to have made, by its answers.

        Raises:
            OSError: the journal can't be read.
        """
        return known_keys(read_all(self.folder)) | self._keys

    def release(self) -> None:
        """Where nothing is under way: this process counts as gone, and what nobody needs goes."""
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


def known_keys(files: Sequence[File]) -> frozenset[str]:
    """The keys of the rows that creates are known to have made, by their answers."""
    answers = [story.answer for file in files for story in file.stories]
    return frozenset(answer.key for answer in answers if answer and answer.key)


def tidy(folder: Path) -> None:
    """Removes the files that nobody needs: those that have ended, and tell of no row or are old.

    While some other create has no end, they stay longer: their rows did not come of it.

    Raises:
        OSError: the journal can't be read.
    """
    remove_leftovers(folder)
    files = read_all(folder)
    is_waiting = any(file.is_open for file in files)
    for file in files:
        is_told = any(story.answer is not None for story in file.stories)
        kept = LATEST_SECONDS if is_waiting else _KEPT_SECONDS
        is_new = abs(time.time() - modified(file.path)) < kept
        if not file.is_open and not (is_told and is_new):
            remove(file.path)


_journals: dict[Path, Journal] = {}
_journals_lock = threading.Lock()


def journal() -> Journal:
    """The journal of this process, in the user's state directory as it is now."""
    folder = journal_folder()
    with _journals_lock:
        return _journals.setdefault(folder, Journal(folder))


def unfinished(folder: Path) -> list[File]:
    """The files of creates that nobody goes on with and whose end nobody noted, or can read.

    Raises:
        OSError: the journal can't be read.
    """
    return [
        file
        for file in read_all(folder)
        if file.is_open and (file.is_left or any(story.is_given_up for story in file.stories))
    ]


@atexit.register
def release_all() -> None:
    """Lets go of what this process holds where nothing is under way."""
    for each in list(_journals.values()):
        each.release()


def _forget_after_fork() -> None:
    global _journals_lock  # another thread of the parent may have held it
    _journals_lock = threading.Lock()
    for each in _journals.values():
        each.forget_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
