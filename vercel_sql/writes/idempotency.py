"""What each ``request_id`` returned, so that no write is sent twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from vercel_sql.errors import InterfaceError, ParameterError, TooManyWritesError
from vercel_sql.redaction.known import NotPicklable

_LONGEST_ID = 200  # characters


@dataclass
class _Entry:
    fingerprint: str
    caller: object
    lock: threading.Lock = field(default_factory=threading.Lock)  # held while it is carried out
    outcome: tuple[Any, Exception | None] | None = None


class Idempotency(NotPicklable):
    """Carries out each request id once; threads may share it.

    Args:
        claim: called with an id and its caller right before it is carried out, and may refuse it.
    """

    def __init__(self, claim: Callable[[str, object], None] = lambda _id, _caller: None) -> None:
        self._claim = claim
        self._entries: dict[str, _Entry] = {}
        self._changed = threading.Condition()
        self._running = 0
        self._closed = False

    def once(
        self,
        request_id: str,
        fingerprint: str,
        act: Callable[[], Any],
        caller: object = None,
    ) -> Any:
        """Calls ``act`` for the first use of an id; later uses get the same result or error.

        A refusal for too many writes is not remembered: nothing was sent, and the same id may
        still be carried out by another statement.

        An id is for one call (by its ``fingerprint``) of one caller: nobody is given what another
        caller was given.
        """
        if len(request_id) > _LONGEST_ID:
            raise ParameterError(f"a request_id has at most {_LONGEST_ID} characters")
        with self._changed:
            entry = self._entries.setdefault(request_id, _Entry(fingerprint, caller))
        if entry.fingerprint != fingerprint:
            raise ParameterError("this request_id was already used for another call")
        if entry.caller != caller:
            raise ParameterError(
                "this request_id was used in another session, so nothing was sent. What it gave is "
                "not shown again; its secrets are in the server's secrets file"
            )
        with entry.lock:
            if entry.outcome is None:
                entry.outcome = self._carried_out(partial(self._claimed, request_id, caller, act))
        result, failure = entry.outcome
        if failure is not None:
            raise failure
        return result

    def drain(self, seconds: float) -> bool:
        """Carries out nothing new, and waits for what runs; False if some of it still does."""
        with self._changed:
            self._closed = True
            return self._changed.wait_for(lambda: self._running == 0, seconds)

    def _claimed(self, request_id: str, caller: object, act: Callable[[], Any]) -> Any:
        self._claim(request_id, caller)
        return act()

    def _carried_out(self, act: Callable[[], Any]) -> tuple[Any, Exception | None]:
        with self._changed:
            if self._closed:
                raise InterfaceError("the server is stopping; nothing was sent")
            self._running += 1
        try:
            return act(), None
        except TooManyWritesError:
            raise
        except Exception as error:
            return None, error
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()
