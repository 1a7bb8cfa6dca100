"""What became of each token, in order: the proof that none was lost, doubled or left behind."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from typing import Literal

from vercel_sql.simulator._clock import Clock
from vercel_sql.simulator._json import Object
from vercel_sql.simulator._tokens import Token

_request: ContextVar[int | None] = ContextVar("vercel_sql_simulator_request", default=None)


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
        """Note what happens to a token, within the request that is served at the moment."""
        name = token.get("name")
        with self._lock:
            self._events.append(
                TokenEvent(
                    event,
                    token.id,
                    name if isinstance(name, str) else None,
                    token.bearer,
                    self._clock.now_ms(),
                    _request.get(),
                )
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
