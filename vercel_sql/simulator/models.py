"""What an account holds, and what is noted of it: its clock, tokens, teams, requests."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from random import Random
from typing import Any, Literal, get_args

from vercel_sql.simulator.messages import Object, encode

Kind = Literal["full", "team", "project", "app", "cli", "limited", "integration"]
"""A token of the dashboard for the full account, a team or a project; a session of an app or of
the command line; a token of a few permissions; an integration's token."""

KINDS: tuple[Kind, ...] = get_args(Kind)

DAY_MS = 86_400_000
_LATEST_DATE = 253_402_300_799
"""The last second of the year 9999, after which `Date` has no way to write one."""

_ALPHANUMERICS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_MARKER = re.compile(r"vc[a-z]{1,2}_")


class Clock:
    """Tells the time in milliseconds since the epoch, from now on or from a fixed start."""

    def __init__(self, start_ms: int | None = None) -> None:
        self._start_ms = start_ms
        self._started = time.monotonic()
        self._ahead_ms = 0

    def now_ms(self) -> int:
        """Return the account's time; a fixed start still moves on, so that `activeAt` can."""
        if self._start_ms is None:
            return time.time_ns() // 1_000_000 + self._ahead_ms
        return self._start_ms + int((time.monotonic() - self._started) * 1000) + self._ahead_ms

    def steady_seconds(self) -> float:
        """Return seconds that nobody can set back, but that `advance` moves on too."""
        return time.monotonic() + self._ahead_ms / 1000

    def http_date(self, skew_seconds: float = 0) -> str:
        """Write the time, wrong by `skew_seconds`, as `Date` headers do: GMT, rounded down."""
        seconds = int((self.now_ms() + skew_seconds * 1000) // 1000)
        return formatdate(min(max(seconds, 0), _LATEST_DATE), usegmt=True)

    def advance(self, seconds: float) -> int:
        """Let time pass at once; return the new time (ms), or a ValueError if it would go back."""
        if not 0 <= seconds <= 10_000_000_000:  # some three hundred years, and no NaN
            raise ValueError("the clock moves only forward, by 10,000,000,000 seconds at most")
        self._ahead_ms += int(seconds * 1000)
        return self.now_ms()


@dataclass
class Installation:
    """One configuration of an integration; `team_id` is None on a personal account."""

    id: str
    client_id: str
    user_id: str
    team_id: str | None
    disabled: bool = False


class Token:
    """One token: what the API shows of it, and its bearer.

    `fields` may have any JSON, so that tests can make undocumented tokens; id and place in the
    listing are separate. `installation` is that of an integration's token.
    """

    def __init__(
        self,
        fields: Mapping[str, Any],
        *,
        bearer: str,
        created_at: int,
        kind: Kind | None = None,
        installation: Installation | None = None,
    ) -> None:
        self._kind = kind
        self._fields: Object = dict(fields)
        self._planted: dict[str, bytes] = {}
        self._json: bytes | None = None
        self.id = str(fields["id"])
        self.bearer = bearer
        self.created_at = created_at
        self.installation = installation

    def __repr__(self) -> str:
        return f"Token({self.id!r}, name={self._fields.get('name')!r})"

    @property
    def fields(self) -> Object:
        """A copy of what the API shows."""
        return dict(self._fields)

    def __getitem__(self, name: str) -> Any:
        return self._fields[name]

    def get(self, name: str) -> Any:
        return self._fields.get(name)

    def set(self, name: str, value: Any) -> None:
        self._fields[name] = value
        self._json = None

    def remove(self, name: str) -> None:
        self._fields.pop(name, None)
        self._json = None

    def plant(self, name: str, raw: bytes) -> None:
        """Show these bytes, JSON or not, as the value of a field, which stays what it is."""
        self._planted[name] = raw
        self._json = None

    @property
    def json(self) -> bytes:
        """The fields as JSON, kept because listings ask for it again and again."""
        if self._json is None:
            kept = {name: v for name, v in self._fields.items() if name not in self._planted}
            members = [encode(kept)[1:-1]] if kept else []
            members += [encode(name) + b":" + raw for name, raw in self._planted.items()]
            self._json = b"{%b}" % b",".join(members)
        return self._json

    def is_alive(self, now_ms: int) -> bool:
        """Whether the bearer authenticates: not revoked, not expired."""
        expires_at = self._fields.get("expiresAt")
        expired = isinstance(expires_at, int | float) and expires_at <= now_ms
        return not expired and self._fields.get("revokedAt") is None

    @property
    def kind(self) -> Kind:
        """What it was made as, else what its scopes show: the full account, or teams only."""
        if self._kind is not None:
            return self._kind
        if not isinstance(self._fields.get("scopes"), list):
            return "full"  # a token without scopes is from before there were any
        return "full" if "user" in [scope.get("type") for scope in self._scopes] else "team"

    @property
    def team_ids(self) -> list[str]:
        return [scope["teamId"] for scope in self._scopes if "teamId" in scope]

    @property
    def _scopes(self) -> list[Object]:
        scopes = self._fields.get("scopes")
        entries = scopes if isinstance(scopes, list) else []
        return [scope for scope in entries if isinstance(scope, dict)]


@dataclass(frozen=True)
class Team:
    """A team that the user belongs to.

    `limited_by` says what keeps it from the caller, and `more` has what only some teams show.
    """

    id: str
    slug: str
    name: str | None
    created_at: int
    user_id: str
    role: str = "MEMBER"
    avatar: str | None = None
    limited_by: tuple[str, ...] = ()
    plan: str = "pro"
    creator_id: str | None = None
    updated_at: int = 0
    staging_prefix: str = "projects"
    more: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def as_json(self) -> Object:
        """Return the team as the API shows it: whole, or as far as the caller may see it."""
        shown: Object = {
            "id": self.id,
            "slug": self.slug,
            "name": self.name,
            "avatar": self.avatar,
            "createdAt": self.created_at,
            "membership": {
                "uid": self.user_id,
                "teamId": self.id,
                "role": self.role,
                "confirmed": True,
                "created": self.created_at,
                "createdAt": self.created_at,
            },
        }
        if self.limited_by:
            return shown | {"limited": True, "limitedBy": list(self.limited_by), **self.more}
        return shown | {
            "creatorId": self.creator_id or self.user_id,
            "updatedAt": self.updated_at,
            "description": None,
            "stagingPrefix": self.staging_prefix,
            "billing": {"plan": self.plan},
            **self.more,
        }


@dataclass
class Login:
    """A login by email: the token that verifies it, and the code that the person compares."""

    token: str
    email: str
    token_name: str | None
    security_code: str
    confirmed: bool = False


@dataclass
class ReceivedRequest:
    """One request as it was received, and its outcome.

    `path` is percent-encoded, as on the wire. `status` is None if the connection was closed
    without an answer. `acted` is True if the endpoint acted, whether or not its answer reached the
    caller. `body` is parsed if it is JSON, else text; None if there is none. `authorization` is
    kept: nothing here is a real secret.
    """

    index: int
    time_ms: int
    method: str
    path: str
    decoded_path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: Any = None
    form: list[tuple[str, str]] | None = None
    status: int | None = None
    token_id: str | None = None
    acted: bool = False
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class TokenEvent:
    """One token created or removed; the name is the one that it was created with.

    `time_ms` is by the account's clock. `request` is the index of the request that did it; None for
    seeded tokens, and for what a test did by hand.
    """

    event: Literal["created", "removed"]
    id: str
    name: str | None
    bearer: str = field(repr=False)
    time_ms: int
    request: int | None


def new_secret(random: Random, length: int = 24) -> str:
    """Make letters and digits, as bearers and the ids of users and teams are made of."""
    return "".join(random.choices(_ALPHANUMERICS, k=length))


def new_bearer(random: Random, marker: str = "vcp_") -> str:
    """Make a bearer that begins with a marker; one without a marker is of the older kind.

    What is made afterwards is the same for both kinds.
    """
    secret = new_secret(random)
    return marker + secret + new_secret(Random(secret), 32) if marker else secret  # noqa: S311


def hints(bearer: str) -> Object:
    """Return the `prefix` and `suffix` of a bearer; older ones have none."""
    marker = _MARKER.match(bearer)
    return {} if marker is None else {"prefix": marker[0], "suffix": bearer[-6:]}
