"""The HTTP client: sends the manifest's methods, guards what may change something, and retries."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from vercel_sql.errors import ReadOnlyError
from vercel_sql.http.answers import Answer, Origin
from vercel_sql.http.connections import Connections, base_url, close_when_dropped
from vercel_sql.http.discovery import Discovery, discoveries, located
from vercel_sql.http.events import Doubts, Observers, PageEvent, RequestEvent
from vercel_sql.http.handlers import Call, send
from vercel_sql.http.proofs import Proofs
from vercel_sql.http.rate_limits import RateBudgets, rate_budgets
from vercel_sql.http.requests import Request
from vercel_sql.http.server_clock import ServerClock, server_clocks
from vercel_sql.ledger.audit_log import AuditLog, Auditor
from vercel_sql.ledger.journal import CreateResults, JournalHandle, release_all
from vercel_sql.manifest import Method, Provider
from vercel_sql.redaction import KnownSecrets
from vercel_sql.redaction.known import NotPicklable
from vercel_sql.runtime.scope import CancelScope, LimitWaits, checked_seconds, own_scope, scoped

if TYPE_CHECKING:
    from vercel_sql.auth.credentials import Credential

# How many credentials' budgets a client keeps: its own, and those that requests bring along.
_MOST_BUDGETS = 8


class Servers:
    """A client's servers: their clocks, discovery documents and rate budgets.

    All clients of the process share these; they are forgotten with the last that asks the server.
    """

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = dict(urls)
        self._clocks = {name: server_clocks.get(url) for name, url in urls.items()}
        self._discoveries = {name: discoveries.get(url) for name, url in urls.items()}
        self._budgets: dict[tuple[str, bytes], RateBudgets] = {}
        self._lock = threading.Lock()

    def clock(self, name: str) -> ServerClock:
        """What time it is at a server."""
        return self._clocks[name]

    def discovery(self, name: str) -> Discovery:
        """What a server says of its endpoints."""
        return self._discoveries[name]

    def host(self, name: str) -> str:
        """A server's host."""
        return urlsplit(self._urls[name]).netloc

    def origin(self, name: str) -> Origin:
        """What the errors that a server answers are measured by."""
        clock = self._clocks[name]
        return Origin(clock.now_ms() / 1000, clock.note(self.host(name)))

    def budgets(self, method: Method, authorization: str | None) -> RateBudgets:
        """The rate budgets at a method's server of whoever sends that ``Authorization``."""
        key = self._urls[method.server], sha256((authorization or "").encode()).digest()
        with self._lock:
            found = self._budgets.pop(key, None) or rate_budgets.get(key)
            # Those of tokens that were replaced meanwhile go one by one.
            while len(self._budgets) >= _MOST_BUDGETS:
                del self._budgets[next(iter(self._budgets))]
            self._budgets[key] = found
        return found


class Client(NotPicklable):
    """Calls the methods of one provider with one credential; threads may share it."""

    def __init__(
        self,
        provider: Provider,
        credential: Credential,
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
        self.attempts = attempts
        self.request_timeout = checked_seconds("request_timeout", request_timeout)
        self._scope: CancelScope | None = None
        self._idle = CancelScope(waits=LimitWaits(max_wait, adds_up=False))
        self._read_only = read_only
        self.auditor = Auditor(self, audit_log) if audit_log is not None else None
        self._guards = 0
        self.pages, self.requests = Observers[PageEvent](), Observers[RequestEvent]()
        self.doubts = Doubts()
        self.create_results = CreateResults()
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
        return self.requests.subscribe(observer)

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
        """Cancels what runs outside of statements now, and nothing that begins later."""
        idle, self._idle = self._idle, self._idle.successor()
        idle.cancel()

    def _renew_after(self, scope: CancelScope) -> None:
        if scope.is_over:
            # What it left behind must not hold the connections that the next one needs.
            self.connections.renew()

    @property
    def current_scope(self) -> CancelScope:
        """The scope of this thread's calls: its own, else the statement's."""
        return own_scope() or self.scope

    def scoped(self, scope: CancelScope) -> AbstractContextManager[None]:
        """Limits this thread's calls by a scope of their own, whatever becomes of the statement."""
        return scoped(scope)

    def adopt(self, credential: Credential) -> None:
        """Makes the calls with another credential from now on."""
        self.redactor.add(credential.token)
        self.credential = credential

    def clone(self) -> Client:
        """A client like this one, whose observers and guards are its own, and its connections."""
        clone = Client(
            self.provider,
            self.credential,
            urls=self.urls,
            read_only=self._read_only,
            request_timeout=self.request_timeout,
            attempts=self.attempts,
            max_wait=self._max_wait,
        )
        clone.auditor, clone.redactor, clone.proofs = self.auditor, self.redactor, self.proofs
        clone.doubts = self.doubts
        return clone

    def close(self) -> None:
        """Closes the client; secrets that its answers showed count as received."""
        self.connections.close()
        self.create_results.settle()
        release_all()

    def refuse_if_read_only(self, method: Method) -> None:
        """Refuses a write where the client is read-only.

        This is the guard below everything that must not change anything.
        """
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
        """Sends a request, again where that is safe, and gives the answer with status 2xx.

        ``handle`` is given what the journal says of a secret that is made.
        """
        request = self.complete(request)
        self.refuse_if_read_only(request.method)
        for secret in request.secrets:
            self.redactor.add(secret)
        return send(Call(self, request, self._own_bearer(request), handle or JournalHandle()))

    def _own_bearer(self, request: Request) -> str | None:
        """The connection's own token, where the request goes out with it."""
        if request.authorization is not None or not request.method.auth:
            return None
        bearer = self.credential.fresh
        if bearer is None:
            # It may wait for the authorization server, or for another process that renews it.
            needed_by = f"vercel.{request.method.resource}: {request.method.name}"
            bearer = self.current_scope.run(partial(self.credential.bearer, needed_by))
        self.redactor.add(bearer)
        return bearer

    def budgets(self, method: Method) -> RateBudgets:
        """The rate budgets of the connection's own token at a method's server."""
        bearer = self.credential.token if method.auth else None
        return self.servers.budgets(method, f"Bearer {bearer}" if bearer else None)
