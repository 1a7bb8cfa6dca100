"""The control endpoints of the clock, the authorization server and the integrations."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vercel_sql.simulator._codes import Code
from vercel_sql.simulator._endpoints import Handler, answer
from vercel_sql.simulator._errors import ApiError, invalid
from vercel_sql.simulator._json import Object
from vercel_sql.simulator._oauth import OAuth
from vercel_sql.simulator._pkce import challenge_of
from vercel_sql.simulator._requests import json_object, required
from vercel_sql.simulator._state import State
from vercel_sql.simulator._tokens import new_secret

_CODE_PROPERTIES: dict[str, type] = {
    **dict.fromkeys(("kind", "client_id", "redirect_uri", "team", "scope"), str),
    **dict.fromkeys(("nonce", "code_challenge", "state"), str),
    "age_seconds": float,
}


class OAuthControl:
    """What tests and people do there; neither recorded nor limited nor faulted."""

    def __init__(self, state: State, oauth: OAuth) -> None:
        self._state = state
        self._oauth = oauth

    def routes(self, prefix: str) -> list[Route]:
        """Give the routes, under a prefix."""
        handlers: dict[str, tuple[Handler, list[str]]] = {
            "clients": (self.clients, ["GET"]),
            "codes": (self.codes, ["POST"]),
            "authorize": (self.authorize, ["POST"]),
            "id_token": (self.id_token, ["GET", "POST", "DELETE"]),
            "keys": (self.keys, ["POST"]),
            "expire": (self.expire, ["POST"]),
            "configurations": (self.configurations, ["GET", "POST"]),
            "clock": (self.clock, ["GET", "POST"]),
        }
        return [
            Route(prefix + name, _told(handler), methods=methods)
            for name, (handler, methods) in handlers.items()
        ]

    async def clients(self, _request: Request) -> Response:
        """Show the registered clients, secrets included: this is a double."""
        return answer({"clients": [client.as_json() for client in self._oauth.clients]})

    async def codes(self, request: Request) -> Response:
        """Give out a code as if the person had come back from the browser with it.

        An authorization code that is given no `code_challenge` comes with a `code_verifier`.
        """
        body = await json_object(request, _CODE_PROPERTIES)
        kind = required(body, "kind")
        verifier = None
        if kind == "authorization" and "code_challenge" not in body:
            with self._state.lock:
                verifier = new_secret(self._state.random, 64)
            body["code_challenge"] = challenge_of(verifier)
        code = self._oauth.mint_code(**body)
        shown = self._shown(code)
        return answer(shown if verifier is None else {**shown, "code_verifier": verifier})

    async def authorize(self, request: Request) -> Response:
        """Answer in a person's stead: an authorize `url`, or the device of a `user_code`."""
        body = await json_object(request, {"url": str, "user_code": str, "approve": bool})
        approve = body.pop("approve", True)
        if len(body) != 1:
            raise invalid("either `url` or `user_code` is required.")
        if "url" in body:
            return answer({"location": self._oauth.authorize(body["url"], approve=approve)})
        user_code = body["user_code"] or None
        return answer({"answered": self._oauth.authorize_device(user_code, approve=approve)})

    async def id_token(self, request: Request) -> Response:
        """Let the next ID tokens have a fault, or list or forget those to come."""
        if request.method == "DELETE":
            self._oauth.id_tokens.clear()
        elif request.method == "POST":
            body = await json_object(request, {"fault": str, "times": int, "claims": dict})
            required(body, "fault")
            self._oauth.spoil_id_tokens(**body)
        return answer({"faults": self._oauth.id_tokens.faults()})

    async def keys(self, request: Request) -> Response:
        """Sign with a new key from now on; the older ones stay published by default."""
        return answer({"kid": self._oauth.rotate_keys(**await _options(request))})

    async def expire(self, request: Request) -> Response:
        """Let an access, refresh or other token be expired from now on."""
        body = await json_object(request, {"token": str})
        self._oauth.expire_token(required(body, "token"))
        return answer({"expired": True})

    async def configurations(self, request: Request) -> Response:
        """Disable or enable a configuration, or list them all."""
        if request.method == "POST":
            body = await json_object(request, {"installation_id": str, "disabled": bool})
            self._oauth.disable_configuration(
                required(body, "installation_id"), disabled=body.get("disabled", True)
            )
        with self._state.lock:
            shown = [installation.as_json() for installation in self._state.installations]
        return answer({"configurations": shown})

    async def clock(self, request: Request) -> Response:
        """Tell the account's time, after letting some pass."""
        if request.method == "POST":
            body = await json_object(request, {"advance_seconds": float})
            if "advance_seconds" not in body:
                raise invalid("missing required property `advance_seconds`.")
            self._state.clock.advance(body["advance_seconds"])
        return answer({"now_ms": self._state.clock.now_ms()})

    def _shown(self, code: Code) -> Object:
        shown: Object = {
            "code": code.code,
            "client_id": code.client_id,
            "redirect_uri": code.redirect_uri,
            "scope": " ".join(code.scopes),
            "state": code.state,
            "expires_at": code.expires_at,
        }
        if code.installation_id is None:
            return shown
        with self._state.lock:
            installation = self._state.installations.get(code.installation_id)
        return {**shown, "installation_id": installation.id, "team_id": installation.team_id}


async def _options(request: Request) -> dict[str, Any]:
    """Read a body that may be left out."""
    if not await request.body():
        return {}
    return await json_object(request, {"keep_old": bool})


def _told(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Answer what goes wrong as the API would."""

    async def telling(request: Request) -> Response:
        try:
            return await handler(request)
        except LookupError as error:
            raise ApiError(404, str(error)) from None
        except ValueError as error:
            raise invalid(str(error)) from None

    return telling
