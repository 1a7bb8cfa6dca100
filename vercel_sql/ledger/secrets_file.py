"""Secrets that are shown once: saved on disk before anybody sees them, and read back."""

from __future__ import annotations

import os
import re
import threading
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vercel_sql.errors import JournalError, OperationalError
from vercel_sql.files import append_line, named_path, read_private, require_appendable
from vercel_sql.http.decode import decode_json, encode_json
from vercel_sql.ledger.journal_files import note_length
from vercel_sql.logger import logger

log = logger("api")

UNCLAIMED = "unclaimed"
"""In place of a create's id, for the secret of an answer that did not fit its request."""
_CHECKED = re.compile(rb',"checksum":"([0-9a-f]{8})"}$')


class SecretsFile:
    """A file of mode 0600 to which each secret is appended as one line of JSON, and synced.

    Raises `OperationalError` if it can't be written, or if others may read, change or swap it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            # Absolute, so that it stays the same file when the working directory changes.
            self.path = named_path(path).absolute()
        except OSError as error:  # that is gone, or there is no home directory
            self.path = Path(path)
            raise self._error(error) from None
        self._lock = threading.Lock()
        # Fails now, before the first request, rather than with a secret in hand.
        self.require_writable()

    def __repr__(self) -> str:
        return f"<SecretsFile {self.path}>"

    def require_writable(self) -> None:
        try:
            require_appendable(self.path)
        except OSError as error:
            raise self._error(error) from None

    def append(self, resource: str, method: str, values: Mapping[str, Any], *, create: str) -> None:
        """Writes values of an answer as one line, and returns when it is on the disk.

        ``create`` is the id of the create in the journal, which also records the file's new length.
        Raises `OperationalError` if the line can't be written.
        """
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        about = {"at": at, "resource": resource, "method": method, "create": create}
        text = encode_json({**about, **values})
        line = f'{text[:-1]},"checksum":"{zlib.crc32(text.encode()):08x}"}}'
        with self._lock:
            try:
                length = append_line(self.path, line)
            except OSError as error:
                raise self._error(error) from None
        try:
            note_length(self.path, length)
        except (OSError, JournalError) as error:
            log.warning("the length of %s can't be noted in the journal: %s", self.path, error)

    def _error(self, error: OSError) -> OperationalError:
        why = error.strerror or "unknown error"
        return OperationalError(f"the secrets file {self.path} can't be used: {why}")


@dataclass(frozen=True)
class SavedSecrets:
    """The readable lines of a secrets file, and why it can't be read whole, or None."""

    lines: list[dict[str, Any]] = field(default_factory=list, repr=False)
    problem: str | None = None


def read_secrets(path: Path, length: int = 0) -> SavedSecrets:
    """Reads a secrets file that had at least ``length`` bytes when it was last written.

    A missing one has no lines: somebody may have moved it.
    """
    try:
        content = read_private(path)
    except FileNotFoundError:
        return SavedSecrets()
    except OSError as error:
        return SavedSecrets(problem=f"it can't be read: {error.strerror or 'unknown error'}")
    read = [_read_line(line) for line in content.splitlines()]
    lines = [line for line in read if line is not None]
    if None in read:
        numbers = [str(n) for n, line in enumerate(read, start=1) if line is None]
        shown = f"{', '.join(numbers[:5])}{', …' if len(numbers) > 5 else ''}"
        return SavedSecrets(lines, f"it can't be read whole (line {shown})")
    if len(content) < length:
        return SavedSecrets(lines, f"it had {length:,} bytes, and has {len(content):,} now")
    return SavedSecrets(lines)


def _read_line(line: bytes) -> dict[str, Any] | None:
    """A line, or None if it is damaged. Lines of earlier versions have no checksum."""
    checked = _CHECKED.search(line)
    if checked is not None:
        line = line[: checked.start()] + b"}"
        if f"{zlib.crc32(line):08x}".encode() != checked[1]:
            return None
    try:
        found = decode_json(line)
    except ValueError:
        return None
    is_checked = checked is not None or not (isinstance(found, dict) and "create" in found)
    return found if isinstance(found, dict) and is_checked else None
