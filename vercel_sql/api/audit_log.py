"""The audit log: a line for each write that was sent, or that was about to be."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vercel_sql.api.appending import append_line, open_for_appending, take_turn
from vercel_sql.api.decode import encode_any_json
from vercel_sql.api.logger import logger
from vercel_sql.api.os_files import sync_folder
from vercel_sql.api.private_files import READABLE
from vercel_sql.errors import AuditLogError
from vercel_sql.paths import named_path

log = logger("api")

ENVIRONMENT = "VERCEL_SQL_AUDIT_LOG"
"""The environment variable that names the file where no option does."""


class AuditLog:
    """A file of mode 0600 to which a line of JSON is appended for each write; it holds no secret.

    Processes and threads may share one. What it can't take stays in memory, and goes to the file
    before the next write is sent; until then none is.

    Args:
        path: the file; it is made where it is missing.

    Raises:
        AuditLogError: it can't be written, or others may change or swap it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self.path = named_path(path)
        except OSError as error:
            raise AuditLogError(self._unusable(error)) from None
        self._lock = threading.Lock()
        self._waiting: list[str] = []
        self._problem: AuditLogError | None = None
        # Found out now, before the first request, rather than with an answer in hand.
        self.require()

    def __repr__(self) -> str:
        return f"<AuditLog {self.path}>"

    @property
    def problem(self) -> AuditLogError | None:
        """Why a write that was sent is not in the file yet; None where all are."""
        return self._problem if self._waiting else None

    def require(self) -> None:
        """Makes sure that the next line can be taken; called before a write is sent.

        Raises:
            AuditLogError: it can't be, so nothing may be sent.
        """
        with self._lock:
            try:
                self._append()
            except OSError as error:
                raise AuditLogError(f"{self._unusable(error)}. Nothing was sent") from None

    def append(self, record: Mapping[str, Any]) -> AuditLogError | None:
        """Writes a line and returns when it is on the disk; gives what hindered it.

        Args:
            record: what is noted, without any secret.
        """
        line = encode_any_json(dict(record))
        with self._lock:
            self._waiting.append(line)
            try:
                self._append()
            except OSError as error:
                self._problem = AuditLogError(
                    f"{self._unusable(error)}: a write that was sent is not in it yet, and no "
                    "other is sent before it is"
                )
                log.warning("%s", self._problem)
        return self.problem

    def _append(self) -> None:
        """Writes what waits; what was written waits no more.

        Raises:
            OSError: it can't be written.
        """
        is_new = not self.path.exists()
        handle = open_for_appending(self.path, forbidden=READABLE)
        try:
            take_turn(handle)
            while self._waiting:
                append_line(handle, self._waiting[0])
                os.fsync(handle)
                del self._waiting[0]
        finally:
            os.close(handle)
        if is_new:
            sync_folder(self.path.absolute().parent)

    def _unusable(self, error: OSError) -> str:
        return f"the audit log {self.path} can't be used: {error.strerror or 'unknown error'}"


def chosen_log(path: str | os.PathLike[str] | None) -> AuditLog | None:
    """The log that an option names, else the environment variable; None where neither does.

    Raises:
        AuditLogError: it can't be used.
    """
    named = path or os.environ.get(ENVIRONMENT, "").strip()
    return AuditLog(named) if named else None
