"""What the simulated API received, and what became of each token, in order."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal
from urllib.parse import parse_qsl

from vercel_sql.simulator.clock import Clock
from vercel_sql.simulator.messages import FORM, Object, decode, media_type
from vercel_sql.simulator.models import Token

_request: ContextVar[int | None] = ContextVar("vercel_sql_simulator_request", default=None)


@dataclass
class ReceivedRequest:
    """One request as it came, and what became of it.

    `path` is percent-encoded as it was on the wire. `status` is None if the connection was closed
    without an answer. `acted` is True if the endpoint did what it was asked, whether or not its
    answer reached the caller. `authorization` is kept: nothing here is a real secret.
    """

    index: int
    time_ms: int
    method: str
    path: str
    decoded_path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: Any = None
    form: list[tuple[str, str]] | None = None
    status: int | None = None
    token_id: str | None = None
    acted: bool = False
    faults: list[str] = field(default_factory=list)

    def as_json(self) -> Object:
        """Give the record as `GET /_simulator/requests` shows it."""
        return asdict(self)

    def read_body(self, body: bytes) -> None:
        """Note the body: parsed if it is JSON, else as text; None if there is none."""
        if not body:
            return
        self.body = body.decode(errors="replace")
        if media_type(self.headers) == FORM:
            self.form = parse_qsl(self.body, keep_blank_values=True)
            return
        try:
            self.body = decode(body)
        except ValueError:
            return


class Recorder:
    """Keeps the records; safe to use from any thread."""

    def __init__(self) -> None:
        self._records: list[ReceivedRequest] = []
        self._lock = threading.Lock()

    def add(self, record: ReceivedRequest) -> None:
        """Keep a record, which may still be filled in, and set its index."""
        with self._lock:
            record.index = len(self._records)
            self._records.append(record)

    def all(self) -> list[ReceivedRequest]:
        """Give a copy of each record, in the order in which the requests arrived."""
        with self._lock:
            return [replace(record) for record in self._records]

    def clear(self) -> None:
        """Forget all records."""
        with self._lock:
            self._records.clear()


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One token coming or going.

    Attributes:
        event: what happened.
        id: the token's id.
        name: the name that it was created with, in both events.
        bearer: what authenticates it.
        time_ms: when it happened, by the account's clock (ms since the epoch).
        request: the index of the request that did it; None for a token of the account's
            beginning, and for what a test did by hand.
    """

    event: Literal["created", "removed"]
    id: str
    name: str | None
    bearer: str = field(repr=False)
    time_ms: int
    request: int | None

    def as_json(self) -> Object:
        """Give the event as `GET /_simulator/history` shows it."""
        return asdict(self)


class History:
    """All events since the account was made, which outlive the tokens; safe from any thread.

    Tokens that expire, or that a test marks as revoked, are not removed: they stay listed.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events: list[TokenEvent] = []
        self._lock = threading.Lock()

    def note(self, event: Literal["created", "removed"], token: Token) -> None:
        """Note what happens to a token, within the request that is being served."""
        name = token.get("name")
        shown = name if isinstance(name, str) else None
        with self._lock:
            now_ms = self._clock.now_ms()
            self._events.append(
                TokenEvent(event, token.id, shown, token.bearer, now_ms, _request.get())
            )

    def all(self) -> list[TokenEvent]:
        """Give the events, in the order in which they happened."""
        with self._lock:
            return list(self._events)


@contextmanager
def within(request: int) -> Iterator[None]:
    """Ascribe what happens meanwhile, in this task, to a request."""
    token = _request.set(request)
    try:
        yield
    finally:
        _request.reset(token)
