"""Where the bearer token comes from, in one place, and an error that lists where it was sought."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from vercel_sql.errors import MissingTokenError, OperationalError, ParameterError


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

    def require(self, needed_by: str) -> str:
        """The token.

        Raises:
            MissingTokenError: there is none.
        """
        if self.token is None:
            places = ", then ".join(self.sought)
            raise MissingTokenError(
                f"{needed_by} needs a Vercel token, and none was found in {places}. "
                "Make one in Vercel's account settings under Tokens, or by email_login."
            )
        return self.token


def find_credential(
    token: str | None, environment: str, token_file: str | os.PathLike[str] | None = None
) -> Credential:
    """The token of the argument, else of a file, else of the environment variable.

    Raises:
        ParameterError: the token has characters that a token can't have, or is empty.
        OperationalError: the file can't be read.
    """
    sought = ("the argument token", "a token file", f"the environment variable {environment}")
    if token is not None:
        return Credential(_checked(token, "argument token"), "argument", sought)
    if token_file is not None:
        return Credential(_checked(_read(token_file), f"file {token_file}"), "token file", sought)
    value = os.environ.get(environment, "").strip()
    if value:
        return Credential(_checked(value, environment), environment, sought)
    return Credential(None, "nowhere", sought)


def _read(path: str | os.PathLike[str]) -> str:
    try:
        return Path(path).expanduser().read_text("utf-8-sig")
    except OSError as error:
        raise OperationalError(
            f"the token file {path} can't be read: {error.strerror or 'unknown error'}"
        ) from None
    except UnicodeDecodeError:
        raise OperationalError(f"the token file {path} is not text") from None


def _checked(token: str, source: str) -> str:
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
