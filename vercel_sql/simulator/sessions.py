"""Codes, the sessions that they are exchanged for, and devices that wait to be signed in."""

import base64
import hashlib
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

from vercel_sql.simulator.clients import ClientKind, OAuthClient
from vercel_sql.simulator.messages import OAuthError
from vercel_sql.simulator.models import Installation, Token, new_bearer, new_secret
from vercel_sql.simulator.store import State

ACCESS_SECONDS = 3600
REFRESH_SECONDS = 30 * 86_400

_CODE_SECONDS: dict[ClientKind, int] = {"app": 600, "integration": 1800, "sso": 1800}
"""Thirty minutes for integrations (documented); RFC 6749 allows an app's at most ten."""

_DEVICE_MS = 600_000
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels, as RFC 8628 suggests: no words


def bad_grant(message: str) -> OAuthError:
    return OAuthError("invalid_grant", message)


@dataclass
class Code:
    """One code and what it is bound to; `session` is what it was exchanged for."""

    kind: ClientKind
    code: str
    client_id: str
    expires_at: int
    redirect_uri: str | None
    scopes: tuple[str, ...] = ()
    nonce: str | None = None
    code_challenge: str | None = None
    state: str | None = None
    installation: Installation | None = None
    used: bool = False
    session: "Session | None" = None


def challenge_of(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class Codes:
    """The codes that were given out, each good for once; to be used under the state's lock."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._codes: dict[str, Code] = {}

    def new(
        self, client: OAuthClient, uri: str | None, *, age_seconds: float = 0, **bound: Any
    ) -> Code:
        """Return out a code that is bound to a redirect URI and more."""
        seconds = _CODE_SECONDS[client.kind] - age_seconds
        expires_at = self._state.clock.now_ms() + int(seconds * 1000)
        text = new_secret(self._state.random)
        code = Code(client.kind, text, client.client_id, expires_at, uri, **bound)
        self._codes[code.code] = code
        return code

    def find(self, kind: ClientKind, text: str, client_id: str) -> Code:
        code = self._codes.get(text)
        if code is None or (code.kind, code.client_id) != (kind, client_id):
            raise bad_grant("The code is not one that was given to this client.")
        return code

    def check(self, code: Code) -> None:
        """Raise an OAuthError if a code was used before, or is too old."""
        if code.used:
            raise bad_grant("The code was used before, and works once.")
        if code.expires_at <= self._state.clock.now_ms():
            raise bad_grant("The code has expired.")


@dataclass
class Session:
    """One sign-in of one app; all its tokens live and die with it."""

    id: str
    client: OAuthClient
    scopes: tuple[str, ...]
    access_tokens: list[Token] = field(default_factory=list)
    revoked: bool = False

    def is_of(self, client: OAuthClient) -> bool:
        """Whether it is a client's, however that is registered by now."""
        return self.client.client_id == client.client_id


@dataclass
class Issued:
    """An access or refresh token as introspection knows it; times are in milliseconds.

    `token` is there for access tokens, which are authentication tokens of the user too.
    """

    text: str
    jti: str
    session: Session
    issued_at: int
    expires_at: int
    scopes: tuple[str, ...]
    token: Token | None = None
    used_up: bool = False


class Sessions:
    """All sign-ins and their tokens; to be used under the state's lock."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._issued: dict[str, Issued] = {}

    def open(self, client: OAuthClient, scopes: tuple[str, ...]) -> Session:
        return Session(new_uuid(self._state.random), client, scopes)

    def issue_access(self, session: Session, scopes: tuple[str, ...]) -> Token:
        """Return out an access token; the API accepts it as one of the user's tokens."""
        token = self._state.issue_token(
            session.client.name,
            "app",
            seconds=ACCESS_SECONDS,
            bearer=new_bearer(self._state.random, "vca_"),
            kind="cli" if session.client.reads else "app",
        )
        session.access_tokens.append(token)
        self._issue(token.bearer, session, ACCESS_SECONDS, scopes, token)
        return token

    def issue_refresh(self, session: Session) -> str:
        """Return out a refresh token, which stays good for all scopes of the session."""
        text = new_bearer(self._state.random, "vcr_")
        self._issue(text, session, REFRESH_SECONDS, session.scopes)
        return text

    def _issue(
        self,
        text: str,
        session: Session,
        seconds: int,
        scopes: tuple[str, ...],
        token: Token | None = None,
    ) -> None:
        now_ms, jti = self._state.clock.now_ms(), new_uuid(self._state.random)
        expires_at = now_ms + seconds * 1000
        self._issued[text] = Issued(text, jti, session, now_ms, expires_at, scopes, token)

    def check_refresh(self, text: str, client: OAuthClient) -> Issued:
        """Find a good refresh token; one that was used before ends its session."""
        issued = self._issued.get(text)
        if issued is None or issued.token is not None or not issued.session.is_of(client):
            raise bad_grant("The refresh token is not one that was given to this client.")
        if issued.used_up:
            self.revoke(issued.session)
            raise bad_grant("The refresh token was used before; its session is revoked.")
        if not self._is_active(issued):
            raise bad_grant("The refresh token has expired or was revoked.")
        return issued

    def find(self, text: str) -> Issued | None:
        return self._issued.get(text)

    def active(self, text: str) -> Issued | None:
        issued = self.find(text)
        return issued if issued is not None and self._is_active(issued) else None

    def revoke(self, session: Session) -> None:
        """End a session and all its tokens."""
        session.revoked = True
        for token in session.access_tokens:
            if self._state.holds(token):
                self._state.remove_token(token)

    def _is_active(self, issued: Issued) -> bool:
        """Whether a token is good; an access token that was deleted over the API ends all."""
        if not all(map(self._state.holds, issued.session.access_tokens)):
            self.revoke(issued.session)
        now_ms = self._state.clock.now_ms()
        if issued.session.revoked or issued.used_up or issued.expires_at <= now_ms:
            return False
        return issued.token is None or issued.token.is_alive(now_ms)


def new_uuid(random: Random) -> str:
    return str(UUID(bytes=random.randbytes(16), version=4))


@dataclass
class DeviceRequest:
    """A device that waits for a person; `approved` is None until there is an answer.

    Times are in milliseconds of the account's clock.
    """

    device_code: str
    user_code: str
    client: OAuthClient
    scopes: tuple[str, ...]
    expires_at: int
    interval_ms: int
    approved: bool | None = None
    polled_at: int | None = None
    used: bool = False

    def waits(self, now_ms: int) -> bool:
        return self.approved is None and now_ms < self.expires_at

    def check(self, now_ms: int) -> None:
        """Let a device pass that its person has allowed; others wait, or give up (RFC 8628)."""
        if self.approved is False:
            raise OAuthError("access_denied", "The person denied the request.")
        if now_ms >= self.expires_at:
            raise OAuthError("expired_token", "The `device_code` has expired.")
        early = self.polled_at is not None and now_ms < self.polled_at + self.interval_ms
        self.polled_at = now_ms
        self.interval_ms += 5000 * early
        if self.approved is None and early:
            seconds = self.interval_ms / 1000
            raise OAuthError("slow_down", f"Wait {seconds:g} seconds between requests.")
        if self.approved is None:
            raise OAuthError("authorization_pending", "The person has not answered yet.")


class Devices:
    """Devices without a browser that asked to be signed in (RFC 8628).

    `find`, `waiting` and `answer` are safe from any thread; the rest is to be used under the
    state's lock. `interval_seconds` is how often a device may ask: tests shorten it.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._devices: dict[str, DeviceRequest] = {}
        self.interval_seconds: float = 5

    def add(self, client: OAuthClient, scopes: tuple[str, ...]) -> DeviceRequest:
        """Begin to wait for a person on behalf of a device."""
        letters = "".join(self._state.random.choices(_LETTERS, k=8))
        device = DeviceRequest(
            device_code=new_secret(self._state.random, 40),
            user_code=f"{letters[:4]}-{letters[4:]}",
            client=client,
            scopes=scopes,
            expires_at=self._state.clock.now_ms() + _DEVICE_MS,
            interval_ms=int(self.interval_seconds * 1000),
        )
        self._devices[device.device_code] = device
        return device

    def find(self, device_code: str) -> DeviceRequest | None:
        return self._devices.get(device_code)

    def waiting(self, user_code: str | None = None) -> list[DeviceRequest]:
        """Find the device that waits with a user code, or all that wait."""

        def plain(code: str) -> str:
            return "".join(letter for letter in code.upper() if letter.isalnum())

        with self._state.lock:
            now_ms = self._state.clock.now_ms()
            return [
                device
                for device in self._devices.values()
                if device.waits(now_ms)
                and (user_code is None or plain(device.user_code) == plain(user_code))
            ]

    def answer(self, user_code: str | None = None, *, approve: bool = True) -> int:
        """Answer the device of a user code, or all that wait; return how many (or LookupError)."""
        with self._state.lock:
            waiting = self.waiting(user_code)
            for device in waiting:
                device.approved = approve
        if not waiting:
            raise LookupError("No device waits for that code. Codes expire, and work once.")
        return len(waiting)
