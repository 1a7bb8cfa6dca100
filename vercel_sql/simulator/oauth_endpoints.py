"""The endpoints of the authorization server, and those where integrations exchange codes."""

import re
from collections.abc import Callable, Mapping
from functools import partial

from vercel_sql.simulator.clients import (
    REVOCATION_METHODS,
    SCOPES,
    TOKEN_METHODS,
    ClientKind,
    OAuthClient,
)
from vercel_sql.simulator.endpoints import MARKETPLACE_PATH, Call, Endpoint, Handler, required
from vercel_sql.simulator.id_tokens import ALGORITHM, KeyRing, issued, make, user_claims
from vercel_sql.simulator.messages import (
    FORM,
    ApiError,
    OAuthError,
    Object,
    Response,
    answer,
    invalid,
    media_type,
    no_store,
)
from vercel_sql.simulator.models import Installation, new_secret
from vercel_sql.simulator.oauth import AUTHORIZE_PATH, DEVICE_PATH, PROMPTS, RESPONSE_MODES, OAuth
from vercel_sql.simulator.sessions import (
    ACCESS_SECONDS,
    REFRESH_SECONDS,
    Code,
    Session,
    bad_grant,
    challenge_of,
    new_uuid,
)

_PATHS = {
    "authorization_endpoint": AUTHORIZE_PATH,
    "token_endpoint": "/login/oauth/token",
    "revocation_endpoint": "/login/oauth/token/revoke",
    "introspection_endpoint": "/login/oauth/token/introspect",
    "userinfo_endpoint": "/login/oauth/userinfo",
    "jwks_uri": "/.well-known/jwks",
    "device_authorization_endpoint": "/login/oauth/device-authorization",
}
"""Where everything is, as discovery names it."""

_OLDER = "/api"
"""What the paths of the documents of 2025 begin with; discovery does not name them any more."""

_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"

_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)

Form = Mapping[str, str]


class OAuthEndpoints:
    """Discovery and keys, tokens and what becomes of them, devices that want to sign in."""

    def __init__(self, oauth: OAuth) -> None:
        self._oauth = oauth
        self._grants: dict[str, Callable[[Call, Form, OAuthClient], Object]] = {
            "authorization_code": self._exchange_code,
            "refresh_token": self._refresh,
            _DEVICE_GRANT: self._sign_in_device,
        }
        posted: dict[str, Handler] = {
            "token_endpoint": self._token,
            "revocation_endpoint": self._revoke,
            "introspection_endpoint": self._introspect,
            "userinfo_endpoint": self._userinfo,
            "device_authorization_endpoint": self._authorize_device,
        }
        keys_path = _PATHS["jwks_uri"]
        published = {keys_path: oauth.keys, MARKETPLACE_PATH + keys_path: oauth.marketplace_keys}
        self.endpoints = [
            Endpoint("GET", "/.well-known/openid-configuration", self._discovery),
            *(
                Endpoint("GET", path, partial(self._published, keys))
                for path, keys in published.items()
            ),
            *(
                Endpoint("POST", prefix + _PATHS[name], handler)
                for prefix in ("", _OLDER)
                for name, handler in posted.items()
            ),
        ]

    def _published(self, keys: KeyRing, _call: Call) -> Response:
        return answer(keys.published())

    def _discovery(self, call: Call) -> Response:
        supported = {
            "scopes": SCOPES,
            "response_types": ["code"],
            "response_modes": RESPONSE_MODES,
            "grant_types": list(self._grants),
            "code_challenge_methods": ["S256"],
            "subject_types": ["public"],
            "id_token_signing_alg_values": [ALGORITHM],
            "token_endpoint_auth_methods": TOKEN_METHODS,
            "revocation_endpoint_auth_methods": REVOCATION_METHODS,
            "introspection_endpoint_auth_methods": ["none"],
            "prompt_values": PROMPTS,
            "claims": [
                *("sub", "aud", "exp", "iat", "iss", "jti", "nbf", "nonce"),
                *("preferred_username", "name", "email", "picture"),
            ],
        }
        return answer(
            {
                "issuer": call.issuer,
                **{name: call.issuer + path for name, path in _PATHS.items()},
                **{f"{name}_supported": values for name, values in supported.items()},
            }
        )

    def _token(self, call: Call) -> Response:
        form = _form(call)
        client = self._oauth.clients.authenticate(call, form, TOKEN_METHODS)
        grant = self._grants.get(_required(form, "grant_type"))
        if grant is None:
            message = "The `grant_type` is not one that is supported."
            raise OAuthError("unsupported_grant_type", message)
        return no_store(grant(call, form, client))

    def _exchange_code(self, call: Call, form: Form, client: OAuthClient) -> Object:
        text, verifier = _required(form, "code"), _required(form, "code_verifier")
        redirect_uri = _required(form, "redirect_uri")
        code = self._oauth.codes.find("app", text, client.client_id)
        if code.session is not None:
            self._oauth.sessions.revoke(code.session)  # RFC 6749, section 4.1.2
        self._oauth.codes.check(code)
        if code.redirect_uri != redirect_uri:
            raise bad_grant("The `redirect_uri` is not the one that the code was asked for with.")
        is_right = challenge_of(verifier) == code.code_challenge
        if not is_right or not _VERIFIER.fullmatch(verifier):
            raise bad_grant("The `code_verifier` does not match the `code_challenge`.")
        session = self._oauth.sessions.open(client, code.scopes)
        code.used, code.session = True, session
        return self._issue(call, session, session.scopes, code.nonce)

    def _refresh(self, call: Call, form: Form, client: OAuthClient) -> Object:
        text, wanted = _required(form, "refresh_token"), form.get("scope")
        refresh = self._oauth.sessions.check_refresh(text, client)
        session = refresh.session
        scopes = session.scopes if wanted is None else tuple(dict.fromkeys(wanted.split()))
        if not set(scopes) <= set(session.scopes):
            raise OAuthError("invalid_scope", "More is asked for than was granted.")
        refresh.used_up = True
        return self._issue(call, session, scopes, None)  # OpenID Connect Core, 12.2: no nonce

    def _sign_in_device(self, call: Call, form: Form, client: OAuthClient) -> Object:
        device = self._oauth.devices.find(_required(form, "device_code"))
        if device is None or device.used or device.client.client_id != client.client_id:
            raise bad_grant("The `device_code` is not good for this client.")
        device.check(call.state.clock.now_ms())
        device.used = True
        session = self._oauth.sessions.open(client, device.scopes)
        return self._issue(call, session, session.scopes, None)

    def _issue(
        self, call: Call, session: Session, scopes: tuple[str, ...], nonce: str | None
    ) -> Object:
        access = self._oauth.sessions.issue_access(session, scopes)
        body: Object = {"access_token": access.bearer, "token_type": "Bearer"}
        if "openid" in scopes:
            claims = issued(call.issuer, session.client.client_id, call.state.clock.now_ms(), nonce)
            claims["jti"] = new_uuid(call.state.random)
            claims |= user_claims(call.state.user, scopes, call.issuer)
            claims.pop("email_verified", None)  # which user info alone says
            keys, others = self._oauth.keys, self._oauth.marketplace_keys
            body["id_token"] = make(claims, keys, others, self._oauth.id_token_faults)
        body |= {"expires_in": ACCESS_SECONDS, "scope": " ".join(scopes)}
        if "offline_access" in session.scopes:
            body["refresh_token"] = self._oauth.sessions.issue_refresh(session)
        return body

    def _revoke(self, call: Call) -> Response:
        """End the session of a token; a token that is not known is revoked enough (RFC 7009)."""
        form = _form(call)
        client = self._oauth.clients.authenticate(call, form, REVOCATION_METHODS)
        found = self._oauth.sessions.find(_required(form, "token"))
        if found is not None:
            if not found.session.is_of(client):
                raise OAuthError("unauthorized_client", "The token is another client's.")
            self._oauth.sessions.revoke(found.session)
        return no_store({})

    def _introspect(self, call: Call) -> Response:
        found = self._oauth.sessions.active(_required(_form(call), "token"))
        if found is None:
            return no_store({"active": False})
        return no_store(
            {
                "active": True,
                "client_id": found.session.client.client_id,
                "token_type": "bearer",
                "exp": found.expires_at // 1000,
                "iat": found.issued_at // 1000,
                "sub": call.state.user["id"],
                "iss": call.issuer,
                "jti": found.jti,
                "session_id": found.session.id,
                "aud": found.session.client.client_id,
            }
        )

    def _userinfo(self, call: Call) -> Response:
        scheme, _, bearer = call.request.headers.get("authorization", "").strip().partition(" ")
        found = self._oauth.sessions.active(bearer.strip())
        if scheme.lower() != "bearer" or found is None or found.token is None:
            raise _refused_bearer(401, "invalid_token", "is not valid")
        if "openid" not in found.scopes:
            raise _refused_bearer(403, "insufficient_scope", "lacks the scope openid")
        call.state.touch(found.token)
        return no_store(user_claims(call.state.user, found.scopes, call.issuer))

    def _authorize_device(self, call: Call) -> Response:
        """Begin to sign in a device (RFC 8628)."""
        form = _form(call)
        client = self._oauth.clients.authenticate(call, form, TOKEN_METHODS)
        scopes = client.grant(form.get("scope"))
        if not scopes:
            raise OAuthError("invalid_scope", "None of the scopes is configured for the app.")
        device = self._oauth.devices.add(client, scopes)
        page = call.issuer + DEVICE_PATH
        seconds, rest = divmod(device.interval_ms, 1000)
        return no_store(
            {
                "device_code": device.device_code,
                "user_code": device.user_code,
                "verification_uri": page,
                "verification_uri_complete": f"{page}?user_code={device.user_code}",
                "expires_in": round((device.expires_at - call.state.clock.now_ms()) / 1000),
                "interval": device.interval_ms / 1000 if rest else seconds,
            }
        )


def _invalid_request(message: str) -> OAuthError:
    return OAuthError("invalid_request", message)


def _form(call: Call, error: Callable[[str], Exception] = _invalid_request) -> Form:
    try:
        return call.form()
    except ValueError as problem:
        raise error(str(problem)) from None


def _required(form: Form, name: str) -> str:
    if name not in form:
        raise _invalid_request(f"Missing required parameter `{name}`.")
    return form[name]


def _refused_bearer(status: int, code: str, reason: str) -> OAuthError:
    challenge = {"WWW-Authenticate": f'Bearer error="{code}"'}
    return OAuthError(code, f"The access token {reason}.", status=status, headers=challenge)


# Integrations

_SSO_PROPERTIES = (
    *("client_id", "client_secret", "code", "redirect_uri", "state"),
    *("grant_type", "refresh_token"),
)


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
        body = _form(call, invalid)
        for name in ("client_secret", "code", "redirect_uri"):
            required(body, name)
        client = self._authenticate("integration", body, unknown=404)
        code = self._good_code(client, body["code"])
        if code.redirect_uri != body["redirect_uri"]:
            raise invalid("`redirect_uri` should be the one of the integration.")
        code.used = True
        installation = _installation(code)
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
        properties = dict.fromkeys(_SSO_PROPERTIES, str)
        is_form = media_type(call.request.headers) == FORM
        body = _form(call, invalid) if is_form else call.json(properties)
        client = self._authenticate("sso", body, unknown=self._oauth.unknown_sso_client)
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
        installation = _installation(code)
        ours, user = call.issuer + MARKETPLACE_PATH, call.state.user
        account_id = installation.team_id or installation.user_id
        now_ms = call.state.clock.now_ms()
        id_token = make(
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
            self._oauth.id_token_faults,
        )
        body: Object = {"id_token": id_token, "access_token": None, "token_type": None}
        if code.scopes:
            token = self._oauth.integration_token(client, installation, ACCESS_SECONDS)
            body |= {"access_token": token.bearer, "token_type": "Bearer"}
            body["expires_in"] = ACCESS_SECONDS
        if "offline_access" in code.scopes:
            body["refresh_token"] = new_secret(call.state.random, 40)
            self._sso_refresh[body["refresh_token"]] = code, now_ms + REFRESH_SECONDS * 1000
        return no_store(body)

    def _authenticate(self, kind: ClientKind, body: Form, *, unknown: int) -> OAuthClient:
        secret = required(body, "client_secret")
        client = self._oauth.clients.find(required(body, "client_id"), kind)
        if client is None:
            raise ApiError(unknown, "Integration not found" if unknown == 404 else None)
        if not client.has_secret(secret):
            raise invalid("`client_secret` should be the one of the integration.")
        return client

    def _good_code(self, client: OAuthClient, text: str) -> Code:
        try:
            code = self._oauth.codes.find(client.kind, text, client.client_id)
            self._oauth.codes.check(code)
        except OAuthError as error:
            raise ApiError(400, str(error)) from None
        return code


def _installation(code: Code) -> Installation:
    if code.installation is None:
        raise ValueError("an app's code belongs to no installation")
    return code.installation
