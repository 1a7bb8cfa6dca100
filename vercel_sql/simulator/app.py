"""The simulated API as one ASGI application: every request's way from the wire and back."""

import asyncio
import logging
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from vercel_sql.simulator import account, login
from vercel_sql.simulator.answers import deliver, instead, send_whole, spoil
from vercel_sql.simulator.control import PREFIX, Control
from vercel_sql.simulator.endpoints import Call, Endpoint, permit
from vercel_sql.simulator.faults import Fault, Faults
from vercel_sql.simulator.integrations import IntegrationEndpoints
from vercel_sql.simulator.limits import RateLimiter
from vercel_sql.simulator.messages import ApiError, RefusalError
from vercel_sql.simulator.models import ReceivedRequest
from vercel_sql.simulator.oauth import OAuth
from vercel_sql.simulator.oauth_endpoints import OAuthEndpoints
from vercel_sql.simulator.store import State

_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")

_log = logging.getLogger(__name__)


class SimulatedApi:
    """The ASGI application.

    It routes by the raw path, so that an encoded slash stays within its segment, and buffers
    every answer, so that faults can change it.
    """

    def __init__(
        self,
        state: State,
        oauth: OAuth,
        limiter: RateLimiter,
        faults: Faults,
        latency_ms: int,
    ) -> None:
        self._state = state
        self._limiter = limiter
        self._faults = faults
        self._latency_ms = latency_ms
        # One module per domain, which nobody else imports.
        self._endpoints: list[Endpoint] = [
            *account.ENDPOINTS,
            *login.ENDPOINTS,
            *IntegrationEndpoints(oauth).endpoints,
            *OAuthEndpoints(oauth).endpoints,
            *oauth.consents.endpoints,
            *Control(oauth, faults).endpoints,
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        if reason := _refusal(scope):
            await send_whole(ApiError(403, reason).response, send)
            return
        path = _path_on_the_wire(scope)
        body = await _read(receive)
        if body is None:
            return  # the caller left before the request was whole
        routed = {**scope, "path": path, "raw_path": path.encode("latin-1")}
        if path.startswith(PREFIX):
            answer = self._run(Call(Request(routed), body, self._state, ApiError(403)))
            answer.headers["Date"] = self._state.clock.http_date()
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
        # Only now, since a token may have died while the request waited.
        caller = self._state.identify(record.headers.get("authorization"))
        record.token_id = None if isinstance(caller, ApiError) else caller.id
        call = Call(Request(scope), body, self._state, caller)
        end = next((fault for fault in due if fault.decisive), None)
        answer = self._run(call, record) if end is None or end.acts else None
        if end is not None and end.kind in ("status", "redirect"):
            answer = instead(end)
        await _pause(_latency_ms(due, acts_first=True))
        if answer is not None:
            answer.headers.update({"X-Vercel-Id": f"dev1::{uuid4().hex}", **call.rate_headers})
            answer = _spoiled(answer, due, cursor)
            answer.headers.setdefault("Date", self._state.clock.http_date(_skew_seconds(due)))
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
        with self._state.lock:
            record.index = len(self._state.received)
            self._state.received.append(record)
        return record

    def _run(self, call: Call, record: ReceivedRequest | None = None) -> Response:
        """Let an endpoint answer; what is recorded is limited too, and needs credentials."""
        try:
            endpoint = self._route(call)
            if record is not None:
                call.rate_headers = self._limiter.take(endpoint.name)
            with self._state.lock:
                self._state.serving = None if record is None else record.index
                try:
                    if endpoint.act is not None:
                        permit(call, endpoint.act)
                    answer = endpoint.handler(call)
                finally:
                    self._state.serving = None
        except RefusalError as error:
            return error.response
        except Exception:
            _log.exception("The simulated API failed at %s", call.request.url)
            return ApiError(500).response
        if record is not None:
            record.acted = True
        return answer

    def _route(self, call: Call) -> Endpoint:
        """Find the endpoint of a path and method, and note the parts of the path."""
        of_other_method: Endpoint | None = None
        for endpoint in self._endpoints:
            match, found = endpoint.matches(call.request.scope)
            if match is Match.FULL:
                call.request.scope.update(found)
                return endpoint
            if match is Match.PARTIAL:
                of_other_method = of_other_method or endpoint
        if of_other_method is None:
            raise ApiError(404, "Not found: no such endpoint")
        raise ApiError(405, headers={"Allow": ", ".join(of_other_method.methods or ())})


def _refusal(scope: Scope) -> str | None:
    """Say why a request is refused; None if it is from this machine, and meant for it.

    A page may point the name of its own server to this machine (DNS rebinding). The browser then
    sends its requests here, with that name as their host, and with the page's origin.
    """
    headers = scope["headers"]
    hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
    # HTTP/1.0 knows no host, and no browser speaks it.
    if len(hosts) > 1 or not all(_is_local(f"//{host}") for host in hosts):
        return "The simulated API answers at localhost, 127.0.0.1 and [::1] only"
    origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
    if not all(_is_local(origin) for origin in origins):
        return "The simulated API does not answer pages of other origins"
    return None


def _is_local(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_whole = parts.port != 0 and parts.username is None
    except ValueError:  # brackets without an address, a port that is not a number
        return False
    return is_whole and parts.hostname in _LOCAL_NAMES


def _path_on_the_wire(scope: Scope) -> str:
    """Give the percent-encoded path, also from the absolute form in which proxies are asked."""
    path = bytes(scope["raw_path"]).decode("latin-1")
    if path.startswith("http://"):
        _, slash, rest = path.removeprefix("http://").partition("/")
        return slash + rest
    return path


async def _read(receive: Receive) -> bytes | None:
    """Read the whole body; None if the caller closed the connection before its end."""
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


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


def _spoiled(answer: Response, due: list[Fault], cursor: str | None) -> Response:
    """Let the faults have their turn; one that does not fit the answer shows as a 500."""
    for fault in due:
        try:
            spoil(answer, fault, cursor)
        except (LookupError, ValueError) as error:
            message = f"The {fault.kind} fault does not fit the answer: {error}"
            return ApiError(500, message).response
    return answer
