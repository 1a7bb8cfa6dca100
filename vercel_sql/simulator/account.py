"""The endpoints of the account: its tokens, its user, its teams, and the login by email."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vercel_sql.simulator.endpoints import Call, Endpoint, out_of_scope, sees_all
from vercel_sql.simulator.messages import ApiError, Object, Response, answer, encode, invalid
from vercel_sql.simulator.models import Login, Team, Token, new_secret
from vercel_sql.simulator.seed import new_security_code

_NOT_FOUND = "Token not found with the requested `tokenId`."


def list_tokens(call: Call) -> Response:
    """Answer a page; the rows' JSON is joined as it is, which keeps large pages fast."""
    if {"teamId", "slug"} & {name for name, _ in call.request.query}:
        raise ApiError(403, "Tokens are listed for the user alone, and for no team.")
    page = call.state.token_page(call.page_limit(), call.query("until"))
    rows = b",".join([token.json for token in page.rows])
    body = b'{"tokens":[%b],"pagination":%b}' % (rows, encode(page.pagination()))
    return Response(body, content_type="application/json")


def get_token(call: Call) -> Response:
    return Response(b'{"token":%b}' % _named(call).json, content_type="application/json")


def create_token(call: Call) -> Response:
    """Create a token, and show its bearer this once."""
    body = call.json({"name": str, "expiresAt": float, "projectId": str}, "name")
    expires_at = body.get("expiresAt")
    if expires_at is not None and expires_at <= call.state.clock.now_ms():
        raise invalid("`expiresAt` should be in the future.")
    team = _team(call)
    if "projectId" in body and team is None:
        raise ApiError(400, "Project-scoped tokens must be created within a team scope")
    if expires_at is not None and expires_at == int(expires_at):
        expires_at = int(expires_at)  # `1.0` is `1`, as JavaScript writes it
    token = call.state.issue_token(
        body["name"],
        "manual",
        team_id=None if team is None else team.id,
        expires_at=expires_at,
        kind="project" if "projectId" in body else None,
    )
    return answer({"token": token.fields, "bearerToken": token.bearer})


def delete_token(call: Call) -> Response:
    """Take out a token, possibly the calling one."""
    token = _named(call)
    if not call.state.holds(token):
        raise ApiError(404, _NOT_FOUND)
    call.state.remove_token(token)
    return answer({"tokenId": token.id})


def _named(call: Call) -> Token:
    id_ = call.parts["token_id"]
    token = call.caller if id_ == "current" else call.state.find_token(id_)
    if token is None:
        raise ApiError(404, _NOT_FOUND)
    return token


def _team(call: Call) -> Team | None:
    """Find the team on whose behalf a token is created; a slug in place of an id is none."""
    given = {name: call.query(name) for name in ("teamId", "slug")}
    teams = [call.state.find_team(value) for value in given.values() if value is not None]
    if not teams:
        return None
    team = teams[0]
    if team is None or team.limited_by or None in teams or given["teamId"] == team.slug:
        raise ApiError(403)
    if teams[-1] is not team:
        raise invalid("`teamId` and `slug` should name the same team.")
    return team


def get_user(call: Call) -> Response:
    """Answer the user, in limited form where the token does not reach the whole account."""
    user: Mapping[str, Any] = call.state.user
    if sees_all(call.caller.kind):
        return answer({"user": user})
    always = ("id", "email", "name", "username", "avatar", "defaultTeamId")
    shown = {name: user[name] for name in always if name in user}
    return answer({"user": {"limited": True, **shown}})


def list_teams(call: Call) -> Response:
    page = call.state.team_page(call.page_limit(), call.query("until"), call.query("since"))
    teams = [_shown(team, call.caller).as_json() for team in page.rows]
    return answer({"teams": teams, "pagination": page.pagination()})


def get_team(call: Call) -> Response:
    team = call.state.find_team(call.parts["team"])
    if team is None:
        raise ApiError(404, "Team not found")
    if _shown(team, call.caller) is not team:
        raise out_of_scope(team.slug)
    if team.limited_by:
        raise ApiError(403)
    return answer(team.as_json())


def _shown(team: Team, token: Token) -> Team:
    """Return a team as a token sees it: in limited form where it is out of the token's scope."""
    if sees_all(token.kind) or (token.kind != "limited" and team.id in token.team_ids):
        return team
    return replace(team, limited_by=tuple(dict.fromkeys((*team.limited_by, "scope"))))


# The login by email


def request_login(call: Call) -> Response:
    body = call.json({"email": str, "tokenName": str}, "email")
    email = body["email"]
    name, _, domain = email.rpartition("@")
    if not name or not domain:
        raise invalid('`email` should match format "email".')
    code = new_security_code(call.state.random)
    login = Login(new_secret(call.state.random), email, body.get("tokenName"), code)
    call.state.logins[login.token] = login
    return answer({"token": login.token, "securityCode": code})


def verify_login(call: Call) -> Response:
    """Return the authentication token of a login, once the person has confirmed it."""
    verification = call.query("token")
    if not verification:
        raise invalid("missing required property `token`.")
    plan = call.query("teamPlan")
    if plan not in (None, "pro", "hobby"):
        raise invalid("`teamPlan` should be equal to one of the allowed values.")
    email = call.query("email")
    login = call.state.logins.get(verification)
    if login is None or (email is not None and email != login.email):
        raise ApiError(403, "The verification token is wrong")
    if not login.confirmed:
        raise ApiError(400, "The login has not been confirmed yet")
    del call.state.logins[login.token]  # a verification token works once
    name = call.query("tokenName") or login.token_name or "Login by email"
    team = _joined_team(call, plan or "hobby")
    token = call.state.issue_token(name, "email", kind="cli")
    body: Object = {"token": token.bearer, "email": login.email}
    return answer(body if team is None else body | {"teamId": team.id})


def _joined_team(call: Call, plan: str) -> Team | None:
    """Find the team that a login names, or found it, as a first login does."""
    state, name, slug = call.state, call.query("teamName"), call.query("teamSlug")
    if not name and not slug:
        return None
    slug = slug or "-".join((name or "").lower().split())
    known = state.find_team(slug)
    if known is not None:
        return known
    now_ms = state.clock.now_ms()
    team = Team(
        id="team_" + new_secret(state.random),
        slug=slug,
        name=name or slug,
        created_at=now_ms,
        updated_at=now_ms,
        user_id=state.user["id"],
        role="OWNER",
        plan=plan,
    )
    state.add_team(team)
    return team


ENDPOINTS = [
    Endpoint("GET", "/v6/user/tokens", list_tokens, "list"),
    Endpoint("GET", "/v5/user/tokens", list_tokens, "list"),
    Endpoint("GET", "/v5/user/tokens/{token_id}", get_token, "get"),
    Endpoint("POST", "/v3/user/tokens", create_token, "create"),
    Endpoint("DELETE", "/v3/user/tokens/{token_id}", delete_token, "delete"),
    Endpoint("GET", "/v2/user", get_user, "user"),
    Endpoint("GET", "/v2/teams", list_teams, "teams"),
    Endpoint("GET", "/v1/teams", list_teams, "teams"),
    Endpoint("GET", "/v2/teams/{team}", get_team, "teams"),
    Endpoint("GET", "/teams/{team}", get_team, "teams"),
    Endpoint("POST", "/registration", request_login),
    Endpoint("GET", "/registration/verify", verify_login),
]
"""The versions that Vercel documents, and those that its command line calls."""
