"""Notes in the audit log what a client sends, and what came of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from vercel_sql.api.account import ask_account
from vercel_sql.api.answer import Answer
from vercel_sql.api.causes import cause
from vercel_sql.api.decode import decode_json
from vercel_sql.api.noting import fingerprint, is_unsent
from vercel_sql.api.redaction import MASK
from vercel_sql.api.requests import Request
from vercel_sql.errors import APIError, AuditLogError, Error, StatementCancelledError
from vercel_sql.manifest import Method

if TYPE_CHECKING:
    from vercel_sql.api.audit_log import AuditLog
    from vercel_sql.api.client import Client

Outcome: TypeAlias = Literal["done", "refused", "unknown", "not sent"]

_LONGEST = 200  # characters of a key


@dataclass
class Tally:
    """The requests that one write took.

    Attributes:
        requests: how many were sent, retries included.
        status: the HTTP status of the last; None where no answer came.
    """

    requests: int = 0
    status: int | None = None


_tally: ContextVar[Tally | None] = ContextVar("vercel_sql_tally", default=None)


def count_request(method: Method, status: int | None) -> None:
    """Counts a request that changes something towards the write that it belongs to, if to any."""
    tally = _tally.get()
    if tally is not None and not method.reads:
        tally.requests += 1
        tally.status = status


@contextmanager
def _tallied() -> Iterator[Tally]:
    tally = Tally()
    token = _tally.set(tally)
    try:
        yield tally
    finally:
        _tally.reset(token)


class Auditor:
    """Notes the writes of one client.

    Args:
        client: the client.
        log: where they are noted.
    """

    def __init__(self, client: Client, log: AuditLog) -> None:
        self.log = log
        self._client = client
        self._accounts: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Auditor: {self.log!r}>"

    def noted(self, request: Request, bearer: str | None, send: Callable[[], Answer]) -> Answer:
        """Sends a write and notes it, whatever comes of it.

        Args:
            request: the write.
            bearer: the connection's token, where it goes along.
            send: sends it.

        Returns:
            the answer; where it could not be noted, it says so.

        Raises:
            AuditLogError: the log can't be written, so nothing was sent.
            BaseException: what `send` raised.
        """
        self.log.require()
        about = self._about(request, bearer)
        with _tallied() as tally:
            try:
                answer = send()
            except BaseException as error:
                self._note(about, tally, _outcome(error, tally), _given_key(request))
                raise
        content = _content(answer)
        outcome: Outcome = "unknown" if content is None else "done"
        key = _made_key(request, content) or _given_key(request)
        problem = self._note(about, tally, outcome, key)
        return answer if problem is None else replace(answer, unnoted=problem)

    def _about(self, request: Request, bearer: str | None) -> dict[str, Any]:
        """What is known before the write is sent, in the order of the line."""
        method = request.method
        credential = None
        if bearer is not None:
            credential = {
                "source": self._client.credential.source,
                "sha256": fingerprint(bearer),
            }
        return {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "api": self._client.urls[method.server],
            "account": self._account(request, bearer),
            "credential": credential,
            "statement": cause(),
            "resource": method.resource,
            "method": method.name,
        }

    def _account(self, request: Request, bearer: str | None) -> dict[str, Any]:
        """Whom the write is sent for; asked once for each credential."""
        if bearer is None:
            own = request.authorization is not None
            return _nobody("the request has credentials of its own" if own else "it needs none")
        key = fingerprint(bearer)
        with self._lock:
            if key not in self._accounts:
                try:
                    found = ask_account(self._client)
                except StatementCancelledError:
                    raise
                except Error as error:
                    # Not the error's text: a server may write anything there.
                    if not isinstance(error, APIError):
                        return _nobody(f"not asked: {type(error).__name__}")  # but for the next
                    account = _nobody(f"not told: {error.status}")
                else:
                    account = {"id": found.key, "name": found.name, "reason": None}
                self._accounts[key] = account
            return self._accounts[key]

    def _note(
        self, about: dict[str, Any], tally: Tally, outcome: Outcome, key: str | None
    ) -> AuditLogError | None:
        shown = None if key is None else self._client.redactor.mask(key)[:_LONGEST]
        return self.log.append(
            {
                **about,
                "id": shown,
                "status": tally.status,
                "outcome": outcome,
                "requests": tally.requests,
            }
        )


def _nobody(reason: str) -> dict[str, Any]:
    return {"id": None, "name": None, "reason": reason}


def _outcome(error: BaseException, tally: Tally) -> Outcome:
    """What a failure says about the write."""
    if tally.requests == 0:
        return "not sent"
    if not is_unsent(error):
        return "unknown"
    return "refused" if isinstance(error, APIError) else "not sent"


def _content(answer: Answer) -> dict[str, Any] | None:
    """The object that an answer is; None where it is none, and may be anybody's page."""
    try:
        content = decode_json(answer.body)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _made_key(request: Request, content: dict[str, Any] | None) -> str | None:
    """The key of the new row, where the answer says it."""
    trace = request.method.trace
    found: Any = content
    for name in trace.key if trace is not None else [""]:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, str) else None


def _given_key(request: Request) -> str | None:
    """The key of the row that a write is about, where the request says it."""
    for parameter in request.method.given:
        is_secret_key = request.method.verb == "delete" and parameter.required and parameter.secret
        if parameter.location == "path" or is_secret_key:
            return MASK if parameter.secret else str(request.given[parameter.name])
    return None
