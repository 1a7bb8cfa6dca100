"""The files of the journal: one a create, and one that is locked for as long as a process lives."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vercel_sql.api import os_files
from vercel_sql.api.appending import append_line, open_for_appending
from vercel_sql.api.journal_records import (
    Intent,
    Record,
    Saved,
    Story,
    decode_record,
    encode_record,
    stories,
)
from vercel_sql.api.os_files import lock, remove, replace, sync_folder
from vercel_sql.api.private_files import make_private, open_private, read_private, require_private
from vercel_sql.api.state_dir import state_dir

_CREATE = ".create"
_EARLIER = ".jsonl"  # a file of an earlier version: that of a process, with all its creates
_BEGUN = ".new"
_ALIVE = ".alive"
_SAVED = ".saved"
_DAMAGED = ".damaged"
_TOLD = ".told"
# Where there are no locks that end with their process: so long (in seconds) after its last
# change, a process counts as gone.
_QUIET_SECONDS = 3600.0
_LINE_SECONDS = 0.05


def journal_folder() -> Path:
    """Where the journal of the user is; it need not be there yet."""
    return state_dir() / "journal"


class LivingProcess:
    """A file that says that this process lives: it is locked until `close`, or the process's end.

    Args:
        folder: the folder, which is made where it is missing.

    Attributes:
        name: what the creates of this process call it.

    Raises:
        OSError: the file can't be made.
    """

    def __init__(self, folder: Path) -> None:
        make_private(folder)
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._path = folder / f"{self.name}{_ALIVE}"
        # It is locked before it has its name: else it might be taken for one that was left. Windows
        # renames no open file, and removes none either.
        begun = self._path if os_files.IS_WINDOWS else self._path.with_suffix(_BEGUN)
        self._handle = open_for_appending(begun, new=True)
        try:
            lock(self._handle, shared=False)
            if begun != self._path:
                replace(begun, self._path)
        except OSError:
            os.close(self._handle)
            remove(begun)
            raise

    @property
    def is_known(self) -> bool:
        """Whether others still find the file."""
        return os.fstat(self._handle).st_nlink > 0

    def touch(self) -> None:
        """Shows that it lives, where locks do not."""
        os.utime(self._path)

    def close(self, *, remove: bool) -> None:
        """Lets go of the file: from now on this process counts as gone."""
        os.close(self._handle)
        if remove:
            os_files.remove(self._path)


def begin(folder: Path, intent: Intent) -> Path:
    """Writes the file of a create; it is on the disk, and so is its name, when this returns.

    Raises:
        OSError: it can't be written.
    """
    path = folder / f"{intent.id}{_CREATE}"
    _write(path, intent)
    sync_folder(folder)
    return path


def note_length(folder: Path, secrets_file: Path, length: int) -> None:
    """Notes how many bytes a secrets file has, so that it is seen when some of it is gone.

    Raises:
        OSError: it can't be written.
    """
    _write(_index(folder, secrets_file), Saved(path=str(secrets_file), length=length))


def noted_lengths(folder: Path) -> dict[Path, int]:
    """How many bytes each secrets file had when something was saved to it last.

    What says so and can't be read is set aside.

    Raises:
        OSError: one can't be read.
    """
    found = {}
    for path in _named(folder, _SAVED):
        record = decode_record(_content(path))
        if isinstance(record, Saved):
            found[Path(record.path)] = record.length
        else:
            set_aside(path)
    return found


def forget_length(folder: Path, secrets_file: Path) -> None:
    """Forgets how long a secrets file was."""
    remove(_index(folder, secrets_file))


def _index(folder: Path, secrets_file: Path) -> Path:
    name = hashlib.sha256(os.fsencode(secrets_file)).hexdigest()[:16]
    return folder / f"{name}{_SAVED}"


def _write(path: Path, record: Record) -> None:
    """Writes a file of one record, which is whole as soon as it has its name."""
    begun = path.with_name(f"{path.stem}-{secrets.token_hex(4)}{_BEGUN}")
    handle = open_for_appending(begun, new=True)
    try:
        try:
            append_line(handle, encode_record(record))
            os.fsync(handle)
        finally:
            os.close(handle)  # before it is renamed, which Windows refuses otherwise
        replace(begun, path)
    except OSError:
        remove(begun)
        raise


def add_to(path: Path, record: Record, *, sync: bool = True) -> None:
    """Adds a record to a file, where that is still there.

    Raises:
        OSError: it can't be written.
    """
    if not path.exists():
        return
    handle = open_for_appending(path)
    try:
        append_line(handle, encode_record(record))
        if sync:
            os.fsync(handle)
    finally:
        os.close(handle)


@dataclass(frozen=True)
class File:
    """A file of a journal, at one moment.

    Attributes:
        path: where it is.
        stories: what it tells; of an earlier version, several.
        is_whole: whether all of it can be read.
        is_left: whether no process goes on with it.
    """

    path: Path
    stories: tuple[Story, ...]
    is_whole: bool
    is_left: bool

    @property
    def is_open(self) -> bool:
        """Whether something may be left to be done about what it tells."""
        return not self.is_whole or any(story.is_open for story in self.stories)


def read_all(folder: Path) -> list[File]:
    """What each file of a journal tells, the oldest first; one that goes meanwhile is left out.

    Raises:
        OSError: one can't be read.
    """
    found = []
    for path in sorted(_named(folder, _CREATE, _EARLIER), key=modified):
        with suppress(FileNotFoundError):
            found.append(_read(folder, path))
    return found


def _read(folder: Path, path: Path) -> File:
    file = _read_once(folder, path)
    if not file.is_whole and not file.is_left:
        time.sleep(_LINE_SECONDS)  # its process may have been in the middle of a line
        file = _read_once(folder, path)
    return file


def _read_once(folder: Path, path: Path) -> File:
    records = [decode_record(line) for line in _content(path).splitlines(keepends=True)]
    told = tuple(stories(record for record in records if record is not None))
    processes = [story.intent.process for story in told]
    is_left = not any(process and is_alive(folder, process) for process in processes)
    return File(path, told, bool(told) and None not in records, is_left)


def _content(path: Path) -> bytes:
    """What a file holds; nothing where it is not one, or can't be read: that is damage, too."""
    try:
        return read_private(path)
    except FileNotFoundError:
        raise
    except OSError:
        return b""


def is_alive(folder: Path, process: str) -> bool:
    """Whether a process that writes to a journal has not ended."""
    path = folder / f"{process}{_ALIVE}"
    try:
        handle = open_private(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:  # too many open files, for example: nothing says that it has ended
        return True
    try:
        # A lock that others may have too: several may look at once.
        free = lock(handle, shared=True)
        return time.time() - modified(path) < _QUIET_SECONDS if free is None else not free
    finally:
        os.close(handle)


def set_aside(path: Path) -> Path:
    """Gives a damaged file another name, under which nothing of ours writes to it or removes it.

    Raises:
        OSError: it can't be renamed.
    """
    kept = path.with_name(f"{path.name}-{secrets.token_hex(2)}{_DAMAGED}")
    replace(path, kept)
    return kept


def damaged_files(folder: Path) -> list[File]:
    """The damaged files that were set aside, as far as they can be read, and are to be told of.

    Raises:
        OSError: one can't be read.
    """
    return [_read_once(folder, path) for path in sorted(_named(folder, _DAMAGED))]


def forget_damaged(folder: Path) -> None:
    """Has the damaged files no longer told of; they stay.

    Raises:
        OSError: one can't be renamed.
    """
    for path in _named(folder, _DAMAGED):
        replace(path, path.with_name(path.name + _TOLD))


def remove_leftovers(folder: Path) -> None:
    """Removes what processes left that were killed: creates that were never sent, and locks.

    Raises:
        OSError: the folder can't be read.
    """
    for path in _named(folder, _BEGUN):
        if time.time() - modified(path) > _QUIET_SECONDS:
            remove(path)
    for path in _named(folder, _ALIVE):
        if not is_alive(folder, path.stem):
            remove(path)


def _named(folder: Path, *endings: str) -> list[Path]:
    try:
        require_private(folder)
        return [path for path in folder.iterdir() if path.suffix in endings]
    except FileNotFoundError:
        return []


def modified(path: Path) -> float:
    """When a file was last changed, in seconds since the epoch; 0 where it is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
