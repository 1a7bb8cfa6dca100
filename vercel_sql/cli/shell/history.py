"""The shell's history in a file that never contains a secret."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

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
from vercel_sql.sql.masking import masked_statement

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
