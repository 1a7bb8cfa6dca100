"""The HTTP client: sends the manifest's methods, guards what may change something, and retries."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from vercel_sql.api import retries
from vercel_sql.api.answer import Answer
from vercel_sql.api.cancel_scope import GRACE, CancelScope, LimitWaits, checked_seconds
from vercel_sql.api.connections import Connections, close_when_dropped
from vercel_sql.api.credentials import TokenSource
from vercel_sql.api.discovery import located
from vercel_sql.api.doubts import Doubts
from vercel_sql.api.events import PageEvent, RequestEvent
from vercel_sql.api.exchange import Received, exchange, longest, not_whole
from vercel_sql.api.leaving import SentScope
from vercel_sql.api.limits import RateBudgets
from vercel_sql.api.logger import logger
from vercel_sql.api.observers import Observers
from vercel_sql.api.proofs import Proofs
from vercel_sql.api.redaction import KnownSecrets
from vercel_sql.api.redaction.unpickled import HoldsSecrets
from vercel_sql.api.refusals import refused
from vercel_sql.api.requests import Request
from vercel_sql.api.server_clock import ServerClock
from vercel_sql.api.servers import Servers
from vercel_sql.api.transport import base_url
from vercel_sql.api.windows import Told
from vercel_sql.errors import (
    APIError,
    CircuitOpenError,
    Error,
    ForbiddenError,
    InterfaceError,
    ReadOnlyError,
    UnauthorizedError,
)
from vercel_sql.ledger.audit_log import AuditLog, Auditor, count_request
from vercel_sql.ledger.journal import CreateResults, JournalHandle, journaled, release_all
from vercel_sql.manifest import Method, Provider

if TYPE_CHECKING:
    import httpx

    from vercel_sql.api.diagnosis import Diagnosis

log = logger("api")
_own_scope: ContextVar[CancelScope | None] = ContextVar("vercel_sql_scope", default=None)


class Client(HoldsSecrets):
    """Calls the methods of one provider with one credential; threads may share it.

    Attributes:
        pages: who is told of each page of a listing.
        servers: what is known of the servers that it calls.
        proofs: what its answers have shown, to tell whose answer the next one is.
        connections: what the requests go out on.
        doubts: tells of values that could not be decoded exactly.
        create_results: answers that showed a secret, until whoever asked has surely had them.
        auditor: notes every write in the audit log; None where there is none.
    """

    def __init__(
        self,
        provider: Provider,
        credential: TokenSource,
        *,
        urls: Mapping[str, str] | None = None,
        read_only: bool = False,
        request_timeout: float = 30.0,
        attempts: int = 5,
        max_wait: float | None = None,
        audit_log: AuditLog | None = None,
    ) -> None:
        given = urls or {}
        self.provider = provider
        self.credential = credential
        self.redactor = KnownSecrets()
        self.urls = {
            name: base_url(server, given.get(name)) for name, server in provider.servers.items()
        }
        self.servers = Servers(self.urls)
        self._max_wait = max_wait
        self._attempts = attempts
        self._request_timeout = checked_seconds("request_timeout", request_timeout)
        self._scope: CancelScope | None = None
        self._idle = CancelScope(waits=LimitWaits(max_wait, adds_up=False))
        self._read_only = read_only
        self.auditor = Auditor(self, audit_log) if audit_log is not None else None
        self._guards = 0
        self.pages, self.doubts = Observers[PageEvent](), Doubts()
        self.create_results = CreateResults()
        self._observers = Observers[RequestEvent]()
        self._lock = threading.Lock()
        self.connections = Connections()
        close_when_dropped(self, self.connections)
        self.proofs = Proofs(provider.answer_id)
        self.redactor.add(credential.token)

    def __repr__(self) -> str:
        mode = "read-only " if self.read_only else ""
        return f"<{mode}Client of {self.urls['api']}, token from {self.credential.source}>"

    @property
    def read_only(self) -> bool:
        """Whether what changes anything is refused now."""
        return self._read_only or self._guards > 0

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Makes the client read-only while the context lasts."""
        with self._lock:
            self._guards += 1
        try:
            yield
        finally:
            with self._lock:
                self._guards -= 1

    def observed(self, observer: Callable[[RequestEvent], None]) -> AbstractContextManager[None]:
        """Tells an observer of every request that is sent while the context lasts."""
        return self._observers.told(observer)

    def clock(self, server: str) -> ServerClock:
        """What time it is at a server of the manifest, such as a method's ``server``."""
        return self.servers.clock(server)

    @property
    def scope(self) -> CancelScope:
        """How long the statement that runs may go on; where none does, there is no limit."""
        return self._scope or self._idle

    @scope.setter
    def scope(self, scope: CancelScope) -> None:
        self._renew_after(self.scope)
        self._scope = scope

    def leave_scope(self) -> None:
        """No statement runs from now on: its end is not that of who uses DuckDB itself."""
        self._renew_after(self.scope)
        self._scope = None

    def interrupt_idle(self) -> None:
        """Ends what is under way outside of statements, and nothing that begins later."""
        idle, self._idle = self._idle, self._idle.successor()
        idle.cancel()

    def _renew_after(self, scope: CancelScope) -> None:
        if scope.is_over:
            # What it left behind must not hold the connections that the next one needs.
            self.connections.renew()

    @property
    def current_scope(self) -> CancelScope:
        """What limits the calls of this thread: the statement's scope, or one of their own."""
        return _own_scope.get() or self.scope

    @contextmanager
    def apart(self, scope: CancelScope) -> Iterator[None]:
        """Limits this thread's calls by a scope of their own, whatever becomes of the statement."""
        token = _own_scope.set(scope)
        try:
            yield
        finally:
            _own_scope.reset(token)

    def adopt(self, credential: TokenSource) -> None:
        """Makes the calls with another credential from now on."""
        self.redactor.add(credential.token)
        self.credential = credential

    def twin(self) -> Client:
        """A client like this one, whose observers and guards are its own, and its connections."""
        twin = Client(
            self.provider,
            self.credential,
            urls=self.urls,
            read_only=self._read_only,
            request_timeout=self._request_timeout,
            attempts=self._attempts,
            max_wait=self._max_wait,
        )
        twin.auditor, twin.redactor, twin.proofs = self.auditor, self.redactor, self.proofs
        twin.doubts = self.doubts
        return twin

    def close(self) -> None:
        """Closes it for good; whatever secrets its answers showed count as taken from now on."""
        self.connections.close()
        self.create_results.settle()
        release_all()

    def refuse_if_read_only(self, method: Method) -> None:
        """The guard that everything rests on that must not change anything."""
        if self.read_only and not method.reads:
            raise ReadOnlyError(
                f"vercel.{method.resource}: {method.name} changes something, "
                "and this connection is read-only"
            )

    def refuse_unsendable(self, method: Method) -> None:
        """Finds out before the first request whether a method can be called at all.

        A method that changes something passes under `guarded`, where it is only prepared.
        """
        if not self._guards:
            self.refuse_if_read_only(method)
        if method.auth and self.credential.fresh is None:
            # It may wait for the keyring.
            needed_by = f"vercel.{method.resource}: {method.name}"
            self.current_scope.run(partial(self.credential.require, needed_by))

    def complete(self, request: Request) -> Request:
        """The request as it goes out: where discovery says, and with an installation's team."""
        request = located(self, request)
        team, method = self.credential.team_id, request.method
        uses_own = method.auth and request.authorization is None
        is_settled = method.refused("teamId") or "teamId" in dict(request.query)
        if team is None or not uses_own or is_settled:
            return request
        return replace(request, query=(*request.query, ("teamId", team)))

    def send(self, request: Request, handle: JournalHandle | None = None) -> Answer:
        """Sends a request, again where that is safe, and gives the answer with status 2xx."""
        request = self.complete(request)
        self.refuse_if_read_only(request.method)
        for secret in request.secrets:
            self.redactor.add(secret)
        bearer = self._own_bearer(request)
        handle = handle or JournalHandle()
        if self.auditor is None or request.method.reads:
            return self._send_renewing(request, bearer, handle)
        send = partial(self._send_renewing, request, bearer, handle)
        return self.auditor.audited(request, bearer, send)

    def _send_renewing(self, request: Request, bearer: str | None, handle: JournalHandle) -> Answer:
        """Sends a request, once more with another token where its own is dead."""
        try:
            return self._send_noted(request, bearer, handle)
        except (UnauthorizedError, ForbiddenError) as refused:
            renewed = self._renewed(bearer, refused)
            if renewed is None:
                raise
        # The API refused to act for a dead token, so that even a write may be sent again.
        return self._send_noted(request, renewed, handle)

    def _own_bearer(self, request: Request) -> str | None:
        """The connection's own token, where the request goes out with it."""
        if request.authorization is not None or not request.method.auth:
            return None
        needed_by = f"vercel.{request.method.resource}: {request.method.name}"
        bearer = self.credential.fresh
        if bearer is None:
            # It may wait for the authorization server, or for another process that renews it.
            bearer = self.current_scope.run(partial(self.credential.bearer, needed_by))
        self.redactor.add(bearer)
        return bearer

    def _renewed(self, bearer: str | None, refused: APIError) -> str | None:
        """Another token, where the request was refused because its own is dead."""
        if bearer is None or not refused.is_dead:
            return None
        renewed = self.current_scope.run(partial(self.credential.renew, bearer))
        self.redactor.add(renewed)
        return renewed

    def _send_noted(self, request: Request, bearer: str | None, handle: JournalHandle) -> Answer:
        """Sends a request; what makes a secret is in the journal before it goes out."""
        method = request.method
        if not method.makes_secret:
            return self._send_retrying(request, bearer)
        url, clock = self.urls[method.server], self.clock(method.server)
        self.connections.prepare(url)
        with journaled(request, url, clock, bearer, self.redactor, handle):
            return self._send_retrying(request, bearer)

    def _send_retrying(self, request: Request, bearer: str | None) -> Answer:
        ask = partial(self._ask, request, _headers(request, bearer))
        return self.proofs.believed(request.method, ask)

    def _ask(self, request: Request, headers: httpx.Headers) -> Answer:
        """Sends a request, again where that is safe."""
        attempts = retries.Attempts(request.method, self._attempts)
        while True:
            try:
                return self._send_in_turn(request, headers, attempts.number)
            except Error as error:
                seconds = attempts.next_after(error)
                if seconds is None:
                    raise
                status = error.status if isinstance(error, APIError) else None
            self._pause(request, status, seconds)

    def _send_in_turn(self, request: Request, headers: httpx.Headers, attempt: int) -> Answer:
        """Sends a request once the rate limit allows it."""
        method, clock = request.method, self.clock(request.method.server)
        authorization = headers.get("Authorization")
        budgets = self.servers.budgets(method, authorization)
        turn = budgets.wait(method, clock, self.current_scope)
        received: Received | None = None
        began = time.monotonic()
        try:
            received = self._send_once(request, headers, attempt)
        finally:
            budgets.end(method, turn, clock, received)
        return self._judged(request, received, authorization, began)

    def _send_once(self, request: Request, headers: httpx.Headers, attempt: int) -> Received:
        """Sends a request once, unless its server is left alone."""
        import httpx

        circuit = self.servers.circuit(request.method.server)
        admitted = circuit.admit()
        if isinstance(admitted, str):
            raise self._not_admitted(request, admitted)
        failure: str | None = None
        received: Received | None = None
        started = time.perf_counter()
        try:
            received = self._exchange(request, headers)
        except httpx.HTTPError as error:
            found = self._diagnosed(request, error)
            # What our own time-out or pool cut short says nothing about the server.
            failure = None if found.own or self.current_scope.is_over else found.reason
            base = self.urls[request.method.server]
            from vercel_sql.api.diagnosis import no_answer

            raise no_answer(request, base, found, self.redactor) from None
        finally:
            elapsed = time.perf_counter() - started
            circuit.judge(admitted, failure, received.status if received else None)
            self._tell(request, received, elapsed * 1000, attempt)
        self.clock(request.method.server).learn(received.headers.get("date"), elapsed)
        return received

    def _exchange(self, request: Request, headers: httpx.Headers) -> Received:
        """Sends a request once; what only reads is given up at once where its scope ends."""
        scope, method = self.current_scope, request.method
        scope.check()
        url, (each, altogether) = self.urls[method.server], self._waits(method)

        def act() -> Received:
            with self.connections.lent(url, request.line) as connections:
                received = exchange(
                    connections,
                    method.http,
                    url + request.target,
                    content=request.content,
                    headers=headers,
                    timeout=each,
                    wanted=lambda: not (method.reads and scope.is_over),
                )
            if received.is_spent:
                self.connections.drop(request.line)
            return received

        try:
            # The answer to a write is waited for, and kept, also where nobody waits for us.
            return (scope if method.reads else SentScope()).run(act, altogether)
        except TimeoutError:
            self.connections.renew()
            raise not_whole(altogether) from None
        except RuntimeError:
            if not self.connections.closed:
                raise
            raise InterfaceError("the connection was closed while a request was made") from None

    def _waits(self, method: Method) -> tuple[float, float]:
        """How many seconds each wait for bytes may take, and a request altogether.

        A create ends soon after its statement, since what came of it is looked up then.
        """
        scope, seconds = self.current_scope, self._request_timeout
        left = scope.remaining()
        if method.reads:
            return scope.within(seconds), longest(seconds)
        if method.trace is None or left is None:
            return seconds, longest(seconds)
        return min(seconds, left + GRACE), min(longest(seconds), left + GRACE)

    def _diagnosed(self, request: Request, error: httpx.HTTPError) -> Diagnosis:
        from vercel_sql.api.diagnosis import diagnose

        server, scope = request.method.server, self.current_scope
        return diagnose(
            error,
            self.urls[server],
            self._request_timeout,
            f"--{server}-url",
            is_late=scope.is_over and not scope.is_cancelled,
        )

    def _not_admitted(self, request: Request, reason: str) -> CircuitOpenError:
        """The error for a request to a server that is left alone; it was not sent."""
        method, path = request.method, self.redactor.mask(request.path)
        return CircuitOpenError(
            f"vercel.{method.resource}: {method.name} was not sent ({method.http} {path}): "
            f"{self.servers.host(method.server)} {self.redactor.mask(reason)}",
            method=method.http,
            path=path,
        )

    def _judged(
        self, request: Request, received: Received, authorization: str | None, began: float
    ) -> Answer:
        """The answer, where its status is 2xx, it can be read, and it is the request's own."""
        status, headers = received.status, received.headers
        origin = self.servers.origin(request.method.server)
        answer = Answer(request, status, headers, received.body, self.redactor, origin.host)
        if self.proofs.is_replayed(request, headers, received.body):
            raise answer.mismatched("the same answer came before")
        if 200 <= status < 300:
            if received.problem is not None:
                raise answer.unusable(received.problem)
            self.proofs.check(answer, authorization)
            return answer
        error = refused(self, answer, origin, authorization, began)
        if retries.is_over_limit(error) and retries.may_retry(request.method, error):
            budgets = self.servers.budgets(request.method, authorization)
            budgets.refused(request.method, error.retry_after)
        raise error

    def _pause(self, request: Request, status: int | None, seconds: float) -> None:
        """Waits before a request is sent again."""
        self.connections.drop(request.line)
        if seconds:
            reason = f"status {status}" if status is not None else "no answer"
            log.info("%s: sent again in %.1f s", reason, seconds)
            self.current_scope.sleep(seconds, what="the request is to be sent again")

    def budgets(self, method: Method) -> RateBudgets:
        """The rate budgets of the connection's own token at a method's server."""
        bearer = self.credential.token if method.auth else None
        return self.servers.budgets(method, f"Bearer {bearer}" if bearer else None)

    def _tell(
        self, request: Request, received: Received | None, milliseconds: float, attempt: int
    ) -> None:
        """Counts a write that was sent, and tells observers and the log of any request."""
        status = received.status if received is not None else None
        if not request.method.reads:
            count_request(request.method, status)
        is_logged = log.isEnabledFor(logging.DEBUG)
        if not self._observers and not is_logged:
            return
        event = RequestEvent.of(request, self.redactor.mask, status, milliseconds, attempt)
        if is_logged:
            left = Told.read(received.headers) if received is not None else None
            log.debug("%s", event.in_words(left))
        self._observers.tell(event)


def _headers(request: Request, bearer: str | None) -> httpx.Headers:
    import httpx

    # httpx's own type, whose repr masks the authorization wherever our variables are shown.
    headers = httpx.Headers()
    if request.authorization is not None:
        headers["Authorization"] = request.authorization
    elif bearer is not None:
        headers["Authorization"] = f"Bearer {bearer}"
    if request.body is not None:
        headers["Content-Type"] = request.content_type
    return headers
