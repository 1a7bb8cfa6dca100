"""A listing as a lazy stream of pages, which ends in an error rather than too early or never."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
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
        page, fresh = listing.fetch(None)
        client.pages.notify(PageEvent(method.name, len(page.keys)))
        yield page, fresh
        ahead = None if page.cursor is None else partial(listing.fetch, page.cursor)
        task: Future[tuple[Any, list[int] | None]] | None = None
        while ahead is not None:
            page, fresh = ahead() if task is None else listing.scope.result(task)
            ahead = None if page.cursor is None else partial(listing.fetch, page.cursor)
            task = None if ahead is None else workers.submit(ahead)
            client.pages.notify(PageEvent(method.name, len(page.keys)))
            yield page, fresh


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
        # Of the statement that asks: its end is the end of the listing, whatever runs by then.
        self.scope = client.current_scope
        self._client, self._line, self._read = client, line, read
        self._method, self._arguments = method, arguments
        self._paging: Paging = method.paging
        self._keys: set[str] = set()
        self._cursors: set[str | int] = set()
        self._last: Any = None

    def fetch(self, cursor: str | int | None) -> tuple[Any, list[int] | None]:
        """The page of a cursor and its new rows; asked for again where it may be another."""
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
                return page, self._accepted(page, cursor)
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
        what, last = "", None if self._last is None else self._last.cursor
        if page.declared != len(page.keys):
            what = f"a page says that it has {page.declared} rows and has {len(page.keys)}"
        elif page.cursor is None:
            return
        elif page.cursor in self._cursors:
            what = "a cursor came a second time"
        elif self._keys.issuperset(page.keys):
            what = "a page brought no new row and still promised more"
        # From the newest row to the oldest; a cursor that is text says nothing of its order.
        elif isinstance(page.cursor, int) and isinstance(last, int) and page.cursor > last:
            what = "a cursor went back to pages that were read already"
        if what:
            raise self._error(what)

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

    def _accepted(self, page: PageContent, cursor: str | int | None) -> list[int] | None:
        """Remembers a page; the positions of its new rows, or None, as a rule, if all are."""
        seen = self._client.proofs.pages
        seen.note(self._method.path, cursor, page.keys, page.cursor)
        if self._last is None:
            seen.note_first(self._method.path, page.moments)
        elif isinstance(cursor, int):
            seen.note_overlap(self._method.path, self._last.keys[-1] in page.keys)
        if page.cursor is not None:
            self._cursors.add(page.cursor)
        self._last, distinct = page, set(page.keys)
        if len(distinct) == len(page.keys) > 0 and self._keys.isdisjoint(distinct):
            self._keys |= distinct
            return None
        fresh = []
        for position, key in enumerate(page.keys):
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
