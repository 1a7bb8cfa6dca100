"""Errors on their way through DuckDB, which turns them into text and drops the original."""

from __future__ import annotations

import threading


class ScanFailed(OSError):  # noqa: N818 - nobody sees this name
    """An error on its way through Arrow and DuckDB, as its message and nothing else.

    Arrow calls an OSError "IOError" and most others "Unknown error". It adds Python's traceback,
    with the paths of this machine, to the text that it hands on. It falls back to the exception's
    name where none can be made, which looking at the cause prevents.
    """

    @classmethod
    def of(cls, error: BaseException) -> ScanFailed:
        """An error with the name of its class, and without the full stop that Arrow adds itself."""
        named: type[ScanFailed] = type(type(error).__name__, (cls,), {})
        return named(str(error).removesuffix("."))

    @property
    def __cause__(self) -> BaseException | None:  # type: ignore[override]
        raise AttributeError("an error on its way through Arrow has no traceback")


class Failures:
    """Keeps the original of each error that a scan or function raised, for the door to raise.

    Scans run on DuckDB's threads and connections share a table, so several may be kept at once;
    the door takes the one whose message is in the text that DuckDB gave.
    """

    def __init__(self) -> None:
        self._kept: list[BaseException] = []
        self._lock = threading.Lock()

    def keep(self, error: BaseException) -> None:
        """Keeps an original; the oldest goes when nobody has asked for them."""
        with self._lock:
            self._kept = [*self._kept[-15:], error]

    def take(self, text: str) -> BaseException | None:
        """The latest original whose message is part of DuckDB's text, and forgets it."""
        with self._lock:
            for error in reversed(self._kept):
                if str(error).removesuffix(".") in text:
                    self._kept.remove(error)
                    return error
        return None
