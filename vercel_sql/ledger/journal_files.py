"""The files of the journal: one per create, and one that is locked as long as a process lives.

Each create has a file of its own, so that damage to one hides no other. Its lines say that it is
about to be sent, and its outcome; they contain no secret. A damaged file is renamed and stays: it
is evidence. Everything here raises `OSError` if a file can't be used.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import msgspec

from vercel_sql import files
from vercel_sql.files import (
    lock,
    make_private,
    open_for_appending,
    remove,
    replace,
    state_dir,
    write_line,
)
from vercel_sql.http.decode import decode_json, encode_any_json

State: TypeAlias = Literal["answered", "unsent", "given up", "unknown", "settled"]

_CREATE = ".create"
_EARLIER = ".jsonl"  # a file of an earlier version: that of a process, with all its creates
_BEGUN = ".new"
_ALIVE = ".alive"
_SAVED = ".saved"
_DAMAGED = ".damaged"
_TOLD = ".told"
# Without locks that end with their process, a process counts as gone so many seconds after the last
# change of its file.
_QUIET_SECONDS = 3600.0
_LINE_SECONDS = 0.05


class Intent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="intent"):
    """A write that is about to be sent, whose answer shows a secret once.

    Attributes:
        id: its outcomes name it.
        at: when, in milliseconds since the epoch, by this machine's clock. For readers only.
        steady_at: when, in milliseconds since the machine started (see `steady_ms`).
        boot: which start of which machine that is, if the platform tells.
        server_at: a time that the server's clock had reached, in milliseconds since the epoch.
        process: the name of the process that sends it; None in files of earlier versions.
        url: the base URL of the server.
        account: a fingerprint of the bearer token, if one is sent.
        resource: service and resource of the method.
        method: the name of the method.
        values: the new row's columns that are known beforehand, which it can be found by.
        mark: the random end of one of these values, which no other row has.
        about: what else is sent, except secrets.
        secrets_file: the file that its secret will be saved in.
        there: the keys of rows that were there before.
    """

    id: str
    at: int
    steady_at: int | None = None
    boot: str | None = None
    server_at: int | None = None
    process: str | None = None
    url: str
    account: str | None = None
    resource: str
    method: str
    values: dict[str, Any] = {}
    mark: str | None = None
    about: dict[str, Any] = {}
    secrets_file: str | None = None
    there: tuple[str, ...] = ()


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a create after it was sent.

    Attributes:
        state: ``answered``, and the answer was read; ``unsent`` or refused, so surely not carried
            out; ``given up`` by whoever waited for an answer that may still come; ``unknown``
            whether it was carried out; ``settled``, so that nothing is left to do.
        id: the intent's.
        at: when this was recorded, in milliseconds since the epoch.
        reason: what happened, unless it was answered or settled.
        how: how it was settled: ``given`` to the caller, ``revoked``, and so on.
        key: the key of the new row, if the answer has one.
        made_at: when the server made it, in milliseconds since the epoch.
        saved_in: where its secret is saved.
        candidates: if the outcome is unknown, the keys of the rows that it may have made.
        since: no row made before is its own (ms since the epoch, by the server's clock).
        server_at: the server's time when this was recorded (ms since the epoch), if known.
    """

    state: State = msgspec.field(name="type")
    id: str
    at: int
    reason: str | None = None
    how: str | None = None
    key: str | None = None
    made_at: int | None = None
    saved_in: str | None = None
    candidates: tuple[str, ...] = ()
    since: int | None = None
    server_at: int | None = None


class Saved(msgspec.Struct, frozen=True, kw_only=True, tag="saved"):
    """The length in bytes of a secrets file when it was last written."""

    path: str
    length: int


Record: TypeAlias = Intent | Outcome | Saved
_KINDS: dict[str, Any] = {"intent": Intent, "saved": Saved}


@dataclass(frozen=True)
class CreateHistory:
    """One create: what was about to be sent, and its outcomes in order, as its file tells."""

    intent: Intent
    outcomes: tuple[Outcome, ...] = ()

    @property
    def last(self) -> Outcome | None:
        """The last outcome; None if it is under way or was cut off."""
        return self.outcomes[-1] if self.outcomes else None

    @property
    def answer(self) -> Outcome | None:
        """The answer, if one was read."""
        return next((o for o in reversed(self.outcomes) if o.state == "answered"), None)

    @property
    def unknowns(self) -> list[Outcome]:
        """The outcomes that leave it open whether it was carried out."""
        return [o for o in self.outcomes if o.state == "unknown"]

    @property
    def is_open(self) -> bool:
        return not any(o.state in ("settled", "unsent") for o in self.outcomes)

    @property
    def is_under_way(self) -> bool:
        """Whether an answer may still reach its process, if that is alive."""
        return self.last is None or self.last.state == "given up"

    @property
    def is_given_up(self) -> bool:
        """Whether nobody waits for an answer any more."""
        return any(o.state in ("given up", "unknown") for o in self.outcomes)


def encode_record(record: Record) -> str:
    """A record as one line: a checksum of the rest, and JSON."""
    text = encode_any_json(msgspec.to_builtins(record))
    return f"{_checksum(text)} {text}"


def decode_record(line: bytes) -> Record | None:
    """The record of a line; None if it is damaged, or from another version of this package."""
    try:
        text = line.decode("utf-8").removesuffix("\n")
        if not text.startswith("{"):  # lines of earlier versions have no checksum
            checksum, _, text = text.partition(" ")
            if checksum != _checksum(text):
                return None
        content = decode_json(text)
        kind = content.get("type") if isinstance(content, dict) else None
        return cast(Record, msgspec.convert(content, _KINDS.get(str(kind), Outcome)))
    except (ValueError, TypeError, msgspec.ValidationError):
        return None


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def journal_folder() -> Path:
    return state_dir() / "journal"


class LivingProcess:
    """A file that is locked as long as this process lives; its creates have its name."""

    def __init__(self, folder: Path) -> None:
        make_private(folder)
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._path = folder / f"{self.name}{_ALIVE}"
        # Locked before it has its name: else it might seem to be left by a process that ended.
        # Windows neither renames nor removes an open file.
        begun = self._path if files.IS_WINDOWS else self._path.with_suffix(_BEGUN)
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
        """Shows that the process lives, in place of a lock."""
        os.utime(self._path)

    def close(self, *, remove: bool) -> None:
        """Releases the file: from now on this process counts as gone."""
        os.close(self._handle)
        if remove:
            files.remove(self._path)


def is_alive(folder: Path, process: str) -> bool:
    """Whether a process that writes to a journal still runs."""
    path = folder / f"{process}{_ALIVE}"
    try:
        handle = files.open_private(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:  # too many open files, for example: it may not have ended
        return True
    try:
        # Shared, since several may look at once.
        free = lock(handle, shared=True)
        return time.time() - modified(path) < _QUIET_SECONDS if free is None else not free
    finally:
        os.close(handle)


def begin(folder: Path, intent: Intent) -> Path:
    """Writes the file of a create; the file and its name are on the disk when this returns."""
    path = folder / f"{intent.id}{_CREATE}"
    _write(path, intent)
    files.sync_folder(folder)
    return path


def _write(path: Path, record: Record) -> None:
    """Writes a file of one record, which is complete as soon as it has its name."""
    begun = path.with_name(f"{path.stem}-{secrets.token_hex(4)}{_BEGUN}")
    handle = open_for_appending(begun, new=True)
    try:
        try:
            write_line(handle, encode_record(record))
            os.fsync(handle)
        finally:
            os.close(handle)  # before it is renamed, which Windows refuses otherwise
        replace(begun, path)
    except OSError:
        remove(begun)
        raise


def add_to(path: Path, outcome: Outcome, *, sync: bool = True) -> None:
    """Adds an outcome to the file of a create, if that still exists."""
    if not path.exists():
        return
    handle = open_for_appending(path)
    try:
        write_line(handle, encode_record(outcome))
        if sync:
            os.fsync(handle)
    finally:
        os.close(handle)


def note_length(secrets_file: Path, length: int) -> None:
    """Records how many bytes a secrets file has, to notice when some of it is gone."""
    folder = journal_folder()
    make_private(folder)
    _write(_index(folder, secrets_file), Saved(path=str(secrets_file), length=length))


def noted_lengths(folder: Path) -> dict[Path, int]:
    """How many bytes each secrets file had when it was last written; sets damaged records aside."""
    found = {}
    for path in _named(folder, _SAVED):
        record = decode_record(_content(path))
        if isinstance(record, Saved):
            found[Path(record.path)] = record.length
        else:
            set_aside(path)
    return found


def forget_length(folder: Path, secrets_file: Path) -> None:
    remove(_index(folder, secrets_file))


def _index(folder: Path, secrets_file: Path) -> Path:
    name = hashlib.sha256(os.fsencode(secrets_file)).hexdigest()[:16]
    return folder / f"{name}{_SAVED}"


@dataclass(frozen=True)
class JournalFile:
    """A file of a journal, at one moment.

    Attributes:
        path: where it is.
        creates: one, or several in a file of an earlier version.
        is_whole: whether all of it can be read.
        is_left: whether its processes have ended.
    """

    path: Path
    creates: tuple[CreateHistory, ...]
    is_whole: bool
    is_left: bool

    @property
    def is_open(self) -> bool:
        return not self.is_whole or any(create.is_open for create in self.creates)


def read_all(folder: Path) -> list[JournalFile]:
    """The files of a journal, the oldest first."""
    found = []
    for path in sorted(_named(folder, _CREATE, _EARLIER), key=modified):
        with suppress(FileNotFoundError):  # removed meanwhile
            file = _read(folder, path)
            if not file.is_whole and not file.is_left:
                time.sleep(_LINE_SECONDS)  # its process may have been in the middle of a line
                file = _read(folder, path)
            found.append(file)
    return found


def unfinished(folder: Path) -> list[JournalFile]:
    """The files whose creates nobody waits for any more, and whose end is unknown."""
    return [
        file
        for file in read_all(folder)
        if file.is_open and (file.is_left or any(create.is_given_up for create in file.creates))
    ]


def _read(folder: Path, path: Path) -> JournalFile:
    records = [decode_record(line) for line in _content(path).splitlines(keepends=True)]
    outcomes = [each for each in records if isinstance(each, Outcome)]
    intents = {each.id: each for each in records if isinstance(each, Intent)}
    creates = tuple(
        CreateHistory(intent, tuple(o for o in outcomes if o.id == id_))
        for id_, intent in intents.items()
    )
    processes = [intent.process for intent in intents.values()]
    is_left = not any(process and is_alive(folder, process) for process in processes)
    return JournalFile(path, creates, bool(creates) and None not in records, is_left)


def _content(path: Path) -> bytes:
    """The content of a file; empty if it can't be read, which is damage, too."""
    try:
        return files.read_private(path)
    except FileNotFoundError:
        raise
    except OSError:
        return b""


def known_keys(read: list[JournalFile]) -> frozenset[str]:
    """The keys of the rows that creates made, by their answers."""
    answers = [create.answer for file in read for create in file.creates]
    return frozenset(answer.key for answer in answers if answer and answer.key)


def set_aside(path: Path) -> None:
    """Renames a damaged file, so that nothing writes to it or removes it any more."""
    replace(path, path.with_name(f"{path.name}-{secrets.token_hex(2)}{_DAMAGED}"))


def damaged_files(folder: Path) -> list[JournalFile]:
    """The damaged files that were set aside and not reported yet, as far as they can be read."""
    return [_read(folder, path) for path in sorted(_named(folder, _DAMAGED))]


def forget_damaged(folder: Path) -> None:
    """Marks the damaged files as reported; they stay."""
    for path in _named(folder, _DAMAGED):
        replace(path, path.with_name(path.name + _TOLD))


def remove_leftovers(folder: Path) -> None:
    """Removes what killed processes left: creates that were never sent, and locks."""
    for path in _named(folder, _BEGUN):
        if time.time() - modified(path) > _QUIET_SECONDS:
            remove(path)
    for path in _named(folder, _ALIVE):
        if not is_alive(folder, path.stem):
            remove(path)


def _named(folder: Path, *endings: str) -> list[Path]:
    try:
        files.require_private(folder)
        return [path for path in folder.iterdir() if path.suffix in endings]
    except FileNotFoundError:
        return []


def modified(path: Path) -> float:
    """When a file was last changed, in seconds since the epoch; 0 if it is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def value_at(content: Any, path: Iterable[str]) -> Any:
    """The value at a path in decoded JSON, or None."""
    for name in path:
        content = content.get(name) if isinstance(content, dict) else None
    return content
