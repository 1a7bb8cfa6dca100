"""What is entered: its dot commands and SQL, and a history that never contains a secret."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from prompt_toolkit.history import FileHistory

from vercel_sql.files import (
    READABLE,
    make_private,
    make_unreadable,
    open_for_appending,
    open_private,
    remove,
    replace,
)
from vercel_sql.sql import complete
from vercel_sql.sql.masking import masked_statement
from vercel_sql.sql.tokens import scan

_ENTRIES = 10_000
_LONGEST = 50_000
_LOCK_SECONDS = 2.0


class MaskedHistory(FileHistory):
    """The entries in a file of mode 0600, with their secrets masked.

    The entries of the current session are masked as well, so that no secret can be recalled to the
    screen. If the file can't be read or written, the shell continues without it. Shells may share
    a file. It keeps the last 10,000 entries, and none of more than 50,000 characters.

    Args:
        path: the file; it is created at the first entry, in a folder of mode 0700.
        mask: masks known secrets, such as `Redactor.mask`.
    """

    def __init__(self, path: str | os.PathLike[str], mask: Callable[[str], str]) -> None:
        super().__init__(path)
        self._path = Path(path)
        self._mask = mask

    def append_string(self, string: str) -> None:
        """Keep an entry for this session and later ones."""
        if len(string) > _LONGEST:
            return
        try:
            masked = self._masked(string)
        except Exception:
            # What can't be masked is not kept; an error here would end the prompt.
            return
        super().append_string(masked)

    def store_string(self, string: str) -> None:
        """Append an entry to the file."""
        lines = "".join(f"+{line}\n" for line in self._masked(string).split("\n"))
        entry = f"\n# {datetime.now()}\n{lines}".encode("utf-8", "replace")
        with suppress(OSError), self._locked():
            handle = open_for_appending(self._path, forbidden=READABLE)
            with open(handle, "wb", buffering=0) as file:
                make_unreadable(handle)
                file.write(entry)

    def load_history_strings(self) -> Iterable[str]:
        """The entries of the file, the newest first."""
        with suppress(OSError):
            self._drop_oldest()
            return super().load_history_strings()
        return []

    def _masked(self, string: str) -> str:
        return self._mask(masked_statement(string))

    def _drop_oldest(self) -> None:
        """Rewrite the file without its oldest entries if it has too many."""
        if not self._path.exists():
            return
        with self._locked():
            with open(open_private(self._path, os.O_RDONLY, forbidden=READABLE), "rb") as file:
                content = file.read()
            starts = [found.start() for found in re.finditer(rb"(?m)^# ", content)]
            if len(starts) <= _ENTRIES:
                return
            shorter = self._path.with_name(f"{self._path.name}.new")
            remove(shorter)
            with open(open_for_appending(shorter, new=True), "wb") as file:
                file.write(content[starts[-_ENTRIES] :])
            replace(shorter, self._path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Lock out other shells; OSError if one holds the lock for too long."""
        from filelock import FileLock

        make_private(self._path.parent)
        lock = self._path.with_name(f"{self._path.name}.lock")
        # The library opens any file there, and empties it.
        os.close(open_for_appending(lock, forbidden=READABLE))
        with FileLock(lock, timeout=_LOCK_SECONDS, mode=0o600):
            yield


_BARE: Mapping[str, str] = MappingProxyType(
    {"exit": ".exit", "quit": ".quit", "help": ".help", "\\q": ".quit", "\\?": ".help"}
)
"""Habits from other shells, accepted as a whole entry."""


@dataclass(frozen=True)
class Entry:
    """A dot command, or the SQL between two of them.

    Attributes:
        text: the text; SQL begins with empty lines, so that its lines keep their numbers.
        is_command: whether it is a dot command.
    """

    text: str
    is_command: bool


def is_finished(text: str) -> bool:
    """Whether the last statement has its semicolon, and no quote is open."""
    entries = split(text)
    return not entries or entries[-1].is_command or _is_whole(entries[-1].text)


def split(text: str) -> list[Entry]:
    """Split a text into its dot commands and SQL, in order, without blank SQL.

    A line that begins with a dot is a command unless it is inside a statement.
    """
    bare = _BARE.get(text.strip().rstrip(";").casefold())
    if bare is not None:
        return [Entry(bare, is_command=True)]
    entries: list[Entry] = []
    pending: list[str] = []
    for number, line in enumerate(text.split("\n")):
        if line.lstrip().startswith(".") and _is_whole("\n".join(pending)):
            _flush(pending, entries)
            entries.append(Entry(line.strip(), is_command=True))
            pending = [""] * (number + 1)
        else:
            pending.append(line)
    _flush(pending, entries)
    return entries


def _flush(pending: list[str], entries: list[Entry]) -> None:
    text = "\n".join(pending)
    if not _is_blank(text):
        entries.append(Entry(text, is_command=False))


def _is_whole(sql: str) -> bool:
    return complete(sql) or _is_blank(sql)


def _is_blank(sql: str) -> bool:
    """Whether there are only blanks and comments."""
    if not sql.strip():
        return True
    found = scan(sql)
    return found.unfinished is None and not found.lexemes
