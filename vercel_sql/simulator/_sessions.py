"""Sign-ins of apps: the access and refresh tokens that belong together."""

from dataclasses import dataclass, field
from random import Random
from uuid import UUID

from vercel_sql.simulator._oauth_clients import OAuthClient
from vercel_sql.simulator._state import State
from vercel_sql.simulator._tokens import Token, new_bearer

ACCESS_SECONDS = 3600
REFRESH_SECONDS = 30 * 86_400


class SessionError(ValueError):
    """A refresh token that is not good any more, or never was."""


@dataclass
class Session:
    """One sign-in of one app; all its tokens live and die with it."""

    id: str
    client: OAuthClient
    scopes: tuple[str, ...]
    signed_in_at: int
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
        """Sign the user in."""
        return Session(new_uuid(self._random), client, scopes, self._state.clock.now_ms())

    def issue_access(self, session: Session, scopes: tuple[str, ...]) -> Issued:
        """Give out an access token; the API accepts it as one of the user's tokens."""
        now_ms = self._state.clock.now_ms()
        expires_at = now_ms + ACCESS_SECONDS * 1000
        times = {"createdAt": now_ms, "expiresAt": expires_at}
        token = self._state.add_token(
            {
                "name": session.client.name,
                "type": "oauth2-token",
                "origin": "app",
                "scopes": [{"type": "user", "origin": "app", **times}],
                "activeAt": now_ms,
                **times,
            },
            bearer=new_bearer(self._random, "vca_"),
            kind="cli" if session.client.reads else "app",
        )
        session.access_tokens.append(token)
        jti = new_uuid(self._random)
        issued = Issued(token.bearer, jti, session, now_ms, expires_at, scopes, token)
        self._issued[issued.text] = issued
        return issued

    def issue_refresh(self, session: Session) -> Issued:
        """Give out a refresh token, which stays good for all scopes of the session."""
        now_ms = self._state.clock.now_ms()
        expires_at = now_ms + REFRESH_SECONDS * 1000
        text = new_bearer(self._random, "vcr_")
        jti = new_uuid(self._random)
        issued = Issued(text, jti, session, now_ms, expires_at, session.scopes)
        self._issued[text] = issued
        return issued

    def check_refresh(self, text: str, client: OAuthClient) -> Session:
        """Give the session of a refresh token; one that was used up before ends its session.

        Raises:
            SessionError: It is not good, or is another client's.
        """
        issued = self._issued.get(text)
        if issued is None or issued.token is not None or not issued.session.is_of(client):
            raise SessionError("The refresh token is not one that was given to this client.")
        if issued.used_up:
            self.revoke(issued.session)
            raise SessionError("The refresh token was used before; its session is revoked.")
        if not self._is_active(issued):
            raise SessionError("The refresh token has expired or was revoked.")
        return issued.session

    def use_up(self, text: str) -> None:
        """Note that a refresh token was exchanged for the next."""
        self._issued[text].used_up = True

    def active(self, text: str) -> Issued | None:
        """Find a token that is good at the moment."""
        issued = self._issued.get(text)
        return issued if issued is not None and self._is_active(issued) else None

    def find(self, text: str) -> Issued | None:
        """Find a token, good or not."""
        return self._issued.get(text)

    def revoke(self, session: Session) -> None:
        """End a session: neither its access tokens nor its refresh token work any more."""
        session.revoked = True
        for token in session.access_tokens:
            if self._state.holds(token):
                self._state.remove_token(token)

    def revoke_by_id(self, id_: str | None) -> None:
        """End the session of an id, if there is one."""
        for session in [each.session for each in self._issued.values()]:
            if session.id == id_:
                self.revoke(session)

    def _is_active(self, issued: Issued) -> bool:
        """Whether a token is good; an access token that was deleted over the API ends all."""
        if not all(map(self._state.holds, issued.session.access_tokens)):
            self.revoke(issued.session)
        now_ms = self._state.clock.now_ms()
        if issued.session.revoked or issued.used_up or issued.expires_at <= now_ms:
            return False
        return issued.token is None or issued.token.is_alive(now_ms)

    @property
    def _random(self) -> Random:
        return self._state.random


def new_uuid(random: Random) -> str:
    """Make a random UUID."""
    return str(UUID(bytes=random.randbytes(16), version=4))
