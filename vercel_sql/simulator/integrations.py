"""The endpoints at which integrations exchange their codes."""

from collections.abc import Mapping

from starlette.responses import Response

from vercel_sql.simulator.clients import ClientKind, OAuthClient
from vercel_sql.simulator.endpoints import MARKETPLACE_PATH, Call, Endpoint, required
from vercel_sql.simulator.id_tokens import issued, user_claims
from vercel_sql.simulator.messages import ApiError, Object, invalid, no_store
from vercel_sql.simulator.models import new_secret
from vercel_sql.simulator.oauth import OAuth
from vercel_sql.simulator.sessions import ACCESS_SECONDS, REFRESH_SECONDS, Code, GrantError

_SSO_PROPERTIES = (
    *("client_id", "client_secret", "code", "redirect_uri", "state"),
    *("grant_type", "refresh_token"),
)

Form = Mapping[str, str]


class IntegrationEndpoints:
    """The code exchange of installed integrations, and the token exchange of single sign-on."""

    def __init__(self, oauth: OAuth) -> None:
        self._oauth = oauth
        self._sso_refresh: dict[str, tuple[Code, int]] = {}
        self.endpoints = [
            Endpoint("POST", "/v2/oauth/access_token", self._exchange),
            Endpoint("POST", "/v1/integrations/sso/token", self._sso),
        ]

    def _exchange(self, call: Call) -> Response:
        """Turn the code of an installation into its access token, which does not expire."""
        body = _form(call)
        secret, text = required(body, "client_secret"), required(body, "code")
        redirect_uri = required(body, "redirect_uri")
        client = self._client("integration", required(body, "client_id"))
        _check_secret(client, secret)
        code = self._good_code(client, text)
        if code.redirect_uri != redirect_uri:
            raise invalid("`redirect_uri` should be the one of the integration.")
        code.used = True
        installation = call.state.installations[code.installation_id or ""]
        token = self._oauth.integration_token(client, installation)
        return no_store(
            {
                "token_type": "Bearer",
                "access_token": token.bearer,
                "installation_id": installation.id,
                "user_id": installation.user_id,
                "team_id": installation.team_id,
            }
        )

    def _sso(self, call: Call) -> Response:
        """Say who a person is that comes to a provider from Vercel."""
        body = _form(call) if call.has_form else call.json(dict.fromkeys(_SSO_PROPERTIES, str))
        secret = required(body, "client_secret")
        unknown = self._oauth.unknown_sso_client
        client = self._client("sso", required(body, "client_id"), unknown)
        _check_secret(client, secret)
        match body.get("grant_type", "authorization_code"):
            case "authorization_code":
                code = self._sso_code(client, body)
                return self._signed_on(call, client, code, code.nonce)
            case "refresh_token":
                code = self._sso_refreshed(call, client, body)
                return self._signed_on(call, client, code, None)
        raise invalid("`grant_type` should be equal to one of the allowed values.")

    def _sso_code(self, client: OAuthClient, body: Form) -> Code:
        """Use up a code; what it was bound to has to come back with it."""
        code = self._good_code(client, required(body, "code"))
        for name, bound in (("redirect_uri", code.redirect_uri), ("state", code.state)):
            if bound is not None and body.get(name) != bound:
                raise invalid(f"`{name}` should be the one that the code is bound to.")
        code.used = True
        return code

    def _sso_refreshed(self, call: Call, client: OAuthClient, body: Form) -> Code:
        """Use up a refresh token; the next one comes with the answer."""
        text = required(body, "refresh_token")
        code, expires_at = self._sso_refresh.get(text, (None, 0))
        if code is None or code.client_id != client.client_id:
            raise invalid("`refresh_token` should be one that was given to this client.")
        del self._sso_refresh[text]
        if expires_at <= call.state.clock.now_ms():
            raise invalid("`refresh_token` should not have expired.")
        return code

    def _signed_on(
        self, call: Call, client: OAuthClient, code: Code, nonce: str | None
    ) -> Response:
        installation = call.state.installations[code.installation_id or ""]
        ours, user = call.issuer + MARKETPLACE_PATH, call.state.user
        account_id = installation.team_id or installation.user_id
        now_ms = call.state.clock.now_ms()
        id_token = self._oauth.id_tokens.make(
            {
                **issued(ours, client.client_id, now_ms, nonce),
                "type": "id_token",
                "sub": f"account:{account_id}:user:{user['id']}",
                "account_id": account_id,
                "installation_id": installation.id,
                "user_id": user["id"],
                "user_role": "ADMIN",
                "user_email": user_claims(user, ["email"], ours).get("email"),
                "user_name": user_claims(user, ["profile"], ours).get("name"),
            },
            self._oauth.marketplace_keys,
            self._oauth.keys,
        )
        body: Object = {"id_token": id_token, "access_token": None, "token_type": None}
        if code.scopes:
            expires_at = now_ms + ACCESS_SECONDS * 1000
            token = self._oauth.integration_token(client, installation, expires_at)
            body |= {"access_token": token.bearer, "token_type": "Bearer"}
            body["expires_in"] = ACCESS_SECONDS
        if "offline_access" in code.scopes:
            body["refresh_token"] = new_secret(call.state.random, 40)
            self._sso_refresh[body["refresh_token"]] = code, now_ms + REFRESH_SECONDS * 1000
        return no_store(body)

    def _client(self, kind: ClientKind, client_id: str, unknown: int = 404) -> OAuthClient:
        client = self._oauth.clients.find(client_id, kind)
        if client is None:
            raise ApiError(unknown, "Integration not found" if unknown == 404 else None)
        return client

    def _good_code(self, client: OAuthClient, text: str) -> Code:
        try:
            code = self._oauth.codes.find(client.kind, text, client.client_id)
            self._oauth.codes.check(code)
        except GrantError as error:
            raise ApiError(400, str(error)) from None
        return code


def _form(call: Call) -> Form:
    try:
        return call.form()
    except ValueError as error:
        raise invalid(str(error)) from None


def _check_secret(client: OAuthClient, secret: str) -> None:
    if not client.has_secret(secret):
        raise invalid("`client_secret` should be the one of the integration.")
