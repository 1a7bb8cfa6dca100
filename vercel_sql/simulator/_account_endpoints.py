"""The endpoints of the user and the teams."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vercel_sql.simulator._endpoints import Gate, answer
from vercel_sql.simulator._errors import ApiError
from vercel_sql.simulator._requests import page_limit, path_value, query_value
from vercel_sql.simulator._state import State


class AccountEndpoints:
    """Show the user, list the teams, get a team."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._state: State = gate.state

    def routes(self) -> list[Route]:
        """Give the routes; the command line calls `/v1/teams` and `/teams/{id}`."""
        return [
            self._gate.bearer("GET", "/v2/user", self.user),
            self._gate.bearer("GET", "/v2/teams", self.teams),
            self._gate.bearer("GET", "/v1/teams", self.teams),
            self._gate.bearer("GET", "/v2/teams/{team}", self.team),
            self._gate.bearer("GET", "/teams/{team}", self.team),
        ]

    async def user(self, _request: Request) -> Response:
        """Answer the user."""
        return answer({"user": self._state.user})

    async def teams(self, request: Request) -> Response:
        """Answer a page of the teams."""
        page = self._state.team_page(
            page_limit(request), query_value(request, "until"), query_value(request, "since")
        )
        teams = [team.as_json() for team in page.rows]
        return answer({"teams": teams, "pagination": page.pagination()})

    async def team(self, request: Request) -> Response:
        """Answer one team, by id or slug."""
        team = self._state.find_team(path_value(request, "team"))
        if team is None:
            raise ApiError(404, "Team not found")
        if team.limited_by:
            raise ApiError(403)
        return answer(team.as_json())
