"""Values of rows that could not be decoded exactly: each is told of once, or is an error."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vercel_sql.errors import DataError, DataWarning, ProgrammingError
from vercel_sql.http.events import Observers
from vercel_sql.logger import logger

log = logger("api")

REST = "additional_fields"
"""The column for all that no other column holds."""

# So many different warnings a client gives at most: a server can make any number of them.
_MOST_WARNINGS = 10_000
_MOST_NAMED = 50  # in one error
_SYSTEM_FRAME = 1_000  # further out than any frame: the warning is about no line of code


@dataclass(frozen=True)
class Doubt:
    """A value that could not be decoded exactly, and so is NULL.

    Attributes:
        row: the row, in words: its table and its key.
        column: the column.
        problem: the place in the row and what is wrong there; no secret is in it.
    """

    row: str
    column: str
    problem: str

    def __str__(self) -> str:
        return f"{self.row}: {self.problem}"


@contextmanager
def refused(doubts: Doubts, where: str) -> Iterator[None]:
    """Stops what is about to be written on the strength of values in doubt that it has read."""
    found: list[Doubt] = []
    with doubts.observers.subscribe(found.append):
        try:
            yield
        except ProgrammingError:  # such as about a row that matched only because of them
            if not found:
                raise
    told = list(dict.fromkeys(map(str, found)))
    if told:
        left = f"; and {len(told) - _MOST_NAMED} more" if len(told) > _MOST_NAMED else ""
        raise DataError(
            f"{where} goes by values that can't be read, and might be wrong about these rows. "
            f"Nothing was sent. {'; '.join(told[:_MOST_NAMED])}{left}. Leave these columns or rows "
            "out, or name what is meant by its key"
        )


class Doubts:
    """Tells of the values in doubt that a client read; threads may share it.

    Attributes:
        strict: whether each is an error.
        observers: who is told of each of them, however often it is read.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self.observers = Observers[Doubt]()
        self._told: set[str] = set()
        self._lock = threading.Lock()

    def tell(self, doubts: Iterable[Doubt]) -> None:
        """Tells of values in doubt."""
        for doubt in doubts:
            if self.strict:
                raise DataError(str(doubt))
            self.observers.notify(doubt)
            kept = "It is NULL, and what was sent is in additional_fields"
            if doubt.column == REST:
                kept = "What was sent is spelled out there"
            self.warn(f"{doubt}. {kept}")

    def warn(self, text: str, about: str = "") -> None:
        """Warns of something once: in the log, and as Python does."""
        with self._lock:
            if (about or text) in self._told or len(self._told) > _MOST_WARNINGS:
                return
            self._told.add(about or text)
            if len(self._told) > _MOST_WARNINGS:
                text = f"there were {_MOST_WARNINGS:,} warnings, and the others are not given"
        log.warning("%s", text)
        warnings.warn(text, DataWarning, stacklevel=_SYSTEM_FRAME)


STRICT = Doubts(strict=True)
"""For what may have no value in doubt, whoever reads it."""
