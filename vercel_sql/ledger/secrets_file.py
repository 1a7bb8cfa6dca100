"""Secrets that are shown once, on disk before anybody else sees them, and what is left of them."""

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

from vercel_sql.api.decode import decode_json, encode_json
from vercel_sql.api.logger import logger
from vercel_sql.errors import JournalError, OperationalError
from vercel_sql.files import append_line, read_private, require_appendable
from vercel_sql.ledger.journal_files import note_length
from vercel_sql.paths import named_path

log = logger("api")

UNCLAIMED = "unclaimed"
"""In place of a create, for a secret that came in an answer which did not fit its request."""
_CHECKED = re.compile(rb',"checksum":"([0-9a-f]{8})"}$')


class SecretsFile:
    """A file of mode 0600 to which each secret is appended as one line of JSON, and synced.

    Args:
        path: the file; it is made where it is missing.

    Raises:
        OperationalError: it can't be written, or others may read, change or swap it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            # Whole, so that it stays the same file when the working directory changes.
            self.path = named_path(path).absolute()
        except OSError as error:  # that is gone, or there is no home directory
            self.path = Path(path)
            raise self._error(error) from None
        self._lock = threading.Lock()
        # Found out now, before the first request, rather than with a secret in hand.
        self.require_writable()

    def __repr__(self) -> str:
        return f"<SecretsFile {self.path}>"

    def require_writable(self) -> None:
        """Raises `OperationalError` where the file can't be written now."""
        try:
            require_appendable(self.path)
        except OSError as error:
            raise self._error(error) from None

    def append(self, resource: str, method: str, values: Mapping[str, Any], *, create: str) -> None:
        """Writes what is saved of an answer as one line, and returns when it is on the disk.

        The journal notes how long the file is then.

        Args:
            resource: service and resource of the method.
            method: the method whose answer had the secret.
            values: what is saved of the answer.
            create: what the journal calls this create.

        Raises:
            OperationalError: it can't be written.
        """
        made = datetime.now(UTC).isoformat(timespec="milliseconds")
        told = {"at": made, "resource": resource, "method": method, "create": create}
        text = encode_json({**told, **values})
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
    """What a secrets file holds.

    Attributes:
        lines: the lines that can be read, as they were written.
        problem: why it can't be read whole, or None.
    """

    lines: list[dict[str, Any]] = field(default_factory=list, repr=False)
    problem: str | None = None


def read_secrets(path: Path, length: int = 0) -> SavedSecrets:
    """Reads a secrets file that had so many bytes when something was saved to it last.

    One that is not there holds nothing: somebody may have moved it.
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
        told = f"{', '.join(numbers[:5])}{', …' if len(numbers) > 5 else ''}"
        return SavedSecrets(lines, f"it can't be read whole (line {told})")
    if len(content) < length:
        return SavedSecrets(lines, f"it had {length:,} bytes, and has {len(content):,} now")
    return SavedSecrets(lines)


def _read_line(line: bytes) -> dict[str, Any] | None:
    """A line; None where it is damaged. Lines of earlier versions have no checksum."""
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
