"""What live tables and functions are made from."""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vercel_sql.api import Client
from vercel_sql.tables.failures import Failures, ScanFailed


@dataclass(frozen=True)
class Source:
    """The account that a connection's live tables and functions ask.

    Attributes:
        client: the HTTP client.
        failures: where the originals of errors are kept.
    """

    client: Client
    failures: Failures


class Sources:
    """The sources of the connections that share one catalog, each under a key of its own.

    DuckDB scans on threads of its own, and does not say for whom. So where several connections
    share a catalog, a query's filter names its session: `current` is folded into a constant while
    the query is planned, on the thread of the connection that runs it.

    Attributes:
        on_end: is called when the last table is gone, and with it the database, on any thread.
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
        """A live table asks them for as long as it is there, which is as long as its database."""
        self._tables += 1
        weakref.finalize(table, self._end).atexit = False

    def _end(self) -> None:
        self._tables -= 1
        if not self._tables:
            self.on_end()

    def add(self, source: Source) -> str:
        """Adds a connection's source and gives its key."""
        key = next(self._keys)
        self._all[key] = source
        return key

    def remove(self, key: str) -> None:
        """Takes a source out; nothing asks it any more."""
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
        """The key of the connection for which this thread plans a query.

        Raises:
            ScanFailed: none of ours does, and not all of them would ask the same account.
        """
        key: str | None = getattr(self._acting, "key", None)
        if key is None or key not in self._all:
            first, *others = self._all
            if any(_account(self._all[each]) != _account(self._all[first]) for each in others):
                raise ScanFailed(
                    "several accounts share this database, and this DuckDB connection belongs to "
                    "none of them: use execute() of vercel_sql's own connection"
                )
            key = first
        return key

    def of(self, key: str | None) -> Source:
        """The source of a key; without one, the only one that it can be.

        Raises:
            ScanFailed: it can be several.
        """
        return self._all[key if key in self._all else self.current()]


def _account(source: Source) -> tuple[object, ...]:
    """What tells an account from others; the token is compared and never shown."""
    client = source.client
    return client.urls, client.credential.token, client.credential.team_id
