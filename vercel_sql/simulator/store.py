"""What the simulated account holds, and pages that neither lose nor double a row."""

import base64
import re
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Generic, Literal, TypeVar

from vercel_sql.simulator.messages import ApiError, Object, invalid
from vercel_sql.simulator.models import (
    DAY_MS,
    Clock,
    Installation,
    Kind,
    Login,
    ReceivedRequest,
    Team,
    Token,
    TokenEvent,
    hints,
    new_bearer,
)
from vercel_sql.simulator.seed import seed_teams, seed_tokens, seed_user

_Key = tuple[int, str]
"""When a row was created (ms), and its id, which orders rows of the same millisecond."""

_MILLISECONDS = re.compile(r"[0-9]{1,16}", re.ASCII)
_CURSOR_PREFIX = "cur_"

R = TypeVar("R", Token, Team)


@dataclass(frozen=True)
class Page(Generic[R]):
    """Some rows, newest first, and how to ask for those before and after."""

    rows: list[R]
    next: int | str | None
    prev: int | None

    def pagination(self) -> Object:
        """Return an answer's `pagination`: its cursors are both numbers or both text."""
        is_text = isinstance(self.next, str) and self.prev is not None
        prev = str(self.prev) if is_text else self.prev
        return {"count": len(self.rows), "next": self.next, "prev": prev}


class Timeline(Generic[R]):
    """Rows by id and by creation; a page costs the same however many rows there are.

    With `only_numbers`, cursors are numbers even where a number may lose a row.
    """

    def __init__(self, *, only_numbers: bool = False) -> None:
        self._only_numbers = only_numbers
        self._keys: list[_Key] = []
        self._rows: dict[str, R] = {}

    def __iter__(self) -> Iterator[R]:
        return iter([self._rows[id_] for _, id_ in reversed(self._keys)])

    def get(self, id_: str) -> R | None:
        return self._rows.get(id_)

    def extend(self, rows: Iterable[R]) -> None:
        """Put in many new rows, sorting once; a ValueError if an id is taken."""
        for row in rows:
            if row.id in self._rows:
                raise ValueError(f"there is already a row with the id {row.id!r}")
            self._rows[row.id] = row
            self._keys.append((row.created_at, row.id))
        self._keys.sort()

    def remove(self, row: R) -> None:
        del self._rows[row.id]
        del self._keys[bisect_left(self._keys, (row.created_at, row.id))]

    def page(
        self, limit: int, until: str | None, since: str | None = None, *, inclusive: bool = True
    ) -> Page[R]:
        """Return at most `limit` rows, newest first.

        `until` is the cursor of an earlier page: a millisecond, or a string made here. `since` is
        the millisecond to begin at. Both include their own millisecond if `inclusive`.
        """
        end = len(self._keys) if until is None else self._position(until, inclusive)
        first = 0
        if since is not None:
            first = self._before(_milliseconds("since", since) + (not inclusive))
        start = max(first, end - limit)
        keys = self._keys[start:end] if start < end else []
        return Page(
            rows=[self._rows[id_] for _, id_ in reversed(keys)],
            next=self._cursor(start, limit, inclusive) if keys and start > first else None,
            prev=keys[-1][0] if keys else None,
        )

    def _before(self, millisecond: int) -> int:
        return bisect_left(self._keys, (millisecond,))  # sorts before all of that millisecond

    def _position(self, until: str, inclusive: bool) -> int:
        """Count the rows that `until` leaves."""
        if until.startswith(_CURSOR_PREFIX):
            return bisect_left(self._keys, _read_cursor(until))
        return self._before(_milliseconds("until", until) + inclusive)

    def _cursor(self, start: int, limit: int, inclusive: bool) -> int | str:
        """Say where the page after the one that begins at `start` goes on.

        A millisecond will do if it loses nothing and brings something new: including its own,
        unless the rows that share it fill a whole page (the next page would be the same rows for
        ever); excluding its own, unless rows that share it are still to come (they would be lost).
        """
        created_at = self._keys[start][0]
        if inclusive:
            sharing = self._before(created_at + 1) - self._before(created_at)
            enough = sharing < limit
        else:
            enough = self._keys[start - 1][0] < created_at
        if self._only_numbers:
            return created_at if enough or not inclusive else created_at - 1
        return created_at if enough else _write_cursor(self._keys[start])


def _milliseconds(name: str, value: str) -> int:
    if not _MILLISECONDS.fullmatch(value):
        raise invalid(f"`{name}` should be a timestamp in milliseconds or a cursor.")
    return int(value)


def _write_cursor(key: _Key) -> str:
    text = f"{key[0]}:{key[1]}"
    return _CURSOR_PREFIX + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> _Key:
    encoded = cursor.removeprefix(_CURSOR_PREFIX)
    try:
        text = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        created_at, _, id_ = text.partition(":")
        key = (int(created_at), id_)
    except ValueError:
        key = (0, "")
    if _write_cursor(key) != cursor:  # nothing but what was given out
        raise invalid("`until` is not a cursor.")
    return key


class State:
    """All that the account holds, from the user to its integrations; safe from any thread.

    `user` is the object that `/v2/user` shows, and may be changed. `lists_revoked` is whether a
    token that is taken out stays in the listing, with its `revokedAt`. All else is to be used
    under the `lock`: `received` is every request, and `events` what became of each token, which
    `serving`, the index of the request that is served at the moment, is ascribed to. `logins` are
    those by email that are not finished, by verification token, and `installations` those of
    integrations, by id. Ids and secrets are made from `random`.
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
        self.received: list[ReceivedRequest] = []
        self.events: list[TokenEvent] = []
        self.serving: int | None = None
        self.until_inclusive = until_inclusive
        self.lists_revoked = False
        self.random = Random(seed)  # noqa: S311 (simulated secrets are to be the same each time)
        now_ms = self.clock.now_ms()
        self.user: Object = seed_user(self.random, now_ms)
        self._teams: Timeline[Team] = Timeline(only_numbers=True)
        teams = seed_teams(self.random, now_ms, self.user["id"])
        self._teams.extend(teams)
        self.user["defaultTeamId"] = teams[0].id
        self.logins: dict[str, Login] = {}
        self.installations: dict[str, Installation] = {}
        self._tokens: Timeline[Token] = Timeline()
        self._bearers: dict[str, Token] = {}
        # The token that callers are given: it may do everything and never expires.
        self.calling_token = self.add_token(
            {"name": "simulated calling token", "createdAt": now_ms - 90 * DAY_MS}
        )
        if isinstance(tokens, int):
            self._accept(seed_tokens(self.random, now_ms, teams, tokens))
        else:
            for fields in tokens:
                self.add_token(fields)

    # Tokens

    def tokens(self) -> list[Token]:
        """Return all tokens, newest first."""
        with self.lock:
            return list(self._tokens)

    def find_token(self, id_: str) -> Token | None:
        return self._tokens.get(id_)

    def token_page(self, limit: int, until: str | None) -> Page[Token]:
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
        installation: Installation | None = None,
    ) -> Token:
        """Put in a hand-made token.

        Args:
            fields: What the API is to show, over sensible defaults; any JSON at all.
            bearer: What authenticates it; made if it is not given.
            created_at: Its place in the listing (ms); else its `createdAt`, else now.
            without: Names of fields that the API is not to show.
            listed: Whether it is one of the user's own tokens; an integration's is not, and
                only calls made with it show it, as `current`.
            kind: What it may do; else its scopes tell.
            installation: What an integration's token speaks for.

        Raises:
            ValueError: A token with that id or bearer exists already.
        """
        with self.lock:
            given = dict(fields or {})
            if created_at is None:
                shown = given.get("createdAt")
                created_at = shown if type(shown) is int else self.clock.now_ms()
            bearer = bearer or new_bearer(self.random)
            defaults: Object = {
                "id": self.random.randbytes(32).hex(),
                "name": "hand-made",
                "type": "oauth2-token",
                "origin": "manual",
                "scopes": [{"type": "user", "origin": "manual", "createdAt": created_at}],
                "activeAt": created_at,
                "createdAt": created_at,
                **hints(bearer),
            }
            token = Token(
                defaults | given,
                bearer=bearer,
                created_at=created_at,
                kind=kind,
                installation=installation,
            )
            for name in without:
                token.remove(name)
            self._accept([token], listed=listed)
            return token

    def issue_token(
        self,
        name: str,
        origin: str,
        *,
        team_id: str | None = None,
        expires_at: float | None = None,
        seconds: int | None = None,
        **options: Any,
    ) -> Token:
        """Put in a token of one scope, as endpoints do, with options of `add_token`.

        It expires at a moment (ms), or after so many seconds.
        """
        now_ms = self.clock.now_ms()
        expires_at = expires_at if seconds is None else now_ms + seconds * 1000
        expiry: Object = {} if expires_at is None else {"expiresAt": expires_at}
        whose: Object = {"type": "team", "teamId": team_id} if team_id else {"type": "user"}
        scope = {**whose, "origin": origin, "createdAt": now_ms, **expiry}
        fields = {"name": name, "origin": origin, "scopes": [scope], **expiry}
        return self.add_token(fields, created_at=now_ms, **options)

    def remove_token(self, token: Token) -> None:
        """Take out a token, so that it is neither listed nor accepted any more."""
        with self.lock:
            if self.lists_revoked:
                token.set("revokedAt", self.clock.now_ms())
            elif self._tokens.get(token.id) is token:
                self._tokens.remove(token)
            del self._bearers[token.bearer]
            self._note("removed", token)

    def find_bearer(self, bearer: str) -> Token | None:
        """Find a token by its bearer, dead or alive."""
        return self._bearers.get(bearer)

    def holds(self, token: Token) -> bool:
        return self.find_bearer(token.bearer) is token

    def identify(self, authorization: str | None) -> Token | ApiError:
        """Return whose request it is, or the error to refuse it with."""
        if authorization is None:
            return ApiError(403, extra={"missingToken": True})
        scheme, _, bearer = authorization.strip().partition(" ")
        if scheme.lower() != "bearer" or not bearer.strip():
            return ApiError(401, "The request's credentials are not a bearer token")
        token = self.find_bearer(bearer.strip())
        if token is None or not token.is_alive(self.clock.now_ms()):
            return ApiError(403, extra={"invalidToken": True})
        return token

    def touch(self, token: Token) -> None:
        with self.lock:
            now_ms = self.clock.now_ms()
            if token.get("activeAt") != now_ms:
                token.set("activeAt", now_ms)

    def _accept(self, tokens: list[Token], *, listed: bool = True) -> None:
        """Put in tokens, all or none, whose bearers authenticate from now on."""
        if listed:
            if any(token.bearer in self._bearers for token in tokens):
                raise ValueError("there is already a token with that bearer")
            self._tokens.extend(tokens)
        for token in tokens:
            self._bearers[token.bearer] = token
            self._note("created", token)

    def _note(self, event: Literal["created", "removed"], token: Token) -> None:
        name, now_ms = token.get("name"), self.clock.now_ms()
        shown = name if isinstance(name, str) else None
        self.events.append(TokenEvent(event, token.id, shown, token.bearer, now_ms, self.serving))

    # Teams

    @property
    def teams(self) -> list[Team]:
        with self.lock:
            return list(self._teams)

    def find_team(self, id_or_slug: str) -> Team | None:
        by_slug = (team for team in self.teams if team.slug == id_or_slug)
        return self._teams.get(id_or_slug) or next(by_slug, None)

    def team_page(self, limit: int, until: str | None, since: str | None) -> Page[Team]:
        return self._teams.page(limit, until, since, inclusive=self.until_inclusive)

    def add_team(self, team: Team) -> None:
        """Put in a team; a ValueError if its id is taken."""
        with self.lock:
            self._teams.extend([team])

    # Logins

    def confirm(self, *, email: str | None = None, token: str | None = None) -> int:
        """Confirm the logins of an email address, or the one of a token; return how many."""
        with self.lock:
            waiting = [
                login
                for login in self.logins.values()
                if not login.confirmed and (login.token == token or login.email == email)
            ]
            for login in waiting:
                login.confirmed = True
        if not waiting:
            raise LookupError("No login is waiting to be confirmed for that email or token")
        return len(waiting)
