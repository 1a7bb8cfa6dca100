"""The simulated API: every request's way from the wire and back, and the endpoints that control it.

It routes by the raw path, so that an encoded slash stays within its segment, and makes every
answer whole before it is sent, so that faults can change it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import uuid4

import h11

from vercel_sql.simulator import account
from vercel_sql.simulator.endpoints import Call, Endpoint, RateLimiter, permit
from vercel_sql.simulator.faults import Fault, Faults, deliver, spoiled
from vercel_sql.simulator.messages import (
    FORM,
    ApiError,
    Connection,
    Object,
    RefusalError,
    Response,
    answer,
    decode,
    invalid,
    media_type,
)
from vercel_sql.simulator.models import ReceivedRequest, new_secret
from vercel_sql.simulator.oauth import OAuth
from vercel_sql.simulator.oauth_endpoints import IntegrationEndpoints, OAuthEndpoints
from vercel_sql.simulator.sessions import challenge_of
from vercel_sql.simulator.store import State

_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")

_log = logging.getLogger(__name__)


class SimulatedApi:
    """Answers the requests of connections."""

    def __init__(
        self, state: State, oauth: OAuth, limiter: RateLimiter, faults: Faults, latency_ms: int
    ) -> None:
        self._state = state
        self._limiter = limiter
        self._faults = faults
        self._latency_ms = latency_ms
        self._endpoints: list[Endpoint] = [
            *account.ENDPOINTS,
            *IntegrationEndpoints(oauth).endpoints,
            *OAuthEndpoints(oauth).endpoints,
            *oauth.endpoints,
            *Control(state, oauth, faults).endpoints,
        ]

    async def serve(self, connection: Connection) -> None:
        """Serve a connection until either side closes it."""
        with suppress(OSError, h11.ProtocolError):  # the caller left, or speaks no HTTP
            while received := await connection.receive():
                await self._serve(connection, *received)

    async def _serve(self, connection: Connection, request: h11.Request, body: bytes) -> None:
        if reason := _refusal(list(request.headers)):
            await connection.send(ApiError(403, reason).response)
            return
        record = self._read(request, body)
        call = Call(record, body, connection.url, self._state, ApiError(403))
        if record.path.startswith(PREFIX):
            controlled = self._run(call)
            controlled.set_headers({"Date": self._state.clock.http_date()})
            await connection.send(controlled)
            return
        with self._state.lock:
            record.index = len(self._state.received)
            self._state.received.append(record)
        cursor = dict(record.query).get("until")
        text = body.decode(errors="replace")
        due = self._faults.take(record.method, record.path, text, has_cursor=cursor is not None)
        record.faults = [fault.kind for fault in due]
        await _pause(self._latency_ms, due, acts_first=False)
        # Only now, since a token may have died while the request waited.
        call.identity = self._state.identify(record.headers.get("authorization"))
        if not isinstance(call.identity, ApiError):
            record.token_id = call.identity.id
        end = next((fault for fault in due if fault.decisive), None)
        shown: Response | None = None
        if end is None or end.acts:
            shown = self._run(call, record)
        if end is not None:
            shown = end.instead() or shown
        await _pause(0, due, acts_first=True)
        if shown is not None:
            shown.set_headers({"X-Vercel-Id": f"dev1::{uuid4().hex}", **call.rate_headers})
            shown = spoiled(shown, due, cursor)
            skews = [each.options["seconds"] for each in due if each.kind == "clock_skew"]
            shown.headers.setdefault("date", self._state.clock.http_date(sum(skews)))
        await deliver(shown, end, record, connection)

    def _read(self, request: h11.Request, body: bytes) -> ReceivedRequest:
        headers: dict[str, str] = {}
        for raw_name, raw_value in request.headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        path, _, query = request.target.decode("latin-1").partition("?")
        if path.startswith("http://"):  # the absolute form in which proxies are asked
            _, slash, rest = path.removeprefix("http://").partition("/")
            path = slash + rest
        record = ReceivedRequest(
            index=0,
            time_ms=self._state.clock.now_ms(),
            method=request.method.decode("latin-1"),
            path=path,
            decoded_path=unquote(path),
            query=parse_qsl(query, keep_blank_values=True),
            headers=headers,
        )
        if body:
            record.body = body.decode(errors="replace")
        if body and media_type(headers) == FORM:
            record.form = parse_qsl(record.body, keep_blank_values=True)
        elif body:
            with suppress(ValueError):  # else it is text
                record.body = decode(body)
        return record

    def _run(self, call: Call, record: ReceivedRequest | None = None) -> Response:
        """Let an endpoint answer; what is recorded is limited too, and needs credentials."""
        try:
            endpoint = self._route(call)
            if record is not None:
                call.rate_headers = self._limiter.take(endpoint)
            with self._state.lock:
                self._state.serving = None if record is None else record.index
                try:
                    if endpoint.act is not None:
                        permit(call, endpoint.act)
                    shown = endpoint.handler(call)
                finally:
                    self._state.serving = None
        except RefusalError as error:
            return error.response
        except Exception:
            _log.exception("The simulated API failed at %s", call.request.path)
            return ApiError(500).response
        if record is not None:
            record.acted = True
        return shown

    def _route(self, call: Call) -> Endpoint:
        """Find the endpoint of a path and method, and note the parts of the path."""
        allowed: list[str] = []
        for endpoint in self._endpoints:
            parts = endpoint.match(call.request.path)
            if parts is not None and call.request.method in endpoint.methods:
                call.parts = parts
                return endpoint
            if parts is not None:
                allowed = allowed or endpoint.methods
        if not allowed:
            raise ApiError(404, "Not found: no such endpoint")
        raise ApiError(405, headers={"Allow": ", ".join(allowed)})


def _refusal(headers: list[tuple[bytes, bytes]]) -> str | None:
    """Return why a request is refused; None if it is from this machine, and meant for it.

    A page may point the name of its own server to this machine (DNS rebinding). The browser then
    sends its requests here, with that name as their host, and with the page's origin.
    """
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


async def _pause(milliseconds: int, due: list[Fault], *, acts_first: bool) -> None:
    """Wait so long, and as long as faults say, before or after the server acts."""
    waits = [fault.options for fault in due if fault.kind == "latency"]
    milliseconds += sum(each["ms"] for each in waits if each.get("acts_first", False) is acts_first)
    if milliseconds:  # else nobody gets a turn in between
        await asyncio.sleep(milliseconds / 1000)


# Control

PREFIX = "/_simulator/"

_CODE_PROPERTIES: dict[str, type] = {
    **dict.fromkeys(("kind", "client_id", "redirect_uri", "team", "scope"), str),
    **dict.fromkeys(("nonce", "code_challenge", "state"), str),
    "age_seconds": float,
}


class Control:
    """The endpoints that control the simulated API; they have no records, limits or faults.

    GET shows what there is, POST changes it, and DELETE forgets it.
    """

    def __init__(self, state: State, oauth: OAuth, faults: Faults) -> None:
        self._state, self._oauth, self._faults = state, oauth, faults
        id_faults, installed = oauth.id_token_faults, state.installations.values()
        self.endpoints = [
            _endpoint("faults", lambda: {"faults": faults.all()}, self._add_faults, faults.clear),
            _endpoint("requests", _listing("requests", state.received), None, state.received.clear),
            _endpoint("history", _listing("history", state.events)),
            _endpoint("clients", _listing("clients", oauth.clients)),
            _endpoint("confirm", None, self._confirm),
            _endpoint("codes", None, self._mint_code),
            _endpoint("authorize", None, self._authorize),
            _endpoint("id_token", _listing("faults", id_faults), self._spoil, id_faults.clear),
            _endpoint("keys", None, self._rotate_keys),
            _endpoint("expire", None, self._expire),
            _endpoint("configurations", _listing("configurations", installed), self._disable),
            _endpoint("clock", lambda: {"now_ms": state.clock.now_ms()}, self._advance),
        ]

    def _add_faults(self, call: Call) -> None:
        """Add the faults of a list, or one."""
        try:
            given = decode(call.body)
        except ValueError:
            raise ApiError(400, "Invalid JSON") from None
        self._faults.add(given if isinstance(given, list) else [given])

    def _confirm(self, call: Call) -> Object:
        body = call.json({"email": str, "token": str})
        if len(body) != 1:
            raise invalid("either `email` or `token` is required.")
        return {"confirmed": self._state.confirm(**body)}

    def _mint_code(self, call: Call) -> Object:
        """Return a code as if the person had come back from the browser with it.

        An authorization code that is given no `code_challenge` comes with a `code_verifier`.
        """
        body = call.json(_CODE_PROPERTIES, "kind")
        proof = {}
        if body["kind"] == "authorization" and "code_challenge" not in body:
            proof["code_verifier"] = new_secret(self._state.random, 64)
            body["code_challenge"] = challenge_of(proof["code_verifier"])
        code = self._oauth.mint_code(**body)
        shown = {
            "code": code.code,
            "client_id": code.client_id,
            "redirect_uri": code.redirect_uri,
            "scope": " ".join(code.scopes),
            "state": code.state,
            "expires_at": code.expires_at,
        }
        if code.installation is not None:
            team_id = code.installation.team_id
            shown |= {"installation_id": code.installation.id, "team_id": team_id}
        return shown | proof

    def _authorize(self, call: Call) -> Object:
        """Answer for the person: an authorize `url`, or the device of a `user_code`."""
        body = call.json({"url": str, "user_code": str, "approve": bool})
        approve = body.pop("approve", True)
        if len(body) != 1:
            raise invalid("either `url` or `user_code` is required.")
        if "url" in body:
            return {"location": self._oauth.authorize(body["url"], approve=approve)}
        user_code = body["user_code"] or None
        return {"answered": self._oauth.authorize_device(user_code, approve=approve)}

    def _spoil(self, call: Call) -> None:
        body = call.json({"fault": str, "times": int, "claims": dict}, "fault")
        self._oauth.spoil_id_tokens(**body)

    def _rotate_keys(self, call: Call) -> Object:
        options = call.json({"keep_old": bool}) if call.body else {}
        return {"kid": self._oauth.rotate_keys(**options)}

    def _expire(self, call: Call) -> Object:
        self._oauth.expire_token(**call.json({"token": str}, "token"))
        return {"expired": True}

    def _disable(self, call: Call) -> None:
        body = call.json({"installation_id": str, "disabled": bool}, "installation_id")
        self._oauth.disable_configuration(**body)

    def _advance(self, call: Call) -> None:
        body = call.json({"advance_seconds": float}, "advance_seconds")
        self._state.clock.advance(body["advance_seconds"])


def _listing(name: str, held: Iterable[Any]) -> Callable[[], Object]:
    return lambda: {name: [asdict(each) for each in held]}


def _endpoint(
    name: str,
    show: Callable[[], Object] | None = None,
    change: Callable[[Call], Object | None] | None = None,
    forget: Callable[[], None] | None = None,
) -> Endpoint:
    def handle(call: Call) -> Response:
        shown = None
        try:
            if call.request.method == "DELETE" and forget is not None:
                forget()
            elif call.request.method == "POST" and change is not None:
                shown = change(call)
        except LookupError as error:
            raise ApiError(404, str(error)) from None
        except ValueError as error:
            raise invalid(str(error)) from None
        return answer(shown or (show and show()) or {})

    does = {"GET": show, "POST": change, "DELETE": forget}
    methods = " ".join(method for method, function in does.items() if function is not None)
    return Endpoint(methods, PREFIX + name, handle)
