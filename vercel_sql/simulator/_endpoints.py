"""What all simulated endpoints share: limits, credentials, and the note of what was done."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from vercel_sql.simulator._errors import ApiError
from vercel_sql.simulator._json import Object, encode
from vercel_sql.simulator._kinds import Act, check
from vercel_sql.simulator._limits import RateLimiter
from vercel_sql.simulator._records import ReceivedRequest
from vercel_sql.simulator._state import State
from vercel_sql.simulator._tokens import Token

Handler = Callable[[Request], Awaitable[Response]]

_SCOPE_KEY = "vercel_sql.simulator"


@dataclass
class Exchange:
    """What is known of a request beside the request itself."""

    record: ReceivedRequest
    caller: Token | ApiError
    headers: dict[str, str] = field(default_factory=dict)

    def put_into(self, scope: Scope) -> None:
        """Let the endpoints of an ASGI scope find this."""
        scope[_SCOPE_KEY] = self

    @classmethod
    def of(cls, request: Request) -> "Exchange":
        """Find the exchange that a request belongs to."""
        exchange: Exchange = request.scope[_SCOPE_KEY]
        return exchange


class Gate:
    """Makes routes whose handlers run only within the limits and for known callers."""

    def __init__(self, state: State, limiter: RateLimiter) -> None:
        self.state = state
        self._limiter = limiter

    def open(self, method: str, path: str, handler: Handler) -> Route:
        """Make a route that needs no credentials."""
        endpoint = f"{method} {path}"

        async def limited(request: Request) -> Response:
            exchange = Exchange.of(request)
            exchange.headers = self._limiter.take(endpoint)
            response = await handler(request)
            exchange.record.acted = True
            return response

        return Route(path, limited, methods=[method])

    def bearer(self, method: str, path: str, handler: Handler, act: Act) -> Route:
        """Make a route that needs a living bearer token of a kind that may do so.

        The token is marked as used. An integration's token needs the `teamId` that its
        integration is installed on.
        """

        async def authenticated(request: Request) -> Response:
            token = caller(request)
            with self.state.lock:
                self.state.installations.admit(token, request.query_params.getlist("teamId"))
                is_own = request.path_params.get("token_id") in ("current", token.id)
                asked: Act = "current" if act == "get" and is_own else act
                check(token.kind, asked, self.state.account)
            self.state.touch(token)
            return await handler(request)

        return self.open(method, path, authenticated)


def caller(request: Request) -> Token:
    """Give the token that a request is made with.

    Raises:
        ApiError: There is none, or a dead one.
    """
    found = Exchange.of(request).caller
    if isinstance(found, ApiError):
        raise found
    return found


def answer(value: Object) -> Response:
    """Answer with JSON."""
    return Response(encode(value), media_type="application/json")
