"""The secrets of the whole process: what one connection is told of may hold another's."""

from __future__ import annotations

import threading
from weakref import WeakSet

from vercel_sql.api.redaction.redactor import Redactor


class KnownSecrets(Redactor):
    """The secrets of one connection; it masks those of all connections of the process.

    They are forgotten with the connection, so that none is kept in memory for longer than needed.
    """

    def __init__(self) -> None:
        super().__init__()
        with _lock:
            _all.add(self)

    def mask(self, text: str) -> str:
        """The text with every secret replaced that any connection of the process knows."""
        return mask_known(text)

    def mask_own(self, text: str) -> str:
        """The text with the secrets of this connection replaced."""
        return super().mask(text)


_all: WeakSet[KnownSecrets] = WeakSet()
_lock = threading.Lock()


def _every() -> list[KnownSecrets]:
    with _lock:
        return list(_all)


def mask_known(text: str) -> str:
    """The text with every secret replaced that any connection of the process knows."""
    for secrets in _every():
        text = secrets.mask_own(text)
    return text


def known_in(text: str) -> list[str]:
    """The forms of secrets, known to any connection of the process, that stand in a text."""
    return [form for secrets in _every() for form in secrets.found(text)]
