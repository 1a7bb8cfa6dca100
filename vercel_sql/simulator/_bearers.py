"""A bearer of each kind, for whoever wants to see what it may do."""

from vercel_sql.simulator._installations import Installation
from vercel_sql.simulator._json import Object
from vercel_sql.simulator._kinds import Kind
from vercel_sql.simulator._oauth import OAuth
from vercel_sql.simulator._oauth_clients import SCOPES, OAuthClient
from vercel_sql.simulator._state import State
from vercel_sql.simulator._tokens import Token, new_bearer, new_secret


def new_token(kind: Kind, state: State, oauth: OAuth) -> Token:
    """Make a token of a kind, as its owner would get it."""
    with state.lock:
        client = oauth.clients.public
        if kind == "integration":
            integration = oauth.clients.integration
            installed = state.installations.add(integration.client_id, state.user["id"], None)
            return integration_token(state, integration, installed)
        if kind == "cli":
            client_id = "cl_" + new_secret(state.random, 32)
            client = OAuthClient("app", client_id, "Simulated Vercel CLI", native=True, reads=True)
            oauth.clients.add(client)
        if kind in ("app", "cli"):
            session = oauth.sessions.open(client, SCOPES)
            token = oauth.sessions.issue_access(session, SCOPES).token
            assert token is not None  # noqa: S101 - an access token is a token of the user
            return token
        if kind in ("team", "project", "limited"):
            now_ms = state.clock.now_ms()
            team = {"type": "team", "teamId": state.user["defaultTeamId"]}
            scope = {**team, "origin": "manual", "createdAt": now_ms}
            name = f"simulated {kind} token"
            return state.add_token({"name": name, "scopes": [scope]}, kind=kind)
        return state.calling_token


def integration_token(
    state: State, client: OAuthClient, installation: Installation, expires_at: int | None = None
) -> Token:
    """Make an access token that is good for the account of an installation alone."""
    now_ms = state.clock.now_ms()
    expiry: Object = {} if expires_at is None else {"expiresAt": expires_at}
    kind: Object = {"type": "user"}
    if installation.team_id is not None:
        kind = {"type": "team", "teamId": installation.team_id}
    scope = {**kind, "origin": "app", "createdAt": now_ms, **expiry}
    token = state.add_token(
        {"name": client.name, "origin": "app", "scopes": [scope], **expiry},
        bearer=new_bearer(state.random, "vci_"),
        created_at=now_ms,
        listed=False,
        kind="integration",
    )
    state.installations.bind(token, installation)
    return token
