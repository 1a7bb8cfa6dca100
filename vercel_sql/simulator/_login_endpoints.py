"""The endpoints of the login by email."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vercel_sql.simulator._endpoints import Gate, answer
from vercel_sql.simulator._errors import ApiError, invalid
from vercel_sql.simulator._json import Object
from vercel_sql.simulator._logins import Login
from vercel_sql.simulator._requests import json_object, query_value, required
from vercel_sql.simulator._state import State
from vercel_sql.simulator._teams import Team, new_team_id

_PLANS = ("pro", "hobby")
_DEFAULT_NAME = "Login by email"


class LoginEndpoints:
    """Ask for a login, and turn a confirmed one into an authentication token."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._state: State = gate.state

    def routes(self) -> list[Route]:
        """Give the routes; neither needs credentials."""
        return [
            self._gate.open("POST", "/registration", self.request),
            self._gate.open("GET", "/registration/verify", self.verify),
        ]

    async def request(self, request: Request) -> Response:
        """Begin a login, as if an email had been sent."""
        body = await json_object(request, {"email": str, "tokenName": str})
        email = required(body, "email")
        name, _, domain = email.rpartition("@")
        if not name or not domain:
            raise invalid('`email` should match format "email".')
        with self._state.lock:
            login = self._state.logins.request(email, body.get("tokenName"))
        return answer({"token": login.token, "securityCode": login.security_code})

    async def verify(self, request: Request) -> Response:
        """Give the authentication token of a login, once the person has confirmed it."""
        verification = query_value(request, "token")
        if not verification:
            raise invalid("missing required property `token`.")
        plan = query_value(request, "teamPlan")
        if plan is not None and plan not in _PLANS:
            raise invalid("`teamPlan` should be equal to one of the allowed values.")
        email = query_value(request, "email")
        with self._state.lock:
            login = self._state.logins.get(verification)
            if login is None or (email is not None and email != login.email):
                raise ApiError(403, "The verification token is wrong")
            if not login.confirmed:
                raise ApiError(400, "The login has not been confirmed yet")
            self._state.logins.finish(login)
            name = query_value(request, "tokenName") or login.token_name or _DEFAULT_NAME
            team = self._joined_team(
                query_value(request, "teamName"), query_value(request, "teamSlug"), plan
            )
            return self._finished(login, name, team)

    def _finished(self, login: Login, name: str, team: Team | None) -> Response:
        now_ms = self._state.clock.now_ms()
        token = self._state.add_token(
            {
                "name": name,
                "type": "oauth2-token",
                "origin": "email",
                "scopes": [{"type": "user", "origin": "email", "createdAt": now_ms}],
                "activeAt": now_ms,
                "createdAt": now_ms,
            },
            kind="cli",
        )
        body: Object = {"token": token.bearer, "email": login.email}
        return answer(body if team is None else body | {"teamId": team.id})

    def _joined_team(self, name: str | None, slug: str | None, plan: str | None) -> Team | None:
        """Find the team that a login names, or found it, as a first login does."""
        if not name and not slug:
            return None
        slug = slug or "-".join((name or "").lower().split())
        known = self._state.find_team(slug)
        if known is not None:
            return known
        now_ms = self._state.clock.now_ms()
        team = Team(
            id=new_team_id(self._state.random),
            slug=slug,
            name=name or slug,
            created_at=now_ms,
            updated_at=now_ms,
            user_id=self._state.user["id"],
            role="OWNER",
            plan=plan or "hobby",
        )
        self._state.add_team(team)
        return team
