"""The simulated API as one ASGI application: every request's way from the wire and back."""

import asyncio
import logging
from typing import Any
from urllib.parse import parse_qsl, unquote
from uuid import uuid4

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from vercel_sql.simulator._account_endpoints import AccountEndpoints
from vercel_sql.simulator._answers import Answer, instead, spoil
from vercel_sql.simulator._consent_endpoints import ConsentEndpoints
from vercel_sql.simulator._control import PREFIX, Control
from vercel_sql.simulator._delivery import deliver, send_whole
from vercel_sql.simulator._endpoints import Exchange, Gate
from vercel_sql.simulator._errors import ApiError
from vercel_sql.simulator._faults import Fault, Faults
from vercel_sql.simulator._grant_endpoint import GrantEndpoint
from vercel_sql.simulator._history import within
from vercel_sql.simulator._hosts import refusal
from vercel_sql.simulator._integration_endpoints import IntegrationEndpoints
from vercel_sql.simulator._limits import RateLimiter
from vercel_sql.simulator._login_endpoints import LoginEndpoints
from vercel_sql.simulator._oauth import OAuth
from vercel_sql.simulator._oauth_control import OAuthControl
from vercel_sql.simulator._oauth_endpoints import OAuthEndpoints
from vercel_sql.simulator._oauth_errors import OAuthError, PageError, RedirectError
from vercel_sql.simulator._records import ReceivedRequest, Recorder
from vercel_sql.simulator._state import State
from vercel_sql.simulator._token_endpoints import TokenEndpoints

_log = logging.getLogger(__name__)


class SimulatedApi:
    """The ASGI application.

    It routes by the path as it was on the wire, so that an encoded slash stays within its
    segment, and holds every answer back whole, so that faults can spoil it.
    """

    def __init__(
        self,
        state: State,
        oauth: OAuth,
        limiter: RateLimiter,
        faults: Faults,
        recorder: Recorder,
        latency_ms: int,
    ) -> None:
        self._state = state
        self._faults = faults
        self._recorder = recorder
        self._latency_ms = latency_ms
        gate = Gate(state, limiter)
        self._app = Starlette(
            routes=[
                *TokenEndpoints(gate).routes(),
                *AccountEndpoints(gate).routes(),
                *LoginEndpoints(gate).routes(),
                *IntegrationEndpoints(gate, oauth).routes(),
                *OAuthEndpoints(gate, oauth).routes(),
                *GrantEndpoint(gate, oauth).routes(),
                *ConsentEndpoints(gate, oauth).routes(),
                *Control(state, faults, recorder).routes(),
                *OAuthControl(state, oauth).routes(PREFIX),
            ],
            exception_handlers={
                **dict.fromkeys((ApiError, OAuthError, PageError, RedirectError), _refusal),
                HTTPException: _routing_error,
            },
        )
        self._app.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        if reason := refusal(scope):
            await send_whole(Answer.of(ApiError(403, reason).response()), send)
            return
        path = _path_on_the_wire(scope)
        body = await _read(receive)
        if body is None:
            return  # the caller left before the request was whole
        routed = {**scope, "path": path, "raw_path": path.encode("latin-1")}
        if path.startswith(PREFIX):
            answer = await self._run(routed, body)
            answer.add_date(self._state.clock.http_date())
            await send_whole(answer, send)
            return
        try:
            await self._simulate(routed, body, receive, send)
        except asyncio.CancelledError:
            return  # the server stops, and has closed the connection already

    async def _simulate(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        record = self._record(scope, body)
        cursor = dict(record.query).get("until")
        text = body.decode(errors="replace")
        due = self._faults.take(record.method, record.path, text, has_cursor=cursor is not None)
        record.faults = [fault.kind for fault in due]
        await _pause(self._latency_ms + _latency_ms(due, acts_first=False))
        exchange = self._exchange(record)
        exchange.put_into(scope)
        end = next((fault for fault in due if fault.decisive), None)
        with within(record.index):
            answer = await self._answer(scope, body, end)
        await _pause(_latency_ms(due, acts_first=True))
        if answer is not None:
            answer.set_headers({"X-Vercel-Id": f"dev1::{uuid4().hex}", **exchange.headers})
            answer = _spoiled(answer, due, cursor)
            answer.add_date(self._state.clock.http_date(_skew_seconds(due)))
        await deliver(answer, end, record, scope, receive, send)

    def _record(self, scope: Scope, body: bytes) -> ReceivedRequest:
        """Write down a request as it came."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        record = ReceivedRequest(
            index=0,
            time_ms=self._state.clock.now_ms(),
            method=scope["method"],
            path=scope["path"],
            decoded_path=unquote(scope["path"]),
            query=parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True),
            headers=headers,
        )
        record.read_body(body)
        self._recorder.add(record)
        return record

    def _exchange(self, record: ReceivedRequest) -> Exchange:
        """Find out who calls: only now, since a token may have died while the request waited."""
        caller = self._state.identify(record.headers.get("authorization"))
        record.token_id = None if isinstance(caller, ApiError) else caller.id
        return Exchange(record, caller)

    async def _answer(self, scope: Scope, body: bytes, end: Fault | None) -> Answer | None:
        """Act, unless a fault forbids it; give None where there is to be no answer."""
        acted = await self._run(scope, body) if end is None or end.acts else None
        if end is not None and end.kind in ("status", "redirect"):
            return instead(end)
        return acted

    async def _run(self, scope: Scope, body: bytes) -> Answer:
        """Run the endpoint and catch its whole answer."""
        caught = _Catcher()
        try:
            await self._app(scope, _replay(body), caught)
        except Exception:  # Starlette raises again what it has answered with a 500
            _log.exception("The simulated API failed at %s %s", scope["method"], scope["path"])
            return Answer.of(ApiError(500).response())
        return caught.answer


class _Catcher:
    """An ASGI `send` that keeps the answer."""

    def __init__(self) -> None:
        self.answer = Answer(500, [], b"")

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.answer.status = message["status"]
            self.answer.headers = list(message["headers"])
        else:
            self.answer.body += message.get("body", b"")


def _path_on_the_wire(scope: Scope) -> str:
    """Give the percent-encoded path, also from the absolute form in which proxies are asked."""
    path = bytes(scope["raw_path"]).decode("latin-1")
    if path.startswith("http://"):
        _, slash, rest = path.removeprefix("http://").partition("/")
        return slash + rest
    return path


async def _read(receive: Receive) -> bytes | None:
    """Read the whole body; None where the caller closed the connection before its end."""
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


def _replay(body: bytes) -> Receive:
    """Make an ASGI `receive` that gives a body that was read already."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _latency_ms(due: list[Fault], *, acts_first: bool) -> int:
    """Add up how long faults let a request wait, before or after the server acts."""
    waits = [fault.options for fault in due if fault.kind == "latency"]
    return sum(each["ms"] for each in waits if each.get("acts_first", False) is acts_first)


def _skew_seconds(due: list[Fault]) -> float:
    """Add up by how much faults set the answer's date wrong."""
    skews: list[float] = [each.options["seconds"] for each in due if each.kind == "clock_skew"]
    return sum(skews)


async def _pause(milliseconds: int) -> None:
    if milliseconds:
        await asyncio.sleep(milliseconds / 1000)


def _spoiled(answer: Answer, due: list[Fault], cursor: str | None) -> Answer:
    """Let the faults have their turn; one that does not fit the answer shows as a 500."""
    for fault in due:
        try:
            spoil(answer, fault, cursor)
        except (LookupError, ValueError) as error:
            message = f"The {fault.kind} fault does not fit the answer: {error}"
            return Answer.of(ApiError(500, message).response())
    return answer


async def _refusal(_request: Request, error: Any) -> Response:
    response: Response = error.response()
    return response


async def _routing_error(_request: Request, error: Any) -> Response:
    message = "Not found: no such endpoint" if error.status_code == 404 else None
    return ApiError(error.status_code, message, headers=error.headers).response()
