"""The audit log: a line for each write that was sent, or that was about to be."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from vercel_sql.errors import APIError, AuditLogError, Error, StatementCancelledError
from vercel_sql.files import READABLE, append_line, named_path, require_appendable
from vercel_sql.http.account import ask_account
from vercel_sql.http.answers import Answer
from vercel_sql.http.decode import decode_json, encode_any_json
from vercel_sql.http.events import cause
from vercel_sql.http.requests import Request
from vercel_sql.ledger.journal import fingerprint, is_unsent
from vercel_sql.ledger.journal_files import value_at
from vercel_sql.logger import logger
from vercel_sql.manifest import Method
from vercel_sql.redaction import MASK

if TYPE_CHECKING:
    from vercel_sql.http.client import Client

log = logger("api")

ENVIRONMENT = "VERCEL_SQL_AUDIT_LOG"
"""The environment variable that names the file where no option does."""

Outcome: TypeAlias = Literal["done", "refused", "unknown", "not sent"]

_LONGEST = 200  # characters of a key


class AuditLog:
    """A file of mode 0600 to which a line of JSON is appended for each write; it holds no secret.

    Processes and threads may share one. A line that can't be written stays in memory, and goes to
    the file before the next write is sent; until then none is sent. Raises `AuditLogError` at once
    if the file can't be written, or if others may change or swap it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self.path = named_path(path)
        except OSError as error:
            raise AuditLogError(self._unusable(error)) from None
        self._lock = threading.Lock()
        self._waiting: list[str] = []
        self._problem: AuditLogError | None = None
        # Fails now, before the first request, rather than with an answer in hand.
        self.require()

    def __repr__(self) -> str:
        return f"<AuditLog {self.path}>"

    @property
    def problem(self) -> AuditLogError | None:
        """Why a write that was sent is not in the file yet; None if all are."""
        return self._problem if self._waiting else None

    def require(self) -> None:
        """Raises `AuditLogError` if the next line can't be written, so that nothing is sent."""
        with self._lock:
            try:
                self._append()
            except OSError as error:
                raise AuditLogError(f"{self._unusable(error)}. Nothing was sent") from None

    def append(self, record: Mapping[str, Any]) -> AuditLogError | None:
        """Writes a record without secrets, and syncs it; returns the error, if any."""
        line = encode_any_json(dict(record))
        with self._lock:
            self._waiting.append(line)
            try:
                self._append()
            except OSError as error:
                self._problem = AuditLogError(
                    f"{self._unusable(error)}: a write that was sent isn't recorded yet, and "
                    "no other write is sent until it is"
                )
                log.warning("%s", self._problem)
        return self.problem

    def _append(self) -> None:
        require_appendable(self.path, forbidden=READABLE)
        while self._waiting:
            append_line(self.path, self._waiting[0], forbidden=READABLE)
            del self._waiting[0]

    def _unusable(self, error: OSError) -> str:
        return f"the audit log {self.path} can't be used: {error.strerror or 'unknown error'}"


def chosen_log(path: str | os.PathLike[str] | None) -> AuditLog | None:
    """The log that an option names, else the environment variable, else None."""
    named = path or os.environ.get(ENVIRONMENT, "").strip()
    return AuditLog(named) if named else None


@dataclass
class Tally:
    """How many requests one write took, with retries, and the HTTP status of the last, if any."""

    requests: int = 0
    status: int | None = None


_tally: ContextVar[Tally | None] = ContextVar("vercel_sql_tally", default=None)


def count_request(method: Method, status: int | None) -> None:
    """Counts a request towards the write that it belongs to, if any."""
    tally = _tally.get()
    if tally is not None and not method.reads:
        tally.requests += 1
        tally.status = status


class Auditor:
    """Records the writes of one client."""

    def __init__(self, client: Client, log: AuditLog) -> None:
        self.log = log
        self._client = client
        self._accounts: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Auditor: {self.log!r}>"

    def audited(self, request: Request, bearer: str | None, send: Callable[[], Answer]) -> Answer:
        """Sends a write and records its outcome; an answer that could not be recorded says so.

        Raises `AuditLogError` if the log can't be written, and then nothing was sent.
        """
        self.log.require()
        about = self._about(request, bearer)
        tally = Tally()
        token = _tally.set(tally)
        try:
            answer = send()
        except BaseException as error:
            self._note(about, tally, _outcome(error, tally), _given_key(request))
            raise
        finally:
            _tally.reset(token)
        content = _content(answer)
        outcome: Outcome = "unknown" if content is None else "done"
        key = _made_key(request, content) or _given_key(request)
        problem = self._note(about, tally, outcome, key)
        return answer if problem is None else replace(answer, unnoted=problem)

    def _about(self, request: Request, bearer: str | None) -> dict[str, Any]:
        """What is known before the write is sent, in the order of the line."""
        method, source = request.method, self._client.credential.source
        credential = None if bearer is None else {"source": source, "sha256": fingerprint(bearer)}
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
        """The account that the write is sent for; asked once per credential."""
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
                        return _nobody(f"not asked: {type(error).__name__}")  # asked next time
                    account = _nobody(f"not told: {error.status}")
                else:
                    account = {"id": found.key, "name": found.name, "reason": None}
                self._accounts[key] = account
            return self._accounts[key]

    def _note(
        self, about: dict[str, Any], tally: Tally, outcome: Outcome, key: str | None
    ) -> AuditLogError | None:
        shown = None if key is None else self._client.redactor.mask(key)[:_LONGEST]
        sent = {"status": tally.status, "outcome": outcome, "requests": tally.requests}
        return self.log.append({**about, "id": shown, **sent})


def _nobody(reason: str) -> dict[str, Any]:
    return {"id": None, "name": None, "reason": reason}


def _outcome(error: BaseException, tally: Tally) -> Outcome:
    if tally.requests == 0:
        return "not sent"
    if not is_unsent(error):
        return "unknown"
    return "refused" if isinstance(error, APIError) else "not sent"


def _content(answer: Answer) -> dict[str, Any] | None:
    """The answer's JSON object, or None: then it may be anybody's page."""
    try:
        content = decode_json(answer.body)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _made_key(request: Request, content: dict[str, Any] | None) -> str | None:
    trace = request.method.trace
    found = None if trace is None else value_at(content, trace.key)
    return found if isinstance(found, str) else None


def _given_key(request: Request) -> str | None:
    for parameter in request.method.given:
        is_secret_key = request.method.verb == "delete" and parameter.required and parameter.secret
        if parameter.location == "path" or is_secret_key:
            return MASK if parameter.secret else str(request.given[parameter.name])
    return None
