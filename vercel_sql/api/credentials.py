"""The bearer token of a client's calls: what the client asks for it, and the plain kind."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol

from vercel_sql.api.redaction.unpickled import HoldsSecrets
from vercel_sql.errors import MissingTokenError, ParameterError
from vercel_sql.manifest import vercel

# What a bearer token may consist of (RFC 6750, section 2.1).
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")


class TokenSource(Protocol):
    """What the client asks for the token of its calls; threads may share it."""

    @property
    def source(self) -> str:
        """Where the token came from, in words."""

    @property
    def team_id(self) -> str | None:
        """The team that every call has to name, for an integration installed on a team."""

    @property
    def origin(self) -> str | None:
        """The kind of token, by the manifest's name, where the place says it."""

    @property
    def token(self) -> str | None:
        """The token at hand, or None; nothing is read or requested to find it."""

    @property
    def fresh(self) -> str | None:
        """What `bearer` would give at once; None where it may have to wait for it."""

    def require(self, needed_by: str) -> None:
        """Raises `MissingTokenError` where there is no token at all."""

    def bearer(self, needed_by: str) -> str:
        """The token to make the next call with, renewed where it is about to expire."""

    def renew(self, dead: str) -> str | None:
        """Another token in place of one that the API calls dead, or None."""

    @property
    def fixed_at(self) -> str | None:
        """The place, in words, where a token stands that is never changed from here, or None."""

    def require_replaceable(self, needed_by: str) -> None:
        """Raises `NotSupportedError` where no other token can take the place of this one."""

    def replaced(self, successor: Successor) -> TokenSource:
        """What gives another token from now on, saved wherever this one was saved."""


@dataclass(frozen=True)
class Successor:
    """The token that is to take the place of a credential's own.

    Attributes:
        token: the secret.
        key: what identifies the token.
        expires_at: when it stops working, in milliseconds since the epoch, or None.
    """

    token: str = field(repr=False)
    key: str
    expires_at: int | None = None


@dataclass(frozen=True)
class Credential(HoldsSecrets):
    """A bearer token and the place that it came from; its repr shows only the place.

    Attributes:
        token: the secret, or None where none was found.
        source: where it came from, in words.
        sought: the places that were looked in.
        team_id: the team that every call has to name, for an integration installed on a team.
        predecessor: the token whose place it took; calls that were begun with it go on with this.
    """

    token: str | None = field(repr=False)
    source: str
    sought: tuple[str, ...] = ()
    team_id: str | None = None
    predecessor: str | None = field(default=None, repr=False)

    @property
    def origin(self) -> str | None:
        """That of an integration, where it names a team in every call; else nobody knows."""
        return None if self.team_id is None else "integration"

    @property
    def fresh(self) -> str | None:
        """The token."""
        return self.token

    def require(self, needed_by: str) -> None:
        """Nothing, if there is a token.

        Raises:
            MissingTokenError: there is none.
        """
        if self.token is None:
            raise MissingTokenError(missing_token(needed_by, self.sought))

    def bearer(self, needed_by: str) -> str:
        """The token.

        Raises:
            MissingTokenError: there is none.
        """
        self.require(needed_by)
        return self.token or ""

    def renew(self, dead: str) -> str | None:
        """The token in place of its predecessor; None for itself, since it can't be renewed."""
        return self.token if dead == self.predecessor else None

    @property
    def fixed_at(self) -> str:
        """The place that it came from: whoever starts there again starts with it."""
        return self.source

    def require_replaceable(self, needed_by: str) -> None:
        """Nothing: another may take its place in this process."""

    def replaced(self, successor: Successor) -> Credential:
        """The other token, for the same team."""
        source = f"the rotation of the token from {self.source}"
        return Credential(successor.token, source, team_id=self.team_id, predecessor=self.token)


def given_credential(
    token: str, source: str = "argument", team_id: str | None = None
) -> Credential:
    """The credential of a token that a caller gave.

    Raises:
        ParameterError: the token has characters that a token can't have, or is empty.
    """
    return Credential(checked_token(token, "argument token"), source, team_id=team_id)


def missing_token(needed_by: str, sought: tuple[str, ...]) -> str:
    """The message where no place had a token."""
    places = ", then ".join(sought)
    return (
        f"{needed_by} needs a Vercel token, and none was found in {places}. "
        f"{vercel().provider.token_advice}. To read only, a login may be enough: vercel login "
        "(Vercel's own command line) or vercel-sql login."
    )


def checked_token(token: str, source: str) -> str:
    """The token without the white space around it.

    Raises:
        ParameterError: it has characters that a token can't have, or is empty.
    """
    # What is not one would end up in an HTTP header, and in httpx's error about it.
    stripped = token.strip()
    if not stripped:
        raise ParameterError(f"the token from {source} is empty")
    if stripped[0] in "\"'`":
        raise ParameterError(
            f"the token from {source} is in quotes, which are not part of it: take them away "
            "(docker's --env-file keeps them)"
        )
    if _TOKEN.fullmatch(stripped) is None:
        raise ParameterError(
            f"the token from {source} has characters that no token has "
            "(a line break, a space, or a name in place of a value?)"
        )
    return stripped
