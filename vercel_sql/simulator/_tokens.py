"""An authentication token, and its fields as the API shows them."""

import re
from collections.abc import Mapping
from random import Random
from typing import Any

from vercel_sql.simulator._json import Object, encode
from vercel_sql.simulator._kinds import Kind

_ALPHANUMERICS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_MARKER = re.compile(r"vc[a-z]{1,2}_")
_SUFFIX_LENGTH = 6


class Token:
    """One token: what the API shows of it, and the bearer that it does not show.

    `fields` may hold any JSON at all, so that tests can make tokens that no document
    describes; the id and the place in the listing are kept apart from it.
    """

    __slots__ = ("_fields", "_json", "_kind", "_planted", "bearer", "created_at", "id")

    def __init__(
        self,
        fields: Mapping[str, Any],
        *,
        bearer: str,
        created_at: int,
        kind: Kind | None = None,
    ) -> None:
        self._kind = kind
        self._fields: Object = dict(fields)
        self._planted: dict[str, bytes] = {}
        self._json: bytes | None = None
        self.id = str(fields["id"])
        self.bearer = bearer
        self.created_at = created_at

    def __repr__(self) -> str:
        return f"Token({self.id!r}, name={self._fields.get('name')!r})"

    @property
    def fields(self) -> Object:
        """A copy of what the API shows."""
        return dict(self._fields)

    def __getitem__(self, name: str) -> Any:
        return self._fields[name]

    def get(self, name: str) -> Any:
        """Give a field, or None where the token has none of that name."""
        return self._fields.get(name)

    def set(self, name: str, value: Any) -> None:
        """Change a field."""
        self._fields[name] = value
        self._json = None

    def remove(self, name: str) -> None:
        """Stop showing a field, if it is shown."""
        self._fields.pop(name, None)
        self._json = None

    def plant(self, name: str, raw: bytes) -> None:
        """Show these bytes as the value of a field, whether they are JSON or not.

        What listings and `get` show is meant; the token itself stays what it is.
        """
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
        scopes = self._fields.get("scopes")
        if not isinstance(scopes, list):
            return "full"  # a token without scopes is from before there were any
        types = [scope.get("type") for scope in scopes if isinstance(scope, dict)]
        return "full" if "user" in types else "team"

    @property
    def team_ids(self) -> list[str]:
        """The teams that its scopes name."""
        scopes = self._fields.get("scopes")
        entries = scopes if isinstance(scopes, list) else []
        return [
            scope["teamId"] for scope in entries if isinstance(scope, dict) and "teamId" in scope
        ]


def new_id(random: Random) -> str:
    """Make a token's id: 64 hexadecimal digits."""
    return random.randbytes(32).hex()


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
    """Give the `prefix` and `suffix` of a bearer: the marker and the end; older ones have none."""
    marker = _MARKER.match(bearer)
    return {} if marker is None else {"prefix": marker[0], "suffix": bearer[-_SUFFIX_LENGTH:]}
