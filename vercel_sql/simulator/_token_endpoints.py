"""The endpoints of the user's tokens."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vercel_sql.simulator._endpoints import Gate, answer, caller
from vercel_sql.simulator._errors import ApiError, invalid
from vercel_sql.simulator._json import Object, encode
from vercel_sql.simulator._requests import (
    json_object,
    page_limit,
    path_value,
    query_value,
    required,
)
from vercel_sql.simulator._state import State
from vercel_sql.simulator._teams import Team
from vercel_sql.simulator._tokens import Token

_NOT_FOUND = "Token not found with the requested `tokenId`."


class TokenEndpoints:
    """List, get, create and delete tokens."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._state: State = gate.state

    def routes(self) -> list[Route]:
        """Give the routes, in the versions that Vercel documents and its clients call."""
        return [
            self._gate.bearer("GET", "/v6/user/tokens", self.list, "list"),
            self._gate.bearer("GET", "/v5/user/tokens", self.list, "list"),
            self._gate.bearer("GET", "/v5/user/tokens/{token_id}", self.get, "get"),
            self._gate.bearer("POST", "/v3/user/tokens", self.create, "create"),
            self._gate.bearer("DELETE", "/v3/user/tokens/{token_id}", self.delete, "delete"),
        ]

    async def list(self, request: Request) -> Response:
        """Answer a page; the rows' JSON is joined as it is, which keeps large pages fast."""
        if {"teamId", "slug"} & set(request.query_params):
            raise ApiError(403, "Tokens are listed for the user alone, and for no team.")
        limit, until = page_limit(request), query_value(request, "until")
        with self._state.lock:
            page = self._state.token_page(limit, until)
            rows = b",".join([token.json for token in page.rows])
        body = b'{"tokens":[%b],"pagination":%b}' % (rows, encode(page.pagination()))
        return Response(body, media_type="application/json")

    async def get(self, request: Request) -> Response:
        """Answer one token."""
        with self._state.lock:
            shown = self._named(request).json
        return Response(b'{"token":%b}' % shown, media_type="application/json")

    async def create(self, request: Request) -> Response:
        """Create a token, and show its bearer this once."""
        types = {"name": str, "expiresAt": float, "projectId": str}
        body = await json_object(request, types)
        name = required(body, "name")
        now_ms = self._state.clock.now_ms()
        if body.get("expiresAt", now_ms + 1) <= now_ms:
            raise invalid("`expiresAt` should be in the future.")
        team = self._team(request)
        if "projectId" in body and team is None:
            raise ApiError(400, "Project-scoped tokens must be created within a team scope")
        token = self._state.add_token(
            _new_fields(name, now_ms, body.get("expiresAt"), team),
            kind="project" if "projectId" in body else None,
        )
        return answer({"token": token.fields, "bearerToken": token.bearer})

    async def delete(self, request: Request) -> Response:
        """Take out a token, possibly the calling one."""
        token = self._named(request)
        if not self._state.holds(token):
            raise ApiError(404, _NOT_FOUND)
        self._state.remove_token(token)
        return answer({"tokenId": token.id})

    def _named(self, request: Request) -> Token:
        token_id = path_value(request, "token_id")
        token = caller(request) if token_id == "current" else self._state.find_token(token_id)  # noqa: S105
        if token is None:
            raise ApiError(404, _NOT_FOUND)
        return token

    def _team(self, request: Request) -> Team | None:
        """Find the team on whose behalf a token is created; a slug in place of an id is none."""
        given = {name: query_value(request, name) for name in ("teamId", "slug")}
        teams = [self._state.find_team(value) for value in given.values() if value is not None]
        if not teams:
            return None
        team = teams[0]
        if team is None or team.limited_by or None in teams or given["teamId"] == team.slug:
            raise ApiError(403)
        if teams[-1] is not team:
            raise invalid("`teamId` and `slug` should name the same team.")
        return team


def _new_fields(name: str, now_ms: int, expires_at: float | None, team: Team | None) -> Object:
    """Describe a token that is created over the API."""
    expiry: Object = {} if expires_at is None else {"expiresAt": _whole(expires_at)}
    kind: Object = {"type": "user"} if team is None else {"type": "team", "teamId": team.id}
    return {
        "name": name,
        "type": "oauth2-token",
        "origin": "manual",
        "scopes": [{**kind, "origin": "manual", "createdAt": now_ms, **expiry}],
        **expiry,
        "activeAt": now_ms,
        "createdAt": now_ms,
    }


def _whole(number: float) -> float:
    """Write `1.0` as `1`, as JavaScript does."""
    return int(number) if number == int(number) else number
