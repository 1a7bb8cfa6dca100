"""The files of the journal, one a process that writes, and which of them were left behind."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vercel_sql.api.appending import (
    append_line,
    lock,
    objects_in,
    open_for_appending,
    sync_folder,
)
from vercel_sql.api.journal_records import Record, Story, decode_record, encode_record, stories
from vercel_sql.api.private_files import make_private, open_private, require_private
from vercel_sql.api.state_dir import state_dir

_ENDING = ".jsonl"
_BEGUN = ".new"
# Where there are no locks that end with their process: so long after its last record, a file
# counts as left behind.
_QUIET_SECONDS = 3600.0


def journal_folder() -> Path:
    """Where the journal of the user is; it need not be there yet."""
    return state_dir() / "journal"


class JournalFile:
    """The file of this process; it is locked for as long as the process lives, or until `close`.

    Args:
        folder: the folder, which is made where it is missing.

    Raises:
        OSError: the file can't be made.
    """

    def __init__(self, folder: Path) -> None:
        make_private(folder)
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self.path = folder / f"{name}{_ENDING}"
        # It is locked before it has its name: else it might be taken for one that was left behind.
        begun = self.path if sys.platform == "win32" else folder / f"{name}{_BEGUN}"
        self._handle = open_for_appending(begun, new=True)
        try:
            lock(self._handle, shared=False)
            begun.replace(self.path)
            sync_folder(folder)
        except OSError:
            os.close(self._handle)
            begun.unlink(missing_ok=True)
            raise

    def append(self, record: Record, *, sync: bool) -> None:
        """Writes a record; with `sync`, it is on the disk when this returns.

        Raises:
            OSError: it can't be written.
        """
        append_line(self._handle, encode_record(record))
        if sync:
            os.fsync(self._handle)

    @property
    def is_removed(self) -> bool:
        """Whether somebody has removed it meanwhile."""
        return os.fstat(self._handle).st_nlink == 0

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return os.fstat(self._handle).st_size

    def close(self) -> None:
        """Lets go of the file: from now on it counts as left behind."""
        os.close(self._handle)


def read_file(path: Path) -> list[Story]:
    """What a file of the journal tells; lines that are cut or unknown are passed over.

    Raises:
        OSError: it can't be read.
    """
    records = (decode_record(value) for value in objects_in(path))
    return stories(record for record in records if record is not None)


def journal_files(folder: Path) -> list[Path]:
    """The files of a journal, the oldest first; none where there is no journal.

    Raises:
        OSError: the folder can't be read.
    """
    try:
        require_private(folder)
        found = [path for path in folder.iterdir() if path.suffix == _ENDING and _is_plain(path)]
    except FileNotFoundError:
        return []
    return sorted(found, key=_modified)


def remove_unbegun(folder: Path) -> None:
    """Removes what is left of processes that were killed before their files had their names.

    Raises:
        OSError: the folder can't be read.
    """
    for path in folder.glob(f"*{_BEGUN}"):
        if time.time() - _modified(path) > _QUIET_SECONDS:
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class File:
    """A file of a journal, at one moment.

    Attributes:
        path: where it is.
        stories: what it tells.
        is_left: whether its process has left it behind, so that it has told all.
    """

    path: Path
    stories: Sequence[Story]
    is_left: bool

    @property
    def answered_at(self) -> list[int]:
        """When creates in it were answered, in milliseconds since the epoch."""
        return [story.answer.at for story in self.stories if story.answer is not None]


def read_all(folder: Path) -> Iterator[File]:
    """What each file of a journal tells; one that was removed meanwhile is left out.

    Raises:
        OSError: one can't be read.
    """
    for path in journal_files(folder):
        # Under the lock: what was left behind is not about to tell more.
        with left_behind(path) as is_left, suppress(FileNotFoundError):
            yield File(path, read_file(path), is_left)


@contextmanager
def left_behind(path: Path) -> Iterator[bool]:
    """Whether nobody writes to a file any more; if so, nobody takes it for one in use meanwhile."""
    try:
        handle = open_private(path, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        # A lock that others may have too: several may look at once.
        free = lock(handle, shared=True)
        yield time.time() - _modified(path) > _QUIET_SECONDS if free is None else free
    finally:
        os.close(handle)


def add_to(path: Path, record: Record) -> None:
    """Writes a record into another's file, where that is still there.

    Raises:
        OSError: it can't be written.
    """
    if not path.exists():
        return
    handle = open_for_appending(path)
    try:
        append_line(handle, encode_record(record))
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_plain(path: Path) -> bool:
    """Whether it is a file itself: opening a pipe would wait for whoever writes to it."""
    return path.is_file() and not path.is_symlink()


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
