"""The simulated authorization server apart from HTTP, and how tests steer it."""

from collections.abc import Mapping
from random import Random
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from vercel_sql.simulator.clients import SCOPES, ClientKind, OAuthClient, OAuthClients
from vercel_sql.simulator.consent import Consents, read_asked
from vercel_sql.simulator.id_tokens import IdTokens, KeyRing
from vercel_sql.simulator.models import Installation, Kind, Token, new_bearer, new_secret
from vercel_sql.simulator.pages import PageError, RedirectError
from vercel_sql.simulator.sessions import Code, Codes, Devices, Sessions
from vercel_sql.simulator.store import State

_KINDS: Mapping[str, ClientKind] = {
    "authorization": "app",
    "integration": "integration",
    "sso": "sso",
}


class OAuth:
    """Clients, codes, consents, devices, sessions and keys.

    The methods are safe to use from any thread. `keys` are the authorization server's, and
    `marketplace_keys` sign SSO ID tokens. `unknown_sso_client` is the status for providers that
    the SSO exchange does not know: 400, 403 and 500 are documented.
    """

    def __init__(self, state: State, seed: int) -> None:
        self._state = state
        self.clients = OAuthClients(Random(f"{seed} clients"))  # noqa: S311 (as in the state)
        self.codes = Codes(state)
        self.sessions = Sessions(state)
        self.devices = Devices(state)
        self.consents = Consents(state, self.clients, self.codes, self.devices)
        self.keys = KeyRing()
        self.marketplace_keys = KeyRing()
        self.id_tokens = IdTokens()
        self.unknown_sso_client: Literal[400, 403, 500] = 403

    def mint_code(
        self,
        kind: str = "authorization",
        *,
        client_id: str | None = None,
        redirect_uri: str | None = None,
        team: str | None = None,
        scope: str | None = None,
        nonce: str | None = None,
        code_challenge: str | None = None,
        state: str | None = None,
        age_seconds: float = 0,
    ) -> Code:
        """Make a code as if the person had come back from the browser with it.

        Args:
            kind: `authorization`, `integration` or `sso`.
            client_id: The seeded client of the kind (the public app) by default.
            redirect_uri: What it is bound to; by default the client's first, for `sso` none.
            team: The id or slug of the team that the integration is installed on.
            scope: What is granted; all that an app has by default. An `sso` code with any scope
                gives an access token, and with `offline_access` a refresh token.
            nonce: What the ID token repeats.
            code_challenge: What the verifier is checked against; an authorization code without
                one cannot be exchanged.
            state: What an `sso` code is bound to beside its redirect URI.
            age_seconds: How long ago it was made.

        Raises:
            LookupError: There is no such client or team.
            ValueError: The kind is unknown.
        """
        if kind not in _KINDS:
            raise ValueError(f"`kind` should be one of {', '.join(_KINDS)}.")
        with self._state.lock:
            client = self._client(_KINDS[kind], client_id)
            installation = None if client.kind == "app" else self._install(client, team)
            if redirect_uri is None and client.kind != "sso":
                redirect_uri = client.redirect_uris[0]
            code = self.codes.new(client.kind, client.client_id, age_seconds=age_seconds)
            code.redirect_uri, code.state = redirect_uri, state
            code.nonce, code.code_challenge = nonce, code_challenge
            code.scopes = client.grant("" if kind == "sso" and not scope else scope)
            code.installation_id = None if installation is None else installation.id
            return code

    def _client(self, kind: ClientKind, client_id: str | None) -> OAuthClient:
        if client_id is None:
            return self.clients.default(kind)
        client = self.clients.find(client_id, kind)
        if client is None:
            raise LookupError(f"No client of that kind has the id {client_id!r}")
        return client

    def _install(self, client: OAuthClient, team: str | None) -> Installation:
        found = None if team is None else self._state.find_team(team)
        if team is not None and found is None:
            raise LookupError(f"No team has the id or slug {team!r}")
        return self._state.install(client.client_id, None if found is None else found.id)

    def authorize(self, url: str, *, approve: bool = True) -> str:
        """Answer an authorize URL as a person would; give where the browser is sent.

        If the browser would show an error page, a ValueError has its message.
        """
        query = parse_qsl(urlsplit(url).query, keep_blank_values=True)
        try:
            with self._state.lock:
                return self.consents.decide(read_asked(query, self.clients), approve=approve)
        except RedirectError as error:
            return error.location
        except PageError as error:
            raise ValueError(str(error)) from None

    def authorize_device(self, user_code: str | None = None, *, approve: bool = True) -> int:
        """Answer the device of a user code, or all that wait; give how many (or LookupError)."""
        return self.devices.answer(user_code, approve=approve)

    def spoil_id_tokens(
        self, fault: str, *, times: int = 1, claims: Mapping[str, Any] | None = None
    ) -> None:
        """Let the next ID tokens have one of the faults that the module `id_tokens` lists."""
        with self._state.lock:
            self.id_tokens.spoil(fault, times, claims)

    def rotate_keys(self, *, keep_old: bool = True, kid: str | None = None) -> str:
        """Sign with a new key from now on: see `KeyRing.rotate`."""
        with self._state.lock:
            return self.keys.rotate(keep_old=keep_old, kid=kid)

    def expire_token(self, text: str) -> None:
        """Let a token be expired from now on: any bearer of the account, or a refresh token."""
        with self._state.lock:
            now_ms = self._state.clock.now_ms()
            token, issued = self._state.find_bearer(text), self.sessions.find(text)
            if token is None and issued is None:
                raise LookupError("There is no such token")
            if token is not None:
                token.set("expiresAt", now_ms)
            if issued is not None:
                issued.expires_at = now_ms

    def disable_configuration(self, installation_id: str, *, disabled: bool = True) -> Installation:
        """Disable a configuration, as when its owner leaves the team; or enable it again."""
        with self._state.lock:
            installation = self._state.installations.get(installation_id)
            if installation is None:
                raise LookupError(f"No configuration has the id {installation_id!r}")
            installation.disabled = disabled
            return installation

    def new_token(self, kind: Kind) -> Token:
        """Make a token of a kind, as its owner would get it; of `full`, give the calling token."""
        state, client = self._state, self.clients.public
        with state.lock:
            if kind == "integration":
                integration = self.clients.integration
                return self.integration_token(integration, self._install(integration, None))
            if kind == "cli":
                client_id, name = "cl_" + new_secret(state.random, 32), "Simulated Vercel CLI"
                client = OAuthClient("app", client_id, name, native=True, reads=True)
                self.clients.add(client)
            if kind in ("app", "cli"):
                return self.sessions.issue_access(self.sessions.open(client, SCOPES), SCOPES)
            if kind in ("team", "project", "limited"):
                name, team_id = f"simulated {kind} token", state.user["defaultTeamId"]
                now_ms = state.clock.now_ms()
                return state.issue_token(name, "manual", now_ms, team_id=team_id, kind=kind)
            return state.calling_token

    def integration_token(
        self, client: OAuthClient, installation: Installation, expires_at: int | None = None
    ) -> Token:
        """Make an access token that is good for the account of an installation alone."""
        return self._state.issue_token(
            client.name,
            "app",
            self._state.clock.now_ms(),
            team_id=installation.team_id,
            expires_at=expires_at,
            bearer=new_bearer(self._state.random, "vci_"),
            listed=False,
            kind="integration",
            installation=installation,
        )
