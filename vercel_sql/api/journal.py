"""The journal: before a create is sent it is on the disk that it will be, and then what came of it.

So a crash can't make anybody forget a token: what was begun and has no end is looked for by
``vercel-sql recover``. A process has one journal, which its connections and threads share, and
keeps no file where it makes nothing.
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
    JournalFile,
    journal_folder,
    left_behind,
    read_all,
    read_file,
    remove_unbegun,
)
from vercel_sql.api.journal_records import (
    Answered,
    Intent,
    Outcome,
    Settled,
    Story,
    Unknown,
    Unsent,
)
from vercel_sql.api.logger import logger
from vercel_sql.errors import JournalError

log = logger("api")

# A file that is longer, in bytes, makes place for a new one as soon as nothing is open in it.
_LONGEST = 2**20
# For so long after its last record, in milliseconds, a file that tells of an answer is kept: where
# the server's clock is hardly known, its row may be taken for that of a create that comes later.
_KEPT_MS = 120_000
# For so long after a create was begun, in milliseconds, a row may still come of it: a proxy may
# have kept the request.
LATEST_MS = 3_600_000
# For so long, in milliseconds, a request that nothing has come of is likely to be still under way.
STILL_COMING_MS = 300_000


def now_ms() -> int:
    """The time of this machine, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class Entry:
    """One create of this process, from its intent to its end. What can't be noted is only logged.

    Attributes:
        intent: what is about to be sent.
        outcome: what was noted last of what became of it, or None.

    Args:
        journal: where it is noted.
        intent: what is about to be sent.
    """

    def __init__(self, journal: Journal, intent: Intent) -> None:
        self.intent = intent
        self.outcome: Outcome | None = None
        self._is_given_up = False
        self._journal = journal

    @property
    def journal(self) -> Journal:
        """Where it is noted."""
        return self._journal

    def answered(
        self, key: str | None, made_at: int | None = None, saved_in: str | None = None
    ) -> None:
        """Notes that it was carried out, and where its secret is saved by now."""
        id_ = self.intent.id
        answer = Answered(id=id_, at=now_ms(), key=key, made_at=made_at, saved_in=saved_in)
        self._note(answer, ends=self._is_given_up)

    def given_up(self, reason: str) -> None:
        """Notes that nobody waits for the answer any more, which may come all the same."""
        self._is_given_up = True
        self._note(Unknown(id=self.intent.id, at=now_ms(), reason=reason), ends=False)

    def unsent(self, reason: str) -> None:
        """Notes that it surely was not carried out."""
        self._note(Unsent(id=self.intent.id, at=now_ms(), reason=reason))

    def unknown(self, reason: str, candidates: Sequence[str] = ()) -> None:
        """Notes that nobody knows whether it was carried out; `recover` may find out."""
        id_ = self.intent.id
        self._note(Unknown(id=id_, at=now_ms(), reason=reason, candidates=tuple(candidates)))

    def settled(self, how: str) -> None:
        """Notes that nothing is left to be done about it."""
        self._note(Settled(id=self.intent.id, at=now_ms(), how=how))

    def _note(self, outcome: Outcome, *, ends: bool = True) -> None:
        self.outcome = outcome
        self._journal.note(outcome, ends=ends)


class Journal:
    """What this process notes in one folder; threads may share it.

    Attributes:
        folder: where the files are.

    Args:
        folder: where the files are to be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: JournalFile | None = None
        self._lock = threading.Lock()
        self._open: dict[str, Intent] = {}
        self._keys: set[str] = set()

    def begin(self, **about: Any) -> Entry:
        """Notes that a create is about to be sent, and returns when that is on the disk.

        Args:
            about: the attributes of the `Intent` beside ``id`` and ``at``.

        Raises:
            JournalError: it can't be noted, so nothing may be sent.
        """
        intent = Intent(id=uuid.uuid4().hex, at=now_ms(), **about)
        with self._lock:
            try:
                self._opened().append(intent, sync=True)
            except OSError as error:
                raise JournalError(
                    f"nothing was sent: what would be lost in a crash is noted first, and "
                    f"{self.folder} can't be written: {error.strerror or 'unknown error'} "
                    "(VERCEL_SQL_STATE_DIR names another folder)"
                ) from None
            self._open[intent.id] = intent
        return Entry(self, intent)

    def _opened(self) -> JournalFile:
        """The file, a new one where the last has grown long and nobody needs it."""
        if self._file is not None and not self._open and self._file.size > _LONGEST:
            self._leave()
        if self._file is not None and self._file.is_removed:
            self._file.close()
            self._file = None
        if self._file is None:
            self._file = JournalFile(self.folder)
        return self._file

    def note(self, outcome: Outcome, *, ends: bool = True) -> None:
        """Notes what became of a create; a crash soon after may still lose it.

        Args:
            outcome: what became of it.
            ends: whether this process has nothing more to do with it.
        """
        with self._lock:
            if isinstance(outcome, Answered) and outcome.key is not None:
                self._keys.add(outcome.key)
            try:
                if self._file is not None:
                    self._file.append(outcome, sync=False)
            except OSError as error:
                log.warning("the journal %s can't be written: %s", self.folder, error.strerror)
            if ends:
                self._open.pop(outcome.id, None)

    def snapshot(self) -> Snapshot:
        """What is known now of the creates of all processes.

        Raises:
            OSError: the journal can't be read.
        """
        files = list(read_all(self.folder))
        # Afterwards: what another thread was answered meanwhile is known, too.
        return Snapshot(files, frozenset(self._keys))

    def release(self) -> None:
        """Lets go of the file where nothing is under way; removes it where nobody needs it."""
        with self._lock:
            if self._file is not None and not self._open:
                self._leave()

    def _leave(self) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        file.close()
        try:
            tidy(self.folder, file.path)
        except OSError as error:
            log.warning("the journal %s can't be tidied: %s", self.folder, error.strerror)

    def forget_after_fork(self) -> None:
        """In a child process: the file is the parent's."""
        self._lock = threading.Lock()
        self._open.clear()
        if self._file is not None:
            self._file.close()
            self._file = None


class Snapshot:
    """What all processes noted up to one moment; each file was read once.

    So a create that another process goes on with is either answered in it, or a rival.

    Args:
        files: those of the journal.
        keys: the keys of the rows that this process made.

    Attributes:
        known_keys: the keys of all rows that a process is known to have made.
        under_way: the creates that a process goes on with.
    """

    def __init__(self, files: Sequence[File], keys: frozenset[str]) -> None:
        told = [story for file in files for story in file.stories]
        going_on = [story for file in files if not file.is_left for story in file.stories]
        self.known_keys = {s.answer.key for s in told if s.answer and s.answer.key} | keys
        self.under_way = [story.intent for story in going_on if story.is_silent]
        self._silent = [story.intent for story in told if story.is_silent]
        self._awaited = [story.intent for story in going_on if _is_awaited(story)]
        self._blind = [story for story in told if story.is_blind]

    def rivals(self, intent: Intent) -> list[Intent]:
        """Other creates that the same row might have come of, and whose answers may still come."""
        others = {other.id: other for other in [*self._silent, *self._contestants(intent)]}
        return [other for other in others.values() if are_rivals(intent, other)]

    def is_contested(self, intent: Intent) -> bool:
        """Whether somebody has been given the row of a create, or may yet be."""
        return any(are_rivals(intent, other) for other in self._contestants(intent))

    def is_awaited(self, intent: Intent) -> bool:
        """Whether its answer may still come to a process that goes on."""
        return any(other.id == intent.id for other in self._awaited)

    def _contestants(self, intent: Intent) -> list[Intent]:
        blind = [story.intent for story in self._blind if _may_have_made(story, intent)]
        return [*self._awaited, *blind]


def _is_awaited(story: Story) -> bool:
    """Whether the answer of a create may still come to a process that goes on."""
    last = story.last
    return story.is_awaited and (last is None or now_ms() - last.at < STILL_COMING_MS)


def _may_have_made(story: Story, intent: Intent) -> bool:
    """Whether a create that does not say what its row is like may have made that of another."""
    other = story.intent
    ended = story.last
    is_over_before = ended is not None and ended.at < intent.at - _KEPT_MS
    return not is_over_before and other.at <= intent.at + LATEST_MS


def are_rivals(one: Intent, other: Intent) -> bool:
    """Whether a row that is looked for because of one might have come of the other."""
    return (
        one.id != other.id
        and bool(one.values)
        and (one.url, one.resource) == (other.url, other.resource)
        # What is not known of the other may be the same.
        and other.values in ({}, one.values)
        and abs(one.at - other.at) <= LATEST_MS
    )


def tidy(folder: Path, own: Path | None = None) -> None:
    """Removes the files that nobody needs: all has ended in them, and no other create waits.

    What another process made is not to be taken for the row of a create that has no end, so a
    file stays for as long as there is a create that it might be taken for.

    Args:
        folder: the journal.
        own: a file that this process has let go of.

    Raises:
        OSError: the journal can't be read.
    """
    remove_unbegun(folder)
    files = list(read_all(folder))
    waiting = [s.intent for f in files for s in f.stories if s.is_open and s.answer is None]
    for file in files:
        path = file.path
        if any(story.is_open for story in file.stories):
            continue
        answered = [story.intent for story in file.stories if story.answer is not None]
        if any(are_rivals(other, one) for one in answered for other in waiting):
            continue
        if any(now_ms() - last < _KEPT_MS for last in file.answered_at):
            continue
        with left_behind(path) as is_left:
            # Between the reading and the lock its process may have gone on.
            is_over = path == own or (is_left and not any(s.is_open for s in read_file(path)))
        if is_over:
            path.unlink(missing_ok=True)


_journals: dict[Path, Journal] = {}
_journals_lock = threading.Lock()


def journal() -> Journal:
    """The journal of this process, in the user's state directory as it is now."""
    folder = journal_folder()
    with _journals_lock:
        return _journals.setdefault(folder, Journal(folder))


def unfinished(folder: Path) -> list[tuple[Path, Story]]:
    """The creates that nobody goes on with and whose end nobody noted, each with its file.

    Raises:
        OSError: the journal can't be read.
    """
    return [
        (file.path, story)
        for file in read_all(folder)
        for story in file.stories
        if story.is_open and (file.is_left or story.is_given_up)
    ]


@atexit.register
def release_all() -> None:
    """Lets go of the files of this process in which nothing is under way."""
    for each in list(_journals.values()):
        each.release()


def _forget_after_fork() -> None:
    global _journals_lock  # another thread of the parent may have held it
    _journals_lock = threading.Lock()
    for each in _journals.values():
        each.forget_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
