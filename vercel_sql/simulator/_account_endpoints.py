"""The endpoints of the user and the teams."""

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vercel_sql.simulator._endpoints import Gate, answer, caller
from vercel_sql.simulator._errors import ApiError
from vercel_sql.simulator._kinds import out_of_scope, sees_all
from vercel_sql.simulator._requests import page_limit, path_value, query_value
from vercel_sql.simulator._state import State
from vercel_sql.simulator._teams import Team
from vercel_sql.simulator._tokens import Token
from vercel_sql.simulator._user import limited


class AccountEndpoints:
    """Show the user, list the teams, get a team."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._state: State = gate.state

    def routes(self) -> list[Route]:
        """Give the routes; the command line calls `/v1/teams` and `/teams/{id}`."""
        return [
            self._gate.bearer("GET", "/v2/user", self.user, "user"),
            self._gate.bearer("GET", "/v2/teams", self.teams, "teams"),
            self._gate.bearer("GET", "/v1/teams", self.teams, "teams"),
            self._gate.bearer("GET", "/v2/teams/{team}", self.team, "teams"),
            self._gate.bearer("GET", "/teams/{team}", self.team, "teams"),
        ]

    async def user(self, request: Request) -> Response:
        """Answer the user, in limited form where the token does not reach the whole account."""
        user = self._state.user
        return answer({"user": user if sees_all(caller(request).kind) else limited(user)})

    async def teams(self, request: Request) -> Response:
        """Answer a page of the teams."""
        page = self._state.team_page(
            page_limit(request), query_value(request, "until"), query_value(request, "since")
        )
        teams = [_shown(team, caller(request)).as_json() for team in page.rows]
        return answer({"teams": teams, "pagination": page.pagination()})

    async def team(self, request: Request) -> Response:
        """Answer one team, by id or slug."""
        team = self._state.find_team(path_value(request, "team"))
        if team is None:
            raise ApiError(404, "Team not found")
        if _shown(team, caller(request)) is not team:
            raise out_of_scope(team.slug)
        if team.limited_by:
            raise ApiError(403)
        return answer(team.as_json())


def _shown(team: Team, token: Token) -> Team:
    """Give a team as a token sees it: in limited form where it is out of the token's scope."""
    if sees_all(token.kind) or (token.kind != "limited" and team.id in token.team_ids):
        return team
    return replace(team, limited_by=tuple(dict.fromkeys((*team.limited_by, "scope"))))
