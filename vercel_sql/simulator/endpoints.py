"""What an endpoint is, who may call it and how often, and how it reads what callers send."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl, unquote

from vercel_sql.simulator.messages import (
    FORM,
    ApiError,
    Object,
    Response,
    decode,
    invalid,
    media_type,
)
from vercel_sql.simulator.models import Clock, Kind, ReceivedRequest, Token
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

    `url` is the simulated Vercel's own, and `parts` are those of the path that the endpoint names.
    `rate_headers` tell of the rate limit; every answer has them, errors too.
    """

    request: ReceivedRequest
    body: bytes
    url: str
    state: State
    identity: Token | ApiError
    parts: dict[str, str] = field(default_factory=dict)
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
        return self.url

    def query(self, name: str) -> str | None:
        """Return a query parameter, or None; one that is given twice is an ApiError."""
        values = [value for key, value in self.request.query if key == name]
        if len(values) > 1:
            raise invalid(f"`{name}` should be given once.")
        return values[0] if values else None

    def page_limit(self) -> int:
        text = self.query("limit")
        if text is None:
            return _DEFAULT_LIMIT
        if not (text.isascii() and text.isdecimal() and len(text) <= 9):
            raise invalid("`limit` should be number.")
        if int(text) < 1:
            raise invalid("`limit` should be >= 1.")
        if int(text) > _MAX_LIMIT:
            raise invalid(f"`limit` should be <= {_MAX_LIMIT}.")
        return int(text)

    def json(self, properties: Mapping[str, type], *needed: str) -> Object:
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
        for name in needed:
            required(body, name)
        return body

    def form(self) -> dict[str, str]:
        """Read a form, without empty parameters (RFC 6749, 3.2); a ValueError if it isn't one."""
        if media_type(self.request.headers) != FORM:
            raise ValueError(f"the `Content-Type` should be {FORM}.")
        try:
            text = self.body.decode("ascii")
            pairs = parse_qsl(text, keep_blank_values=True, errors="strict")
        except UnicodeError:
            raise ValueError("the form should be percent-encoded UTF-8.") from None
        return once(pairs)


def once(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return parameters by name, without empty ones; a ValueError if one is given twice."""
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in given:
            raise ValueError(f"`{name}` should be given once.")
        given[name] = value
    return {name: value for name, value in given.items() if value}


_TYPES: Mapping[type, tuple[str, Callable[[Any], bool]]] = {
    str: ("string", lambda value: isinstance(value, str)),
    float: ("number", lambda value: type(value) in (int, float) and abs(value) < math.inf),
    int: ("integer", lambda value: type(value) is int),
    bool: ("boolean", lambda value: isinstance(value, bool)),
    dict: ("object", lambda value: isinstance(value, dict)),
}


def required(body: Mapping[str, Any], name: str) -> str:
    """Return a text that must be there, and not be empty."""
    if name not in body:
        raise invalid(f"missing required property `{name}`.")
    value = str(body[name])
    if not value:
        raise invalid(f"`{name}` should NOT be shorter than 1 characters.")
    return value


Handler = Callable[[Call], Response]


class Endpoint:
    """One endpoint; `act` is what its caller's token must be allowed, None if it needs none."""

    def __init__(self, methods: str, path: str, handler: Handler, act: Act | None = None) -> None:
        self.name = f"{methods} {path}"
        self.methods = methods.replace("GET", "GET HEAD").split()
        self.handler = handler
        self.act = act
        self._path = re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path)))

    def match(self, path: str) -> dict[str, str] | None:
        """Return the parts of a percent-encoded path that it names; None if it is another's."""
        found = self._path.fullmatch(path)
        return found and {name: unquote(part) for name, part in found.groupdict().items()}


# Permissions


def permit(call: Call, act: Act) -> None:
    """Check that the calling token is alive and may act so; mark it as used."""
    token, installation = call.caller, call.caller.installation
    if installation is not None:
        if installation.disabled:
            code = "integration_configuration_disabled"
            raise ApiError(403, "The integration configuration is disabled", code=code)
        # It speaks for the account that it is installed on, and no other.
        team_ids = [value for name, value in call.request.query if name == "teamId"]
        if team_ids != ([] if installation.team_id is None else [installation.team_id]):
            raise ApiError(403)
    if act == "get" and call.parts.get("token_id") in ("current", token.id):
        act = "current"
    if act not in _MAY[token.kind]:
        raise _refusal(token.kind, act, str(call.state.user.get("username")))
    call.state.touch(token)


def _refusal(kind: Kind, act: Act, account: str) -> ApiError:
    """Say what a kind of token may not do; refusals name the user's own account."""
    if act == "create" and kind in _SESSIONS:
        message = "Only user authentication tokens can be used to create new tokens."
        return ApiError(403, message)
    if act == "create":
        return ApiError(403, f'To create a token you must be authenticated to scope "{account}"')
    if kind in ("team", "limited"):
        return out_of_scope(account)
    return ApiError(403, "You don't have permission to access this resource.")


def out_of_scope(scope: str) -> ApiError:
    message = (
        f'Not authorized: Trying to access resource under scope "{scope}". You must '
        "re-authenticate to this scope or use a token with access to this scope."
    )
    return ApiError(403, message, extra={"saml": False, "scope": scope, "enforced": False})


def sees_all(kind: Kind) -> bool:
    return kind in ("full", "cli")


# Rate limits

_WRITTEN = re.compile(r"([0-9]{1,9})/([0-9]{1,6}(?:\.[0-9]{1,3})?)", re.ASCII)


@dataclass(frozen=True)
class RateLimit:
    """At most so many requests in so many seconds, to each endpoint; both greater than zero."""

    requests: int
    seconds: float

    def __post_init__(self) -> None:
        if self.requests < 1 or not self.seconds > 0:
            raise ValueError("a rate limit allows at least one request in more than 0 seconds")

    @classmethod
    def parse(cls, text: str) -> "RateLimit":
        """Read `N/SECONDS`, such as `100/60`; a ValueError if it is something else."""
        match = _WRITTEN.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not N/SECONDS, such as 100/60")
        return cls(int(match[1]), float(match[2]))


_GENEROUS = RateLimit(100_000, 60)
"""What the headers tell where no limit is set."""

_RETRIEVAL = ("token retrieval", RateLimit(120, 60))
LIMITS: Mapping[str, Mapping[Act, tuple[str, RateLimit]]] = {
    "vercel": {
        "create": ("token creation", RateLimit(32, 3600)),
        "delete": ("token deletion", RateLimit(50, 300)),
        "list": _RETRIEVAL,
        "get": _RETRIEVAL,
        "user": ("user retrieval", RateLimit(500, 60)),
        "teams": ("team retrieval", RateLimit(600, 60)),
    },
    "none": {},
}
"""Limits by name: the documented ones, with the names that endpoints share them by, or none."""


@dataclass
class _Window:
    """One window: when it ends, by a clock that nobody sets and by the account's."""

    ends_at: float
    told_end_ms: int
    used: int = 0


class RateLimiter:
    """Counts requests in fixed windows, each of which begins with its first request.

    Their ends are by the account's clock, as `Date` is, and `advance` moves them too. `limit` is
    for each endpoint (None for none), and takes the place of the `named` limits.
    """

    def __init__(self, limit: RateLimit | None, clock: Clock, named: str) -> None:
        self._limit = limit
        self._named = LIMITS["none" if limit else named]
        self._clock = clock
        self._windows: dict[str, _Window] = {}

    def take(self, endpoint: Endpoint) -> dict[str, str]:
        """Count one request to an endpoint, and give the headers for its answer.

        If the limit is spent, the ApiError (429) has these headers, and more.
        """
        name, real = endpoint.name, self._limit
        if endpoint.act is not None and endpoint.act in self._named:
            name, real = self._named[endpoint.act]
        limit = real or _GENEROUS
        now = self._clock.steady_seconds()
        window = self._windows.get(name)
        if window is None or window.ends_at <= now:
            # Its end is told a millisecond late rather than early.
            told_end_ms = self._clock.now_ms() + 1 + math.ceil(limit.seconds * 1000)
            window = self._windows[name] = _Window(now + limit.seconds, told_end_ms)
        refused = real is not None and window.used >= limit.requests
        window.used += not refused
        remaining = limit.requests - window.used
        if real is None:
            remaining = max(remaining, 1)  # a client must never wait for a limit that is not there
        reset = math.ceil(window.told_end_ms / 1000)
        headers = {
            "X-RateLimit-Limit": str(limit.requests),
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset": str(reset),
        }
        if not refused:
            return headers
        told = {"remaining": 0, "reset": reset, "resetMs": window.told_end_ms}
        raise ApiError(
            429,
            f"Rate limit exceeded: {limit.requests} requests in {limit.seconds:g} s",
            headers=headers | {"Retry-After": str(math.ceil(window.ends_at - now))},
            extra={"limit": {**told, "total": limit.requests}},
        )
