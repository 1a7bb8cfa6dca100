"""What live tables and functions ask, and their errors on the way through DuckDB."""

from __future__ import annotations

import itertools
import threading
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vercel_sql.http.client import Client


class ScanFailed(OSError):  # noqa: N818 - nobody sees this name
    """An error on its way through Arrow and DuckDB, as its message and nothing else.

    Arrow calls an OSError "IOError" and most others "Unknown error". It adds Python's traceback,
    with the paths of this machine, to the text that it hands on. It falls back to the exception's
    name where it can't make one, and looking at the cause prevents that.
    """

    @property
    def __cause__(self) -> BaseException | None:  # type: ignore[override]
        raise AttributeError("an error on its way through Arrow has no traceback")


class Failures:
    """Keeps the original of each error, since DuckDB turns errors into text.

    Scans run on DuckDB's threads and connections share a table, so several may be kept at once.
    Whoever gets DuckDB's error takes the one whose message is in its text.
    """

    def __init__(self) -> None:
        self._kept: list[BaseException] = []
        self._lock = threading.Lock()

    def keep(self, error: BaseException) -> None:
        """Keeps an original; the oldest is dropped if nobody asks for them."""
        with self._lock:
            self._kept = [*self._kept[-15:], error]

    def failed(self, error: BaseException) -> ScanFailed:
        """Keeps an original; gives what to raise, without the full stop that Arrow adds."""
        self.keep(error)
        named: type[ScanFailed] = type(type(error).__name__, (ScanFailed,), {})
        return named(str(error).removesuffix("."))

    def take(self, text: str) -> BaseException | None:
        """Removes and returns the latest original whose message is part of DuckDB's text."""
        with self._lock:
            for error in reversed(self._kept):
                if str(error).removesuffix(".") in text:
                    self._kept.remove(error)
                    return error
        return None


class Source(Protocol):
    """The account that a connection's live tables and functions ask."""

    @property
    def client(self) -> Client:
        """The HTTP client."""

    failures: Failures
    """The originals of errors that went through DuckDB."""


class Sources:
    """The sources of the connections that share one catalog, each under its own key.

    DuckDB scans on threads of its own, and does not say for whom. So where several connections
    share a catalog, a query's filter names its session: `current` is folded into a constant while
    the query is planned, on the thread of the connection that runs it.

    Attributes:
        on_end: called when the last table is gone, and with it the database, on any thread.
    """

    def __init__(self) -> None:
        self._all: dict[str, Source] = {}
        self._keys = map(str, itertools.count(1))
        self._acting = threading.local()
        self._tables = 0
        self.on_end: Callable[[], object] = lambda: None

    def __len__(self) -> int:
        return len(self._all)

    def serve(self, table: object) -> None:
        """Registers a live table, which lives as long as its database."""
        self._tables += 1
        weakref.finalize(table, self._end).atexit = False

    def _end(self) -> None:
        self._tables -= 1
        if not self._tables:
            self.on_end()

    def add(self, source: Source) -> str:
        key = next(self._keys)
        self._all[key] = source
        return key

    def remove(self, key: str) -> None:
        self._all.pop(key, None)

    @contextmanager
    def acting(self, key: str) -> Iterator[None]:
        """What this thread plans meanwhile is for the connection with that key."""
        before = getattr(self._acting, "key", None)
        self._acting.key = key
        try:
            yield
        finally:
            self._acting.key = before

    def current(self) -> str:
        """The key of the connection for which this thread plans a query; else of any of them."""
        key: str | None = getattr(self._acting, "key", None)
        if key is not None and key in self._all:
            return key
        if len({_account(source.client) for source in self._all.values()}) > 1:
            raise ScanFailed(
                "several accounts share this database, and this DuckDB connection belongs to "
                "none of them: use execute() of vercel_sql's own connection"
            )
        return next(iter(self._all))

    def of(self, key: str | None) -> Source:
        """The source of a key; without one, the only possible one, as for `current`."""
        return self._all[key if key in self._all else self.current()]


def _account(client: Client) -> tuple[object, ...]:
    """What tells an account from others; the token is compared and never shown."""
    return tuple(client.urls.items()), client.credential.token, client.credential.team_id
