"""What an endpoint is, what a call may do, and how the API reads what callers send."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl, unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vercel_sql.simulator.messages import FORM, ApiError, Object, decode, invalid, media_type
from vercel_sql.simulator.models import Kind, Token
from vercel_sql.simulator.store import State

MARKETPLACE_PATH = "/marketplace"
"""Where the simulated `https://marketplace.vercel.com` is; the issuer of SSO ID tokens."""

Act = Literal["user", "teams", "current", "list", "get", "create", "delete"]
"""What a request is about. `current` is to get the token that makes the call."""

_ALL: frozenset[Act] = frozenset(get_args(Act))
_MAY: Mapping[Kind, frozenset[Act]] = {
    "full": _ALL,
    "cli": _ALL - {"create"},
    "team": frozenset({"user", "teams", "current"}),
    "limited": frozenset({"user", "teams"}),
    "integration": frozenset({"user", "teams", "current"}),
    "project": frozenset(),
    "app": frozenset(),
}
"""What each kind of token may do: only what is certain at Vercel. What its documents leave open is
refused."""

_SESSIONS: frozenset[Kind] = frozenset({"app", "cli", "integration"})
_MAX_LIMIT = 100
_DEFAULT_LIMIT = 20


@dataclass
class Call:
    """One request to an endpoint; `identity` is who makes it, or why nobody does.

    `rate_headers` tell of the rate limit; every answer has them, errors too.
    """

    request: Request
    body: bytes
    state: State
    identity: Token | ApiError
    rate_headers: dict[str, str] = field(default_factory=dict)

    @property
    def caller(self) -> Token:
        """The token that the call is made with; an ApiError if there is none, or a dead one."""
        if isinstance(self.identity, ApiError):
            raise self.identity
        return self.identity

    @property
    def issuer(self) -> str:
        """The simulated Vercel's own URL, whatever name the caller used for it."""
        host, port = self.request.scope["server"]
        return f"http://{host}:{port}"

    def path(self, name: str) -> str:
        """Give the value of a path segment; it was routed percent-encoded, so it is one segment."""
        return unquote(self.request.path_params[name])

    def query(self, name: str) -> str | None:
        """Give a query parameter, or None; one that is given twice is an ApiError."""
        values = self.request.query_params.getlist(name)
        if len(values) > 1:
            raise invalid(f"`{name}` should be given once.")
        return values[0] if values else None

    def page_limit(self) -> int:
        """Give the size of the page that is asked for: from 1 to 100."""
        text = self.query("limit")
        if text is None:
            return _DEFAULT_LIMIT
        if not (text.isascii() and text.isdecimal() and len(text) <= 9):
            raise invalid("`limit` should be number.")
        limit = int(text)
        if limit < 1:
            raise invalid("`limit` should be >= 1.")
        if limit > _MAX_LIMIT:
            raise invalid(f"`limit` should be <= {_MAX_LIMIT}.")
        return limit

    def json(self, properties: Mapping[str, type]) -> Object:
        """Read a JSON object that may have these properties, of these types, and no others."""
        if media_type(self.request.headers) != "application/json":
            raise invalid("the `Content-Type` should be application/json.")
        try:
            body = decode(self.body)
        except ValueError:
            raise ApiError(400, "Invalid JSON") from None
        if not isinstance(body, dict):
            raise invalid("should be object.")
        for name, value in body.items():
            if name not in properties:
                raise invalid(f"should NOT have additional property `{name}`.")
            meaning, is_right = _TYPES[properties[name]]
            if not is_right(value):
                raise invalid(f"`{name}` should be {meaning}.")
        return body

    @property
    def has_form(self) -> bool:
        """Whether the body says that it is a form."""
        return media_type(self.request.headers) == FORM

    def form(self) -> dict[str, str]:
        """Read a form, without empty parameters (RFC 6749, 3.2); a ValueError if it isn't one."""
        if not self.has_form:
            raise ValueError(f"the `Content-Type` should be {FORM}.")
        try:
            text = self.body.decode("ascii")
            pairs = parse_qsl(text, keep_blank_values=True, errors="strict")
        except UnicodeError:
            raise ValueError("the form should be percent-encoded UTF-8.") from None
        return once(pairs)


def once(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Give parameters by name, without empty ones; a ValueError if one is given twice."""
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in given:
            raise ValueError(f"`{name}` should be given once.")
        given[name] = value
    return {name: value for name, value in given.items() if value}


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) if isinstance(value, float) else True


_TYPES: Mapping[type, tuple[str, Callable[[Any], bool]]] = {
    str: ("string", lambda value: isinstance(value, str)),
    float: ("number", _is_number),
    int: ("integer", lambda value: type(value) is int),
    bool: ("boolean", lambda value: isinstance(value, bool)),
    dict: ("object", lambda value: isinstance(value, dict)),
}


def required(body: Mapping[str, Any], name: str) -> str:
    """Give a text that must be there, and not be empty."""
    if name not in body:
        raise invalid(f"missing required property `{name}`.")
    value = str(body[name])
    if not value:
        raise invalid(f"`{name}` should NOT be shorter than 1 characters.")
    return value


Handler = Callable[[Call], Response]


class Endpoint(Route):
    """One endpoint; `act` is what its caller's token must be allowed, None if it needs none."""

    def __init__(self, methods: str, path: str, handler: Handler, act: Act | None = None) -> None:
        super().__init__(path, handler, methods=methods.split())
        self.name = f"{methods} {path}"
        self.handler = handler
        self.act = act


def permit(call: Call, act: Act) -> None:
    """Let a call pass if its token lives and may act so; mark the token as used."""
    token, state = call.caller, call.state
    _check_installation(token, call.request.query_params.getlist("teamId"))
    if act == "get" and call.request.path_params.get("token_id") in ("current", token.id):
        act = "current"
    _check_kind(token.kind, act, state.account)
    state.touch(token)


def _check_installation(token: Token, team_ids: list[str]) -> None:
    """Let an integration's token pass for the account that it is installed on, and no other."""
    installation = token.installation
    if installation is None:
        return
    if installation.disabled:
        raise ApiError(
            403,
            "The integration configuration is disabled",
            code="integration_configuration_disabled",
        )
    if team_ids != ([] if installation.team_id is None else [installation.team_id]):
        raise ApiError(403)


def _check_kind(kind: Kind, act: Act, account: str) -> None:
    """Let a kind of token do what it may do; refusals name the user's own account."""
    if act in _MAY[kind]:
        return
    if act == "create" and kind in _SESSIONS:
        raise ApiError(403, "Only user authentication tokens can be used to create new tokens.")
    if act == "create":
        raise ApiError(403, f'To create a token you must be authenticated to scope "{account}"')
    if kind in ("team", "limited"):
        raise out_of_scope(account)
    raise ApiError(403, "You don't have permission to access this resource.")


def out_of_scope(scope: str) -> ApiError:
    """Say that a token does not reach an account or a team."""
    message = (
        f'Not authorized: Trying to access resource under scope "{scope}". You must '
        "re-authenticate to this scope or use a token with access to this scope."
    )
    return ApiError(403, message, extra={"saml": False, "scope": scope, "enforced": False})


def sees_all(kind: Kind) -> bool:
    """Whether the user and the teams are shown to it in full."""
    return kind in ("full", "cli")
