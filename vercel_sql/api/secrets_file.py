"""Secrets that are shown once, on disk before anybody else sees them."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vercel_sql.api.appending import (
    append_line,
    objects_in,
    open_for_appending,
    require_file,
    sync_folder,
    take_turn,
)
from vercel_sql.api.decode import encode_json
from vercel_sql.errors import OperationalError
from vercel_sql.manifest import Method


class SecretsFile:
    """A file of mode 0600 to which each secret is appended as one line of JSON, and synced.

    Args:
        path: the file; it is made where it is missing.

    Raises:
        OperationalError: it can't be written, or others may read it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            # Whole, so that it stays the same file when the working directory changes.
            self.path = Path(path).expanduser().absolute()
        except (OSError, RuntimeError) as error:  # that is gone, or there is no home directory
            self.path = Path(path)
            reason = getattr(error, "strerror", None) or "there is no home directory"
            raise self._error(reason) from None
        self._lock = threading.Lock()
        # Found out now, before the first request, rather than with a secret in hand.
        self.require_writable()

    def __repr__(self) -> str:
        return f"<SecretsFile {self.path}>"

    def require_writable(self) -> None:
        """Finds out whether it can be written now.

        Raises:
            OperationalError: it can't, or others may read it.
        """
        os.close(self._open())

    def append(self, resource: str, method: str, values: Mapping[str, Any]) -> None:
        """Writes one line and returns when it is on the disk.

        Raises:
            OperationalError: it can't be written.
        """
        made = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = encode_json({"at": made, "resource": resource, "method": method, **values})
        try:
            with self._lock:
                handle = self._open()
                try:
                    take_turn(handle)
                    append_line(handle, line)
                    os.fsync(handle)
                finally:
                    os.close(handle)
        except OSError as error:
            raise self._error(error.strerror or "unknown error") from None

    def _open(self) -> int:
        try:
            is_new = not self.path.exists()
            handle = open_for_appending(self.path)
            if is_new:
                sync_folder(self.path.parent)
        except OSError as error:
            raise self._error(error.strerror or "unknown error") from None
        try:
            require_file(handle)
        except OSError as error:
            os.close(handle)
            raise self._error(error.strerror or "unknown error") from None
        mode = stat.S_IMODE(os.fstat(handle).st_mode)
        if os.name == "posix" and mode & 0o077:
            os.close(handle)
            raise self._error(f"others may read it (mode {mode:04o}); run chmod 600 on it")
        return handle

    def _error(self, why: str) -> OperationalError:
        return OperationalError(f"the secrets file {self.path} can't be used: {why}")


def answers_in(path: str | os.PathLike[str], method: Method) -> Iterator[dict[str, Any]]:
    """What a secrets file holds of a method's answers; none where it can't be read.

    Lines that are cut or no such answers are passed over: a crash may leave one.
    """
    try:
        for line in objects_in(Path(path)):
            if (line.get("resource"), line.get("method")) == (method.resource, method.name):
                yield line
    except OSError:
        return
