"""A listing as a lazy stream of pages, which ends in an error rather than too early or never."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from vercel_sql.api.answer import Answer
from vercel_sql.api.client import Client
from vercel_sql.api.events import PageEvent
from vercel_sql.api.read_ahead import ReadAhead
from vercel_sql.api.requests import build_request
from vercel_sql.errors import PagingError
from vercel_sql.manifest import Method, Paging


class PageContent(Protocol):
    """What paging must know of a page, whoever decoded it.

    Attributes:
        keys: the key of each row.
        cursor: what to ask for the next page with; None on the last page.
        declared: the number of rows that the page says it has.
    """

    @property
    def keys(self) -> list[str]: ...  # noqa: D102

    @property
    def cursor(self) -> str | int | None: ...  # noqa: D102

    @property
    def declared(self) -> int: ...  # noqa: D102


PageT = TypeVar("PageT", bound=PageContent)


def walk(
    client: Client,
    method: Method,
    arguments: Mapping[str, Any],
    read: Callable[[Answer], PageT],
) -> Iterator[tuple[PageT, list[int] | None]]:
    """The pages of a listing, each with the positions of the rows that are new.

    The first page is fetched when it is asked for, and so is the second; from then on the next
    page is fetched while the last one is being used.

    Args:
        client: the HTTP client.
        method: a method with paging.
        arguments: checked arguments.
        read: decodes the answer; it runs on the thread that fetches.

    Yields:
        A page, and the positions of the rows whose keys have not occurred before (None: all).

    Raises:
        PagingError: a page was cut, a cursor repeats or goes back, or a page brings nothing new.
    """
    listing = _Listing(client, method, arguments, read)
    page = listing.fetch(None)
    yield page, listing.accept(page)
    if page.cursor is None:
        return
    ahead = ReadAhead(listing.fetch, page.cursor, lambda: listing.scope)
    try:
        while True:
            page = ahead.next()
            yield page, listing.accept(page)
            if page.cursor is None:
                return
    finally:
        ahead.stop()


class _Listing:
    """The state of one walk: which keys and cursors have been seen."""

    def __init__(
        self,
        client: Client,
        method: Method,
        arguments: Mapping[str, Any],
        read: Callable[[Answer], Any],
    ) -> None:
        assert method.paging is not None  # noqa: S101 - the caller asks only paged methods
        self._client = client
        # Of the statement that asks: its end is the end of the listing, whatever runs by then.
        self.scope = client.current_scope
        self._method = method
        self._paging: Paging = method.paging
        self._arguments = arguments
        self._read = read
        self._keys: set[str] = set()
        self._cursors: set[str | int] = set()
        self._cursor: str | int | None = None

    def fetch(self, cursor: str | int | None) -> Any:
        extra: dict[str, Any] = {self._paging.size_parameter: self._paging.size}
        if cursor is not None:
            extra[self._paging.parameter] = cursor
        request = build_request(self._method, self._arguments, extra)
        with self._client.apart(self.scope):
            return self._read(self._client.send(request))

    def accept(self, page: PageContent) -> list[int] | None:
        """The positions of the rows that are new, after the page has been checked."""
        if page.declared != len(page.keys):
            raise self._error(
                f"a page says that it has {page.declared} rows and has {len(page.keys)}"
            )
        fresh = self._fresh(page.keys)
        self._client.pages.tell(PageEvent(self._method.name, len(page.keys)))
        if page.cursor is None:
            return fresh
        if page.cursor in self._cursors:
            raise self._error("a cursor came a second time")
        if fresh is not None and not fresh:
            raise self._error("a page brought no new row and still promised more")
        if self._goes_back(page.cursor):
            raise self._error("a cursor went back to pages that were read already")
        self._cursors.add(page.cursor)
        self._cursor = page.cursor
        return fresh

    def _goes_back(self, cursor: str | int) -> bool:
        """Whether a moment is later than the last: listings go from the newest row to the oldest.

        A cursor that is text says nothing of its order.
        """
        last = self._cursor
        return isinstance(cursor, int) and isinstance(last, int) and cursor > last

    def _fresh(self, keys: list[str]) -> list[int] | None:
        """The positions of the rows that are new; None, the usual case, where all are."""
        distinct = set(keys)
        if len(distinct) == len(keys) > 0 and self._keys.isdisjoint(distinct):
            self._keys |= distinct
            return None
        fresh = []
        for position, key in enumerate(keys):
            if key not in self._keys:
                self._keys.add(key)
                fresh.append(position)
        return fresh

    def _error(self, what: str) -> PagingError:
        method = self._method
        return PagingError(
            f"vercel.{method.resource}: {method.name} could not list everything: {what} "
            f"({method.http} {method.path}). No rows are given, since some would be missing",
            method=method.http,
            path=method.path,
        )
