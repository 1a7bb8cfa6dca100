"""What a client tells: of requests, pages, and values that could not be decoded exactly."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from vercel_sql.errors import DataError, DataWarning, ProgrammingError
from vercel_sql.http.rate_limits import RateLimitHeaders
from vercel_sql.http.requests import Request
from vercel_sql.logger import logger
from vercel_sql.redaction.known import masked_values

log = logger("api")
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
        query = masked_values(request.shown_query, mask)
        body = None if body is None else masked_values(body, mask)
        asked = (method.http, mask(request.path), query, body, method.resource, method.name)
        return cls(*asked, method.effect, status, milliseconds, attempt)

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
    """What this thread sends its requests for, such as ``INSERT``."""
    return _cause.get()


@contextmanager
def caused_by(what: str) -> Iterator[None]:
    """Says what this thread sends something for while the context lasts."""
    token = _cause.set(what)
    try:
        yield
    finally:
        _cause.reset(token)


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

    Where it is strict, each is an error.
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
            is_rest = doubt.column == REST
            kept = "It is NULL, and what was sent is in additional_fields"
            self.warn(f"{doubt}. {'What was sent is spelled out there' if is_rest else kept}")

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
