"""The bearer token of a client's calls."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from vercel_sql.errors import MissingTokenError, ParameterError
from vercel_sql.manifest import vercel
from vercel_sql.redaction.known import NotPicklable

# The characters of a bearer token (RFC 6750, section 2.1).
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")


@dataclass(frozen=True)
class Successor:
    """The token that replaces a credential's own.

    Attributes:
        token: the secret.
        key: what identifies the token.
        expires_at: when it expires, in milliseconds since the epoch, or None.
    """

    token: str = field(repr=False)
    key: str
    expires_at: int | None = None


@dataclass(eq=False)
class Credential(NotPicklable):
    """A bearer token that stays the same; threads may share it, and its repr shows no secret.

    Attributes:
        token: the secret, if it is known without reading or requesting anything.
        source: where it came from, for messages.
        team_id: the team that every call must name, for an integration installed on a team.
        predecessor: the token that it replaced; calls begun with that one continue with this.
    """

    token: str | None = field(repr=False)
    source: str
    team_id: str | None = None
    predecessor: str | None = field(default=None, repr=False)

    @property
    def origin(self) -> str | None:
        """The kind of token, by the manifest's name, if its place tells."""
        return None if self.team_id is None else "integration"

    @property
    def fresh(self) -> str | None:
        """What `bearer` would return without waiting, or None."""
        return self.token

    def require(self, needed_by: str) -> None:
        """Raises `MissingTokenError` if there is no token at all."""
        if self.token is None:
            raise MissingTokenError(missing_token(needed_by, ()))

    def bearer(self, needed_by: str) -> str:
        """The token for the next call, renewed if it is about to expire."""
        self.require(needed_by)
        return self.token or ""

    def renew(self, dead: str) -> str | None:
        """Another token in place of one that the API calls dead, or None."""
        return self.token if dead == self.predecessor else None

    @property
    def fixed_at(self) -> str | None:
        """The place of a token that is never changed from here, for messages; else None."""
        return self.source

    def require_replaceable(self, needed_by: str) -> None:
        """Raises `NotSupportedError` if no other token can replace this one."""

    def replaced(self, successor: Successor) -> Credential:
        """The credential with another token, saved wherever this one was."""
        source = f"the rotation of the token from {self.source}"
        return Credential(successor.token, source, self.team_id, predecessor=self.token)


def given_credential(
    token: str, source: str = "argument", team_id: str | None = None
) -> Credential:
    """The credential of a token that a caller passed.

    Raises:
        ParameterError: the token is empty, or has characters that no token has.
    """
    return Credential(checked_token(token, "argument token"), source, team_id)


def missing_token(needed_by: str, sought: tuple[str, ...]) -> str:
    where = f" and none was found in {', then '.join(sought)}" if sought else " and there is none"
    return (
        f"{needed_by} needs a Vercel token,{where}. "
        f"{vercel().provider.token_advice}. To read only, a login may be enough: vercel login "
        "(Vercel's own command line) or vercel-sql login."
    )


def checked_token(token: str, source: str) -> str:
    """The token without surrounding white space; else `ParameterError`."""
    # Anything else would end up in an HTTP header, and in httpx's error about it.
    stripped = token.strip()
    if not stripped:
        raise ParameterError(f"the token from {source} is empty")
    if stripped[0] in "\"'`":
        raise ParameterError(
            f"the token from {source} is in quotes: remove them (docker's --env-file keeps them)"
        )
    if _TOKEN.fullmatch(stripped) is None:
        raise ParameterError(
            f"the token from {source} has characters that no token has "
            "(a line break, a space, or a name in place of a value?)"
        )
    return stripped
