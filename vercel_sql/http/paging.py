"""A listing as a lazy stream of pages, which ends in an error rather than too early or never."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, TypeVar

from vercel_sql.errors import AnswerError, PagingError
from vercel_sql.http.answers import Answer
from vercel_sql.http.client import Client
from vercel_sql.http.connections import Line
from vercel_sql.http.events import PageEvent
from vercel_sql.http.requests import build_request
from vercel_sql.manifest import Method, Paging
from vercel_sql.runtime.scope import scoped, workers

# How often a page is asked for that can't be the one that was asked for, or is not proved to be.
_MOST_ASKS = 3


class PageContent(Protocol):
    """What paging must know of a page, whoever decoded it.

    Attributes:
        keys: the key of each row.
        moments: what the rows are sorted by, in milliseconds since the epoch, where it is known.
        cursor: what to ask for the next page with; None on the last page.
        declared: the number of rows that the page says it has.
    """

    @property
    def keys(self) -> list[str]: ...

    @property
    def moments(self) -> list[int]: ...

    @property
    def cursor(self) -> str | int | None: ...

    @property
    def declared(self) -> int: ...


PageT = TypeVar("PageT", bound=PageContent)


def walk(
    client: Client,
    method: Method,
    arguments: Mapping[str, Any],
    read: Callable[[Answer], PageT],
) -> Iterator[tuple[PageT, list[int] | None]]:
    """The pages of a listing, each with the positions of the rows that are new.

    The first page is fetched when it is asked for, and so is the second; from then on the next
    page is fetched while the last one is being used. All go out on one connection, which nothing
    else uses; a page that does not go on from the one before is asked for again on a new one.
    """
    with client.connections.line() as line:
        listing = _Listing(client, line, method, arguments, read)
        fetched = listing.fetch(None)
        yield listing.told(fetched)
        if fetched.cursor is not None:
            fetched = listing.fetch(fetched.cursor)
            while fetched.cursor is not None:
                ahead = workers.submit(partial(listing.fetch, fetched.cursor))
                yield listing.told(fetched)
                fetched = listing.scope.result(ahead)
            yield listing.told(fetched)


class _Fetched:
    """A page that was found to go on from the one before, and which of its rows are new."""

    def __init__(self, page: Any, fresh: list[int] | None) -> None:
        self.page = page
        self.fresh = fresh
        self.cursor: str | int | None = page.cursor


class _Listing:
    """The state of one walk: which keys and cursors have been seen.

    Pages are fetched one after the other, whichever thread it is.
    """

    def __init__(
        self,
        client: Client,
        line: Line,
        method: Method,
        arguments: Mapping[str, Any],
        read: Callable[[Answer], Any],
    ) -> None:
        assert method.paging is not None  # noqa: S101 - the caller asks only paged methods
        self._client = client
        self._line = line
        # Of the statement that asks: its end is the end of the listing, whatever runs by then.
        self.scope = client.current_scope
        self._method = method
        self._paging: Paging = method.paging
        self._arguments = arguments
        self._read = read
        self._keys: set[str] = set()
        self._cursors: set[str | int] = set()
        self._last: Any = None

    def told(self, fetched: _Fetched) -> tuple[Any, list[int] | None]:
        """A page and its new rows, once the observers have been told of it."""
        self._client.pages.notify(PageEvent(self._method.name, len(fetched.page.keys)))
        return fetched.page, fetched.fresh

    def fetch(self, cursor: str | int | None) -> _Fetched:
        """The page of a cursor; asked for again where it is not that, or may be another."""
        failure: AnswerError | None = None
        doubted: list[tuple[list[str], str | int | None]] = []
        for _ in range(_MOST_ASKS):
            if failure is not None or doubted:
                self._client.connections.drop(self._line)
            try:
                page = self._ask(cursor)
                self._check(page)
            except AnswerError as error:
                if cursor is None:
                    raise  # the connection was new already
                failure = error
                continue
            content = (page.keys, page.cursor)
            # What comes twice on two connections is what the server says.
            if content in doubted or not self._is_doubtful(page, cursor):
                return self._accepted(page, cursor)
            doubted.append(content)
        raise failure or self._error("a page was different each time it was requested")

    def _ask(self, cursor: str | int | None) -> Any:
        extra: dict[str, Any] = {self._paging.size_parameter: self._paging.size}
        if cursor is not None:
            extra[self._paging.parameter] = cursor
        request = build_request(self._method, self._arguments, extra)
        with scoped(self.scope):
            return self._read(self._client.send(replace(request, line=self._line)))

    def _check(self, page: PageContent) -> None:
        """Makes sure that a page can be one of this listing, after those that were read."""
        if page.declared != len(page.keys):
            raise self._error(
                f"a page says that it has {page.declared} rows and has {len(page.keys)}"
            )
        if page.cursor is None:
            return
        if page.cursor in self._cursors:
            raise self._error("a cursor came a second time")
        if self._keys.issuperset(page.keys):
            raise self._error("a page brought no new row and still promised more")
        if self._goes_back(page.cursor):
            raise self._error("a cursor went back to pages that were read already")

    def _goes_back(self, cursor: str | int) -> bool:
        """Whether a moment is later than the last: listings go from the newest row to the oldest.

        A cursor that is text says nothing of its order.
        """
        last = None if self._last is None else self._last.cursor
        return isinstance(cursor, int) and isinstance(last, int) and cursor > last

    def _is_doubtful(self, page: PageContent, cursor: str | int | None) -> bool:
        """Whether a page may be that of another request, as far as the rows themselves tell."""
        seen, unsure = self._client.proofs.pages, self._client.proofs.may_be_mixed_up
        if seen.is_of_another(self._method.path, cursor, page.keys, page.cursor):
            return True
        if self._last is None:
            return seen.is_late(self._method.path, page.moments, unless_known=unsure)
        oldest = min(self._last.moments, default=None)
        bound = cursor if isinstance(cursor, int) else oldest
        if bound is not None and max(page.moments, default=bound) > bound:
            return True
        # Where a page begins with the last row of the one before, none between them is missing.
        overlaps = self._last.keys[-1] in page.keys
        return isinstance(cursor, int) and seen.lacks_overlap(
            self._method.path, overlaps, is_unsure=unsure
        )

    def _accepted(self, page: PageContent, cursor: str | int | None) -> _Fetched:
        seen = self._client.proofs.pages
        seen.note(self._method.path, cursor, page.keys, page.cursor)
        if self._last is None:
            seen.note_first(self._method.path, page.moments)
        elif isinstance(cursor, int):
            seen.note_overlap(self._method.path, self._last.keys[-1] in page.keys)
        fresh = self._fresh(page.keys)
        if page.cursor is not None:
            self._cursors.add(page.cursor)
        self._last = page
        return _Fetched(page, fresh)

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
