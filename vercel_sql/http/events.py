"""What a client tells its observers, and what made it send a request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from vercel_sql.redaction.known import masked_values

if TYPE_CHECKING:
    from vercel_sql.http.rate_limits import RateLimitHeaders
    from vercel_sql.http.requests import Request

Event = TypeVar("Event")


@dataclass(frozen=True)
class RequestEvent:
    """One HTTP exchange, as it is told to observers and to the log. It holds no secret.

    Attributes:
        method: the HTTP method.
        path: the path, without the query.
        query: the query, secrets masked.
        body: the body's fields, secrets masked.
        resource: service and name of the resource.
        api_method: the name of the manifest's method.
        effect: ``read`` or ``write``.
        status: the HTTP status, or None where no answer came.
        milliseconds: how long it took.
        attempt: 1 for the first time that the request was sent.
    """

    method: str
    path: str
    query: Mapping[str, str]
    body: Mapping[str, Any] | None
    resource: str
    api_method: str
    effect: str
    status: int | None
    milliseconds: float
    attempt: int

    @classmethod
    def of(
        cls,
        request: Request,
        mask: Callable[[str], str],
        status: int | None,
        milliseconds: float,
        attempt: int,
    ) -> RequestEvent:
        """What may be told of a request: everything, with secrets masked."""
        method, body = request.method, request.shown_body
        return cls(
            method.http,
            mask(request.path),
            masked_values(request.shown_query, mask),
            None if body is None else masked_values(body, mask),
            method.resource,
            method.name,
            method.effect,
            status,
            milliseconds,
            attempt,
        )

    def in_words(self, left: RateLimitHeaders | None) -> str:
        """A line for the log."""
        status = "no answer" if self.status is None else self.status
        budget = f", {left.remaining} of {left.limit} left" if left is not None else ""
        took = f"{self.milliseconds:.1f} ms (attempt {self.attempt}{budget})"
        return f"{self.method} {self.path} -> {status} in {took}"


@dataclass(frozen=True)
class PageEvent:
    """One page of a listing, once it is known to be sound.

    Attributes:
        api_method: the name of the manifest's method.
        rows: how many rows it has.
    """

    api_method: str
    rows: int


class Observers(Generic[Event]):
    """Those who are told of one kind of event; threads may share it."""

    def __init__(self) -> None:
        self._all: tuple[Callable[[Event], None], ...] = ()
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._all)

    @contextmanager
    def subscribe(self, observer: Callable[[Event], None]) -> Iterator[None]:
        """Tells an observer of every event while the context lasts."""
        with self._lock:
            self._all = (*self._all, observer)
        try:
            yield
        finally:
            with self._lock:
                left = list(self._all)
                left.remove(observer)
                self._all = tuple(left)

    def notify(self, event: Event) -> None:
        """Tells all of them."""
        for observer in self._all:
            observer(event)


_cause: ContextVar[str] = ContextVar("vercel_sql_cause", default="call")


def cause() -> str:
    """What this thread sends something for, such as ``INSERT``."""
    return _cause.get()


@contextmanager
def caused_by(what: str) -> Iterator[None]:
    """Says what this thread sends something for while the context lasts."""
    token = _cause.set(what)
    try:
        yield
    finally:
        _cause.reset(token)
