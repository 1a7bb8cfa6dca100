"""The endpoints of the authorization server, but for tokens and pages."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vercel_sql.simulator._authorizing import PROMPTS, RESPONSE_MODES, granted_scopes
from vercel_sql.simulator._claims import MARKETPLACE_PATH, issuer, user_claims
from vercel_sql.simulator._client_auth import REVOCATION_METHODS, TOKEN_METHODS, authenticate
from vercel_sql.simulator._consent_endpoints import AUTHORIZE_PATH, DEVICE_PATH
from vercel_sql.simulator._endpoints import Gate, answer
from vercel_sql.simulator._grant_endpoint import (
    DEVICE_GRANT,
    OLDER,
    TOKEN_PATH,
    no_store,
    oauth_form,
    required,
)
from vercel_sql.simulator._json import Object
from vercel_sql.simulator._keys import ALGORITHM
from vercel_sql.simulator._oauth import OAuth
from vercel_sql.simulator._oauth_clients import SCOPES
from vercel_sql.simulator._oauth_errors import OAuthError
from vercel_sql.simulator._sessions import Issued
from vercel_sql.simulator._state import State

_DISCOVERY_PATH = "/.well-known/openid-configuration"
_JWKS_PATH = "/.well-known/jwks"
_REVOKE_PATH = f"{TOKEN_PATH}/revoke"
_INTROSPECT_PATH = f"{TOKEN_PATH}/introspect"
_USERINFO_PATH = "/login/oauth/userinfo"
_DEVICE_AUTHORIZATION_PATH = "/login/oauth/device-authorization"


class OAuthEndpoints:
    """Discovery, keys, revocation, introspection, user info, and devices that want to sign in."""

    def __init__(self, gate: Gate, oauth: OAuth) -> None:
        self._gate = gate
        self._state: State = gate.state
        self._oauth = oauth

    def routes(self) -> list[Route]:
        """Give the routes; none needs a bearer that the gate would check."""
        posted = {
            _REVOKE_PATH: self.revoke,
            _INTROSPECT_PATH: self.introspect,
            _USERINFO_PATH: self.userinfo,
            _DEVICE_AUTHORIZATION_PATH: self.device_authorization,
        }
        return [
            self._gate.open("GET", _DISCOVERY_PATH, self.discovery),
            self._gate.open("GET", _JWKS_PATH, self.jwks),
            self._gate.open("GET", MARKETPLACE_PATH + _JWKS_PATH, self.marketplace_jwks),
            *(self._gate.open("POST", path, handler) for path, handler in posted.items()),
            *(self._gate.open("POST", OLDER + path, handler) for path, handler in posted.items()),
        ]

    async def discovery(self, request: Request) -> Response:
        """Say where everything is, and what is supported."""
        ours = issuer(request)
        return answer(
            {
                "issuer": ours,
                "authorization_endpoint": ours + AUTHORIZE_PATH,
                "token_endpoint": ours + TOKEN_PATH,
                "revocation_endpoint": ours + _REVOKE_PATH,
                "introspection_endpoint": ours + _INTROSPECT_PATH,
                "userinfo_endpoint": ours + _USERINFO_PATH,
                "jwks_uri": ours + _JWKS_PATH,
                "device_authorization_endpoint": ours + _DEVICE_AUTHORIZATION_PATH,
                "scopes_supported": list(SCOPES),
                "response_types_supported": ["code"],
                "response_modes_supported": list(RESPONSE_MODES),
                "grant_types_supported": ["authorization_code", "refresh_token", DEVICE_GRANT],
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

    async def jwks(self, _request: Request) -> Response:
        """Publish the keys that ID tokens are signed with."""
        with self._state.lock:
            return answer(self._oauth.keys.published())

    async def marketplace_jwks(self, _request: Request) -> Response:
        """Publish the keys that the ID tokens of SSO are signed with."""
        with self._state.lock:
            return answer(self._oauth.marketplace_keys.published())

    async def revoke(self, request: Request) -> Response:
        """End the session of a token; a token that is not known is revoked enough (RFC 7009)."""
        form = await oauth_form(request)
        with self._state.lock:
            client = authenticate(request, form, self._oauth.client_auth, REVOCATION_METHODS)
            issued = self._oauth.sessions.find(required(form, "token"))
            if issued is not None and not issued.session.is_of(client):
                raise OAuthError("unauthorized_client", "The token is another client's.")
            if issued is not None:
                self._oauth.sessions.revoke(issued.session)
        return no_store({})

    async def introspect(self, request: Request) -> Response:
        """Say whether an access or refresh token is good, and of one that is, what it is."""
        form = await oauth_form(request)
        with self._state.lock:
            issued = self._oauth.sessions.active(required(form, "token"))
            if issued is None:
                return no_store({"active": False})
            return no_store(self._described(issued, issuer(request)))

    def _described(self, issued: Issued, ours: str) -> Object:
        return {
            "active": True,
            "client_id": issued.session.client.client_id,
            "token_type": "bearer",
            "exp": issued.expires_at // 1000,
            "iat": issued.issued_at // 1000,
            "sub": self._state.user["id"],
            "iss": ours,
            "jti": issued.jti,
            "session_id": issued.session.id,
            "aud": issued.session.client.client_id,
        }

    async def userinfo(self, request: Request) -> Response:
        """Say what the person allowed the app to know."""
        scheme, _, bearer = request.headers.get("authorization", "").strip().partition(" ")
        with self._state.lock:
            issued = self._oauth.sessions.active(bearer.strip())
            if scheme.lower() != "bearer" or issued is None or issued.token is None:
                raise _refused_bearer("invalid_token", "It is no good access token.", 401)
            if "openid" not in issued.scopes:
                raise _refused_bearer("insufficient_scope", "It lacks the scope openid.", 403)
            self._state.touch(issued.token)
            return no_store(user_claims(self._state.user, issued.scopes, issuer(request)))

    async def device_authorization(self, request: Request) -> Response:
        """Begin to sign in a device (RFC 8628)."""
        form = await oauth_form(request)
        with self._state.lock:
            client = authenticate(request, form, self._oauth.client_auth, TOKEN_METHODS)
        scopes = granted_scopes(form.get("scope"), client)
        if not scopes:
            raise OAuthError("invalid_scope", "None of the scopes is configured for the app.")
        device = self._oauth.devices.add(client, scopes)
        page = issuer(request) + DEVICE_PATH
        remaining_ms = device.expires_at - self._state.clock.now_ms()
        return no_store(
            {
                "device_code": device.device_code,
                "user_code": device.user_code,
                "verification_uri": page,
                "verification_uri_complete": f"{page}?user_code={device.user_code}",
                "expires_in": round(remaining_ms / 1000),
                "interval": _seconds(device.interval_ms),
            }
        )


def _refused_bearer(code: str, message: str, status: int) -> OAuthError:
    challenge = {"WWW-Authenticate": f'Bearer error="{code}"'}
    return OAuthError(code, message, status=status, headers=challenge)


def _seconds(milliseconds: int) -> float:
    """Give seconds, whole ones as an integer."""
    return milliseconds // 1000 if milliseconds % 1000 == 0 else milliseconds / 1000
