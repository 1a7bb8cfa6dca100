"""The bearer token of a client's calls: what the client asks for it, and the plain kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from vercel_sql.errors import MissingTokenError, ParameterError


class TokenSource(Protocol):
    """What the client asks for the token of its calls; threads may share it."""

    @property
    def source(self) -> str:
        """Where the token came from, in words."""

    @property
    def team_id(self) -> str | None:
        """The team that every call has to name, for an integration installed on a team."""

    @property
    def token(self) -> str | None:
        """The token at hand, or None; nothing is read or requested to find it."""

    def require(self, needed_by: str) -> None:
        """Raises `MissingTokenError` where there is no token at all."""

    def bearer(self, needed_by: str) -> str:
        """The token to make the next call with, renewed where it is about to expire."""

    def renew(self, dead: str) -> str | None:
        """Another token in place of one that the API calls dead, or None."""


@dataclass(frozen=True)
class Credential:
    """A bearer token and the place that it came from; its repr shows only the place.

    Attributes:
        token: the secret, or None where none was found.
        source: where it came from, in words.
        sought: the places that were looked in.
        team_id: the team that every call has to name, for an integration installed on a team.
    """

    token: str | None = field(repr=False)
    source: str
    sought: tuple[str, ...] = ()
    team_id: str | None = None

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a Credential holds a secret and is not pickled")

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

    def renew(self, dead: str) -> str | None:  # noqa: ARG002 - the protocol's
        """None: such a token can't be renewed."""
        return None


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
        "Log in with vercel-sql login, or make a token in Vercel's account settings under Tokens."
    )


def checked_token(token: str, source: str) -> str:
    """The token without the white space around it.

    Raises:
        ParameterError: it has characters that a token can't have, or is empty.
    """
    # A line break or a space inside would end up in an HTTP header, and in httpx's error about it.
    stripped = token.strip()
    if not stripped:
        raise ParameterError(f"the token from {source} is empty")
    if not (stripped.isascii() and stripped.isprintable()) or " " in stripped:
        raise ParameterError(
            f"the token from {source} has characters that no token has "
            "(a line break or a space inside?)"
        )
    return stripped
