"""The endpoints of the authorization server, but for the pages that people see."""

from collections.abc import Callable, Mapping

from starlette.responses import Response

from vercel_sql.simulator.clients import REVOCATION_METHODS, SCOPES, TOKEN_METHODS, OAuthClient
from vercel_sql.simulator.consent import AUTHORIZE_PATH, DEVICE_PATH, PROMPTS, RESPONSE_MODES
from vercel_sql.simulator.endpoints import MARKETPLACE_PATH, Call, Endpoint
from vercel_sql.simulator.id_tokens import ALGORITHM, issued, user_claims
from vercel_sql.simulator.messages import OAuthError, Object, answer, no_store
from vercel_sql.simulator.oauth import OAuth
from vercel_sql.simulator.sessions import (
    ACCESS_SECONDS,
    DeviceRequest,
    GrantError,
    Session,
    new_uuid,
)

_TOKEN_PATH = "/login/oauth/token"  # noqa: S105 (a path)
_REVOKE_PATH = f"{_TOKEN_PATH}/revoke"
_INTROSPECT_PATH = f"{_TOKEN_PATH}/introspect"
_USERINFO_PATH = "/login/oauth/userinfo"
_DEVICE_AUTHORIZATION_PATH = "/login/oauth/device-authorization"
_DISCOVERY_PATH = "/.well-known/openid-configuration"
_JWKS_PATH = "/.well-known/jwks"
_OLDER = "/api"
"""What the paths of the documents of 2025 begin with; discovery does not name them any more."""

_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"

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
        posted = {
            _TOKEN_PATH: self._token,
            _REVOKE_PATH: self._revoke,
            _INTROSPECT_PATH: self._introspect,
            _USERINFO_PATH: self._userinfo,
            _DEVICE_AUTHORIZATION_PATH: self._authorize_device,
        }
        self.endpoints = [
            Endpoint("GET", _DISCOVERY_PATH, self._discovery),
            Endpoint("GET", _JWKS_PATH, self._jwks),
            Endpoint("GET", MARKETPLACE_PATH + _JWKS_PATH, self._marketplace_jwks),
            *(Endpoint("POST", path, handler) for path, handler in posted.items()),
            *(Endpoint("POST", _OLDER + path, handler) for path, handler in posted.items()),
        ]

    def _discovery(self, call: Call) -> Response:
        """Say where everything is, and what is supported."""
        ours = call.issuer
        return answer(
            {
                "issuer": ours,
                "authorization_endpoint": ours + AUTHORIZE_PATH,
                "token_endpoint": ours + _TOKEN_PATH,
                "revocation_endpoint": ours + _REVOKE_PATH,
                "introspection_endpoint": ours + _INTROSPECT_PATH,
                "userinfo_endpoint": ours + _USERINFO_PATH,
                "jwks_uri": ours + _JWKS_PATH,
                "device_authorization_endpoint": ours + _DEVICE_AUTHORIZATION_PATH,
                "scopes_supported": list(SCOPES),
                "response_types_supported": ["code"],
                "response_modes_supported": list(RESPONSE_MODES),
                "grant_types_supported": list(self._grants),
                "code_challenge_methods_supported": ["S256"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [ALGORITHM],
                "token_endpoint_auth_methods_supported": list(TOKEN_METHODS),
                "revocation_endpoint_auth_methods_supported": list(REVOCATION_METHODS),
                "introspection_endpoint_auth_methods_supported": ["none"],
                "prompt_values_supported": list(PROMPTS),
                "claims_supported": [
                    *("sub", "aud", "exp", "iat", "iss", "jti", "nbf", "nonce"),
                    *("preferred_username", "name", "email", "picture"),
                ],
            }
        )

    def _jwks(self, _call: Call) -> Response:
        """Publish the keys that ID tokens are signed with."""
        return answer(self._oauth.keys.published())

    def _marketplace_jwks(self, _call: Call) -> Response:
        """Publish the keys that the ID tokens of SSO are signed with."""
        return answer(self._oauth.marketplace_keys.published())

    # Tokens

    def _token(self, call: Call) -> Response:
        """Answer tokens, whole or not at all."""
        form = _form(call)
        client = self._oauth.clients.authenticate(call, form, TOKEN_METHODS)
        grant = self._grants.get(_required(form, "grant_type"))
        if grant is None:
            message = "The `grant_type` is not one that is supported."
            raise OAuthError("unsupported_grant_type", message)
        try:
            return no_store(grant(call, form, client))
        except GrantError as error:
            raise OAuthError("invalid_grant", str(error)) from None

    def _exchange_code(self, call: Call, form: Form, client: OAuthClient) -> Object:
        text, verifier = _required(form, "code"), _required(form, "code_verifier")
        redirect_uri = _required(form, "redirect_uri")
        code = self._oauth.codes.find("app", text, client.client_id)
        if code.session is not None:
            self._oauth.sessions.revoke(code.session)  # RFC 6749, section 4.1.2
        self._oauth.codes.check(code)
        if code.redirect_uri != redirect_uri:
            raise GrantError("The `redirect_uri` is not the one that the code was asked for with.")
        if not code.is_proved_by(verifier):
            raise GrantError("The `code_verifier` does not match the `code_challenge`.")
        session = self._oauth.sessions.open(client, code.scopes)
        code.used, code.session = True, session
        return self._issue(call, session, session.scopes, code.nonce)

    def _refresh(self, call: Call, form: Form, client: OAuthClient) -> Object:
        text, wanted = _required(form, "refresh_token"), form.get("scope")
        session = self._oauth.sessions.check_refresh(text, client)
        scopes = session.scopes if wanted is None else tuple(dict.fromkeys(wanted.split()))
        if not set(scopes) <= set(session.scopes):
            raise OAuthError("invalid_scope", "More is asked for than was granted.")
        self._oauth.sessions.use_up(text)
        return self._issue(call, session, scopes, None)  # OpenID Connect Core, 12.2: no nonce

    def _sign_in_device(self, call: Call, form: Form, client: OAuthClient) -> Object:
        device = self._oauth.devices.find(_required(form, "device_code"))
        if device is None or device.used or device.client.client_id != client.client_id:
            raise GrantError("The `device_code` is not good for this client.")
        _check_device(device, call.state.clock.now_ms())
        device.used = True
        session = self._oauth.sessions.open(client, device.scopes)
        return self._issue(call, session, session.scopes, None)

    def _issue(
        self, call: Call, session: Session, scopes: tuple[str, ...], nonce: str | None
    ) -> Object:
        """Issue the tokens of a session."""
        access = self._oauth.sessions.issue_access(session, scopes)
        body: Object = {"access_token": access.bearer, "token_type": "Bearer"}
        if "openid" in scopes:
            body["id_token"] = self._id_token(call, session, scopes, nonce)
        body |= {"expires_in": ACCESS_SECONDS, "scope": " ".join(scopes)}
        if "offline_access" in session.scopes:
            body["refresh_token"] = self._oauth.sessions.issue_refresh(session)
        return body

    def _id_token(
        self, call: Call, session: Session, scopes: tuple[str, ...], nonce: str | None
    ) -> str:
        user = user_claims(call.state.user, scopes, call.issuer)
        user.pop("email_verified", None)  # which user info alone says
        now_ms = call.state.clock.now_ms()
        claims = issued(call.issuer, session.client.client_id, now_ms, nonce)
        claims["jti"] = new_uuid(call.state.random)
        return self._oauth.id_tokens.make(
            {**claims, **user}, self._oauth.keys, self._oauth.marketplace_keys
        )

    def _revoke(self, call: Call) -> Response:
        """End the session of a token; a token that is not known is revoked enough (RFC 7009)."""
        form = _form(call)
        client = self._oauth.clients.authenticate(call, form, REVOCATION_METHODS)
        found = self._oauth.sessions.find(_required(form, "token"))
        if found is not None and not found.session.is_of(client):
            raise OAuthError("unauthorized_client", "The token is another client's.")
        if found is not None:
            self._oauth.sessions.revoke(found.session)
        return no_store({})

    def _introspect(self, call: Call) -> Response:
        """Say whether an access or refresh token is good, and of one that is, what it is."""
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
        """Say what the person allowed the app to know."""
        scheme, _, bearer = call.request.headers.get("authorization", "").strip().partition(" ")
        found = self._oauth.sessions.active(bearer.strip())
        if scheme.lower() != "bearer" or found is None or found.token is None:
            raise _refused_bearer("invalid_token", "It is no good access token.", 401)
        if "openid" not in found.scopes:
            raise _refused_bearer("insufficient_scope", "It lacks the scope openid.", 403)
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


def _check_device(device: DeviceRequest, now_ms: int) -> None:
    """Let a device pass that its person has allowed; others wait, or give up (RFC 8628, 3.5)."""
    if device.approved is False:
        raise OAuthError("access_denied", "The person denied the request.")
    if now_ms >= device.expires_at:
        raise OAuthError("expired_token", "The `device_code` has expired.")
    too_fast = device.polls_too_fast(now_ms)
    if device.approved is None:
        if too_fast:
            seconds = device.interval_ms / 1000
            raise OAuthError("slow_down", f"Wait {seconds:g} seconds between requests.")
        raise OAuthError("authorization_pending", "The person has not answered yet.")


def _form(call: Call) -> Form:
    try:
        return call.form()
    except ValueError as error:
        raise OAuthError("invalid_request", str(error)) from None


def _required(form: Form, name: str) -> str:
    if name not in form:
        raise OAuthError("invalid_request", f"Missing required parameter `{name}`.")
    return form[name]


def _refused_bearer(code: str, message: str, status: int) -> OAuthError:
    challenge = {"WWW-Authenticate": f'Bearer error="{code}"'}
    return OAuthError(code, message, status=status, headers=challenge)
