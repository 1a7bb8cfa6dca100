"""What the simulated account holds."""

import threading
from collections.abc import Iterable, Mapping
from random import Random
from typing import Any

from vercel_sql.simulator._clock import Clock
from vercel_sql.simulator._errors import ApiError
from vercel_sql.simulator._history import History
from vercel_sql.simulator._installations import Installations
from vercel_sql.simulator._json import Object
from vercel_sql.simulator._kinds import Kind
from vercel_sql.simulator._logins import Logins
from vercel_sql.simulator._seed import DAY_MS, seed_tokens
from vercel_sql.simulator._teams import Team, seed_teams
from vercel_sql.simulator._timeline import Page, Timeline
from vercel_sql.simulator._tokens import Token, hints, new_bearer, new_id
from vercel_sql.simulator._user import seed_user


class State:
    """All that the account holds, from the user to its integrations; safe from any thread.

    `user` is the object that `/v2/user` shows, and may be changed. `history` tells what became
    of each token, also after it is gone. `lists_revoked` is whether a token that is taken out
    stays in the listing, with its `revokedAt`.
    """

    def __init__(
        self,
        tokens: int | Iterable[Mapping[str, Any]] = 250,
        *,
        seed: int = 7,
        clock: Clock | None = None,
        until_inclusive: bool = True,
    ) -> None:
        self.lock = threading.RLock()
        self.clock = clock or Clock()
        self.history = History(self.clock)
        self.until_inclusive = until_inclusive
        self.lists_revoked = False
        self._random = Random(seed)  # noqa: S311 (simulated secrets are to be the same each time)
        now_ms = self.clock.now_ms()
        self.user: Object = seed_user(self._random, now_ms)
        self._teams: Timeline[Team] = Timeline(only_numbers=True)
        teams = seed_teams(self._random, now_ms, self.user["id"])
        self._teams.extend(teams)
        self.user["defaultTeamId"] = teams[0].id
        self.logins = Logins(self._random)
        self.installations = Installations(self._random)
        self._tokens: Timeline[Token] = Timeline()
        self._bearers: dict[str, Token] = {}
        self.calling_token = self._seed_calling_token(now_ms)
        if isinstance(tokens, int):
            self._extend(seed_tokens(self._random, now_ms, teams, tokens))
        else:
            for fields in tokens:
                self.add_token(fields)

    # Tokens

    def tokens(self) -> list[Token]:
        """Give all tokens, newest first."""
        with self.lock:
            return list(self._tokens)

    def find_token(self, id_: str) -> Token | None:
        """Find a token by its id."""
        with self.lock:
            return self._tokens.get(id_)

    def token_page(self, limit: int, until: str | None) -> Page[Token]:
        """Give a page of the tokens, newest first."""
        with self.lock:
            return self._tokens.page(limit, until, inclusive=self.until_inclusive)

    def add_token(
        self,
        fields: Mapping[str, Any] | None = None,
        *,
        bearer: str | None = None,
        created_at: int | None = None,
        without: Iterable[str] = (),
        listed: bool = True,
        kind: Kind | None = None,
    ) -> Token:
        """Put in a hand-made token.

        Args:
            fields: What the API is to show, over sensible defaults; any JSON at all.
            bearer: What authenticates it; made where it is not given.
            created_at: Its place in the listing (ms); else its `createdAt`, else now.
            without: Names of fields that the API is not to show.
            listed: Whether it is one of the user's own tokens; an integration's is not, and
                only calls made with it show it, as `current`.
            kind: What it may do; else its scopes tell.

        Raises:
            ValueError: A token with that id or bearer exists already.
        """
        with self.lock:
            given = dict(fields or {})
            if created_at is None:
                shown = given.get("createdAt")
                created_at = shown if type(shown) is int else self.clock.now_ms()
            bearer = bearer or new_bearer(self._random)
            defaults: Object = {
                "id": new_id(self._random),
                "name": "hand-made",
                "type": "oauth2-token",
                "origin": "manual",
                "scopes": [{"type": "user", "origin": "manual", "createdAt": created_at}],
                "activeAt": created_at,
                "createdAt": created_at,
                **hints(bearer),
            }
            shown_fields = defaults | given
            token = Token(shown_fields, bearer=bearer, created_at=created_at, kind=kind)
            for name in without:
                token.remove(name)
            if listed:
                self._extend([token])
            else:
                self._accept([token])
            return token

    def remove_token(self, token: Token) -> None:
        """Take out a token, so that it is neither listed nor accepted any more."""
        with self.lock:
            if self.lists_revoked:
                token.set("revokedAt", self.clock.now_ms())
            elif self._tokens.get(token.id) is token:
                self._tokens.remove(token)
            del self._bearers[token.bearer]
            self.history.note("removed", token)

    def find_bearer(self, bearer: str) -> Token | None:
        """Find a token by its bearer, dead or alive."""
        with self.lock:
            return self._bearers.get(bearer)

    def holds(self, token: Token) -> bool:
        """Whether a token was not taken out."""
        return self.find_bearer(token.bearer) is token

    def identify(self, authorization: str | None) -> Token | ApiError:
        """Say whose request it is, or with what error it is to be refused."""
        if authorization is None:
            return ApiError(403, "Not authorized", missingToken=True)
        scheme, _, bearer = authorization.strip().partition(" ")
        if scheme.lower() != "bearer" or not bearer.strip():
            return ApiError(401, "The request's credentials are not a bearer token")
        with self.lock:
            token = self._bearers.get(bearer.strip())
            if token is None or not token.is_alive(self.clock.now_ms()):
                return ApiError(403, "Not authorized", invalidToken=True)
            return token

    def touch(self, token: Token) -> None:
        """Note that a token is being used."""
        with self.lock:
            now_ms = self.clock.now_ms()
            if token.get("activeAt") != now_ms:
                token.set("activeAt", now_ms)

    @property
    def account(self) -> str:
        """The slug of the user's own account."""
        return str(self.user.get("username"))

    # Teams

    @property
    def teams(self) -> list[Team]:
        """All teams, newest first."""
        with self.lock:
            return list(self._teams)

    def find_team(self, id_or_slug: str) -> Team | None:
        """Find a team by its id, or else by its slug."""
        with self.lock:
            by_slug = (team for team in self._teams if team.slug == id_or_slug)
            return self._teams.get(id_or_slug) or next(by_slug, None)

    def team_page(self, limit: int, until: str | None, since: str | None) -> Page[Team]:
        """Give a page of the teams, newest first."""
        with self.lock:
            return self._teams.page(limit, until, since, inclusive=self.until_inclusive)

    def add_team(self, team: Team) -> None:
        """Put in a team.

        Raises:
            ValueError: A team with that id exists already.
        """
        with self.lock:
            self._teams.add(team)

    @property
    def random(self) -> Random:
        """Where ids and secrets come from; to be used under the lock."""
        return self._random

    # Seeding

    def _seed_calling_token(self, now_ms: int) -> Token:
        """Make the token that callers are given: it may do everything and never expires."""
        return self.add_token(
            {"name": "simulated calling token", "createdAt": now_ms - 90 * DAY_MS}
        )

    def _extend(self, tokens: list[Token]) -> None:
        """Put in tokens, all or none."""
        for token in tokens:
            if token.bearer in self._bearers:
                raise ValueError("there is already a token with that bearer")
        self._tokens.extend(tokens)
        self._accept(tokens)

    def _accept(self, tokens: list[Token]) -> None:
        """Let the bearers of tokens authenticate from now on."""
        for token in tokens:
            self._bearers[token.bearer] = token
            self.history.note("created", token)
