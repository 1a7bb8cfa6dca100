"""The endpoints of the login by email."""

from starlette.responses import Response

from vercel_sql.simulator.endpoints import Call, Endpoint, required
from vercel_sql.simulator.messages import ApiError, Object, answer, invalid
from vercel_sql.simulator.models import Team
from vercel_sql.simulator.seed import new_team_id
from vercel_sql.simulator.store import State

_PLANS = ("pro", "hobby")
_DEFAULT_NAME = "Login by email"


def request_login(call: Call) -> Response:
    """Begin a login, as if an email had been sent."""
    body = call.json({"email": str, "tokenName": str})
    email = required(body, "email")
    name, _, domain = email.rpartition("@")
    if not name or not domain:
        raise invalid('`email` should match format "email".')
    login = call.state.add_login(email, body.get("tokenName"))
    return answer({"token": login.token, "securityCode": login.security_code})


def verify_login(call: Call) -> Response:
    """Give the authentication token of a login, once the person has confirmed it."""
    verification = call.query("token")
    if not verification:
        raise invalid("missing required property `token`.")
    plan = call.query("teamPlan")
    if plan is not None and plan not in _PLANS:
        raise invalid("`teamPlan` should be equal to one of the allowed values.")
    email = call.query("email")
    login = call.state.logins.get(verification)
    if login is None or (email is not None and email != login.email):
        raise ApiError(403, "The verification token is wrong")
    if not login.confirmed:
        raise ApiError(400, "The login has not been confirmed yet")
    del call.state.logins[login.token]  # a verification token works once
    name = call.query("tokenName") or login.token_name or _DEFAULT_NAME
    team = _joined_team(call.state, call.query("teamName"), call.query("teamSlug"), plan)
    token = call.state.issue_token(name, "email", call.state.clock.now_ms(), kind="cli")
    body: Object = {"token": token.bearer, "email": login.email}
    return answer(body if team is None else body | {"teamId": team.id})


def _joined_team(state: State, name: str | None, slug: str | None, plan: str | None) -> Team | None:
    """Find the team that a login names, or found it, as a first login does."""
    if not name and not slug:
        return None
    slug = slug or "-".join((name or "").lower().split())
    known = state.find_team(slug)
    if known is not None:
        return known
    now_ms = state.clock.now_ms()
    team = Team(
        id=new_team_id(state.random),
        slug=slug,
        name=name or slug,
        created_at=now_ms,
        updated_at=now_ms,
        user_id=state.user["id"],
        role="OWNER",
        plan=plan or "hobby",
    )
    state.add_team(team)
    return team


ENDPOINTS = [
    Endpoint("POST", "/registration", request_login),
    Endpoint("GET", "/registration/verify", verify_login),
]
