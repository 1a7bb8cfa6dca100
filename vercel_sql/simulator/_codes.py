"""Codes that are exchanged for tokens: short-lived, bound to their client, good for once."""

from dataclasses import dataclass
from random import Random

from vercel_sql.simulator._clock import Clock
from vercel_sql.simulator._oauth_clients import Kind
from vercel_sql.simulator._tokens import new_secret

LIFETIME_SECONDS: dict[Kind, int] = {"app": 600, "integration": 1800, "sso": 1800}
"""Thirty minutes for integrations (documented); RFC 6749 allows an app's at most ten."""


class CodeError(ValueError):
    """A code that is not good for what it was shown for."""


@dataclass
class Code:
    """One code and what it is bound to; `session_id` is what it was exchanged for."""

    kind: Kind
    code: str
    client_id: str
    expires_at: int
    redirect_uri: str | None = None
    scopes: tuple[str, ...] = ()
    nonce: str | None = None
    code_challenge: str | None = None
    state: str | None = None
    installation_id: str | None = None
    used: bool = False
    session_id: str | None = None


class Codes:
    """The codes that were given out; to be used under the state's lock."""

    def __init__(self, random: Random, clock: Clock) -> None:
        self._random = random
        self._clock = clock
        self._codes: dict[str, Code] = {}

    def new(self, kind: Kind, client_id: str, *, age_seconds: float = 0) -> Code:
        """Give out a code, to be bound to more by its owner."""
        lifetime_ms = int((LIFETIME_SECONDS[kind] - age_seconds) * 1000)
        code = Code(kind, new_secret(self._random), client_id, self._clock.now_ms() + lifetime_ms)
        self._codes[code.code] = code
        return code

    def find(self, kind: Kind, text: str, client_id: str) -> Code:
        """Find a code that its client shows; whether it is still good is not asked yet.

        Raises:
            CodeError: That client was never given such a code.
        """
        code = self._codes.get(text)
        if code is None or (code.kind, code.client_id) != (kind, client_id):
            raise CodeError("The code is not one that was given to this client.")
        return code

    def check(self, code: Code) -> None:
        """Check that a code can still be used.

        Raises:
            CodeError: It was used before, or is too old.
        """
        if code.used:
            raise CodeError("The code was used before, and works once.")
        if code.expires_at <= self._clock.now_ms():
            raise CodeError("The code has expired.")
