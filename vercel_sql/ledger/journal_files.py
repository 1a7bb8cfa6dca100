"""The files of the journal: one per create, and one that is locked for as long as a process lives.

Each create has a file of its own, so that damage to one hides no other. Its lines say that it is
about to be sent, and how it ended; they hold no secret. A damaged file gets another name and stays:
it is evidence. Everything here raises `OSError` where a file can't be used.
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
from vercel_sql.api.decode import decode_json, encode_any_json
from vercel_sql.files import lock, make_private, open_for_appending, remove, replace, write_line
from vercel_sql.paths import state_dir

State: TypeAlias = Literal["answered", "unsent", "given up", "unknown", "settled"]

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


class Intent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="intent"):
    """A write is about to be sent whose answer shows a secret, this once.

    Attributes:
        id: tells it from others; its outcomes name it.
        at: when, in milliseconds since the epoch, by the clock of this machine. For people only.
        steady_at: when, in milliseconds since the machine started (see `steady_ms`).
        boot: which start of which machine that is, where the platform tells.
        server_at: a time that the server's clock had reached by then, in milliseconds since the
            epoch, where the server had told it.
        process: the name of the process that sends it; None in files of earlier versions.
        url: the base URL of the server.
        account: a fingerprint of the bearer token, where one is sent.
        resource: service and resource of the method.
        method: the name of the method.
        values: the new row's columns that are known beforehand, which it can be found by.
        mark: the random end of one of these values, which no other row has.
        about: what else is sent, without what is secret.
        secrets_file: the file that its secret will be saved in.
        there: the keys of rows that are known to have been there before.
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
        state: ``answered``, and the answer was read; ``unsent``, or refused, so surely not carried
            out; ``given up`` by whoever waited for an answer that may still come; ``unknown``
            whether it was carried out; ``settled``, so that nothing is left to be done.
        id: the intent's.
        at: when this was noted, in milliseconds since the epoch.
        reason: what happened, unless it was answered or settled.
        how: how it was settled: ``given`` to whoever asked, ``revoked``, and so on.
        key: the key of the new row, where the answer has one.
        made_at: when the server made it, in milliseconds since the epoch.
        saved_in: where its secret is saved by now.
        candidates: where that is unknown, the keys of the rows that it may have made.
        since: no row that was made before is its own (ms since the epoch, by the server's clock).
        server_at: the server's time when this was noted (ms since the epoch), where it is known.
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
    """The length in bytes of a file with secrets when something was saved to it last."""

    path: str
    length: int


Record: TypeAlias = Intent | Outcome | Saved
_KINDS: dict[str, Any] = {"intent": Intent, "saved": Saved}


@dataclass(frozen=True)
class CreateHistory:
    """One create, as far as its file tells it.

    Attributes:
        intent: what was about to be sent.
        outcomes: how it ended, in order.
    """

    intent: Intent
    outcomes: tuple[Outcome, ...] = ()

    @property
    def last(self) -> Outcome | None:
        """What was said last; None where nothing was, so that it is under way or was cut off."""
        return self.outcomes[-1] if self.outcomes else None

    @property
    def answer(self) -> Outcome | None:
        """The answer, where one was read."""
        return next((o for o in reversed(self.outcomes) if o.state == "answered"), None)

    @property
    def unknowns(self) -> list[Outcome]:
        """What was found out about a create without an answer."""
        return [o for o in self.outcomes if o.state == "unknown"]

    @property
    def is_open(self) -> bool:
        """Whether something may be left to be done about it."""
        return not any(o.state in ("settled", "unsent") for o in self.outcomes)

    @property
    def is_under_way(self) -> bool:
        """Whether an answer may still come to its process, if that is alive."""
        return self.last is None or self.last.state == "given up"

    @property
    def is_given_up(self) -> bool:
        """Whether nobody waits for an answer any more, or is given what a late one shows."""
        return any(o.state in ("given up", "unknown") for o in self.outcomes)


def encode_record(record: Record) -> str:
    """A record as one line: a checksum of the rest, and JSON."""
    text = encode_any_json(msgspec.to_builtins(record))
    return f"{_checksum(text)} {text}"


def decode_record(line: bytes) -> Record | None:
    """A record from a line; None where it is damaged, or of another version of this package."""
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


def histories(records: Iterable[Record]) -> list[CreateHistory]:
    """What the records of one file tell, in the order of the intents."""
    told = list(records)
    return [
        CreateHistory(
            intent, tuple(o for o in told if isinstance(o, Outcome) and o.id == intent.id)
        )
        for intent in {each.id: each for each in told if isinstance(each, Intent)}.values()
    ]


def journal_folder() -> Path:
    """Where the journal of the user is; it need not be there yet."""
    return state_dir() / "journal"


class LivingProcess:
    """A file that says that this process lives: it is locked until `close`, or the process's end.

    Attributes:
        name: what the creates of this process call it.
    """

    def __init__(self, folder: Path) -> None:
        make_private(folder)
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._path = folder / f"{self.name}{_ALIVE}"
        # It is locked before it has its name: else it might be taken for one that was left. Windows
        # renames no open file, and removes none either.
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
        """Shows that it lives, where locks do not."""
        os.utime(self._path)

    def close(self, *, remove: bool) -> None:
        """Lets go of the file: from now on this process counts as gone."""
        os.close(self._handle)
        if remove:
            files.remove(self._path)


def is_alive(folder: Path, process: str) -> bool:
    """Whether a process that writes to a journal has not ended."""
    path = folder / f"{process}{_ALIVE}"
    try:
        handle = files.open_private(path, os.O_RDONLY)
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


def begin(folder: Path, intent: Intent) -> Path:
    """Writes the file of a create; it is on the disk, and so is its name, when this returns."""
    path = folder / f"{intent.id}{_CREATE}"
    _write(path, intent)
    files.sync_folder(folder)
    return path


def _write(path: Path, record: Record) -> None:
    """Writes a file of one record, which is whole as soon as it has its name."""
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
    """Adds an outcome to the file of a create, where that is still there."""
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
    """Notes how many bytes a secrets file has, so that it is seen when some of it is gone."""
    folder = journal_folder()
    make_private(folder)
    _write(_index(folder, secrets_file), Saved(path=str(secrets_file), length=length))


def noted_lengths(folder: Path) -> dict[Path, int]:
    """How many bytes each secrets file had when something was saved to it last.

    What says so and can't be read is set aside.
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


@dataclass(frozen=True)
class JournalFile:
    """A file of a journal, at one moment.

    Attributes:
        path: where it is.
        creates: what it tells; of an earlier version, several.
        is_whole: whether all of it can be read.
        is_left: whether no process goes on with it.
    """

    path: Path
    creates: tuple[CreateHistory, ...]
    is_whole: bool
    is_left: bool

    @property
    def is_open(self) -> bool:
        """Whether something may be left to be done about what it tells."""
        return not self.is_whole or any(create.is_open for create in self.creates)


def read_all(folder: Path) -> list[JournalFile]:
    """What each file of a journal tells, the oldest first; one that goes meanwhile is left out."""
    found = []
    for path in sorted(_named(folder, _CREATE, _EARLIER), key=modified):
        with suppress(FileNotFoundError):
            file = _read(folder, path)
            if not file.is_whole and not file.is_left:
                time.sleep(_LINE_SECONDS)  # its process may have been in the middle of a line
                file = _read(folder, path)
            found.append(file)
    return found


def unfinished(folder: Path) -> list[JournalFile]:
    """The files of creates that nobody goes on with and whose end nobody noted, or can read."""
    return [
        file
        for file in read_all(folder)
        if file.is_open and (file.is_left or any(create.is_given_up for create in file.creates))
    ]


def _read(folder: Path, path: Path) -> JournalFile:
    records = [decode_record(line) for line in _content(path).splitlines(keepends=True)]
    creates = tuple(histories(record for record in records if record is not None))
    processes = [create.intent.process for create in creates]
    is_left = not any(process and is_alive(folder, process) for process in processes)
    return JournalFile(path, creates, bool(creates) and None not in records, is_left)


def _content(path: Path) -> bytes:
    """What a file holds; nothing where it is not one, or can't be read: that is damage, too."""
    try:
        return files.read_private(path)
    except FileNotFoundError:
        raise
    except OSError:
        return b""


def known_keys(read: list[JournalFile]) -> frozenset[str]:
    """The keys of the rows that creates are known to have made, by their answers."""
    answers = [create.answer for file in read for create in file.creates]
    return frozenset(answer.key for answer in answers if answer and answer.key)


def set_aside(path: Path) -> None:
    """Gives a damaged file another name, under which nothing of ours writes to it or removes it."""
    replace(path, path.with_name(f"{path.name}-{secrets.token_hex(2)}{_DAMAGED}"))


def damaged_files(folder: Path) -> list[JournalFile]:
    """The damaged files that were set aside, as far as they can be read, and are to be told of."""
    return [_read(folder, path) for path in sorted(_named(folder, _DAMAGED))]


def forget_damaged(folder: Path) -> None:
    """Has the damaged files no longer told of; they stay."""
    for path in _named(folder, _DAMAGED):
        replace(path, path.with_name(path.name + _TOLD))


def remove_leftovers(folder: Path) -> None:
    """Removes what processes left that were killed: creates that were never sent, and locks."""
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
    """When a file was last changed, in seconds since the epoch; 0 where it is gone."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def value_at(content: Any, path: Iterable[str]) -> Any:
    """What stands at a path in decoded JSON; None where nothing does."""
    for name in path:
        content = content.get(name) if isinstance(content, dict) else None
    return content
