"""The token endpoint of the authorization server, and its three grants."""

from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from vercel_sql.simulator._claims import issued, issuer, user_claims
from vercel_sql.simulator._client_auth import TOKEN_METHODS, authenticate
from vercel_sql.simulator._codes import CodeError
from vercel_sql.simulator._devices import DeviceRequest
from vercel_sql.simulator._endpoints import Gate
from vercel_sql.simulator._forms import read_form
from vercel_sql.simulator._json import Object, encode
from vercel_sql.simulator._oauth import OAuth
from vercel_sql.simulator._oauth_clients import OAuthClient
from vercel_sql.simulator._oauth_errors import NO_STORE, OAuthError
from vercel_sql.simulator._pkce import verifies
from vercel_sql.simulator._sessions import ACCESS_SECONDS, Session, SessionError, new_uuid
from vercel_sql.simulator._state import State

TOKEN_PATH = "/login/oauth/token"  # noqa: S105 (a path)
OLDER = "/api"
"""What the paths of the documents of 2025 begin with; discovery does not name them any more."""
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"

Form = Mapping[str, str]


class GrantEndpoint:
    """Turns codes, refresh tokens and devices into tokens."""

    def __init__(self, gate: Gate, oauth: OAuth) -> None:
        self._gate = gate
        self._state: State = gate.state
        self._oauth = oauth
        self.grants: dict[str, Callable[[Request, Form, OAuthClient], Object]] = {
            "authorization_code": self._code,
            "refresh_token": self._refresh,
            DEVICE_GRANT: self._device,
        }

    def routes(self) -> list[Route]:
        """Give the routes."""
        paths = (TOKEN_PATH, OLDER + TOKEN_PATH)
        return [self._gate.open("POST", path, self.token) for path in paths]

    async def token(self, request: Request) -> Response:
        """Answer tokens, whole or not at all."""
        form = await oauth_form(request)
        with self._state.lock:
            client = authenticate(request, form, self._oauth.client_auth, TOKEN_METHODS)
            grant = self.grants.get(required(form, "grant_type"))
            if grant is None:
                message = "The `grant_type` is not one that is supported."
                raise OAuthError("unsupported_grant_type", message)
            return no_store(grant(request, form, client))

    def _code(self, request: Request, form: Form, client: OAuthClient) -> Object:
        text, verifier = required(form, "code"), required(form, "code_verifier")
        redirect_uri = required(form, "redirect_uri")
        try:
            code = self._oauth.codes.find("app", text, client.client_id)
            if code.used:
                self._oauth.sessions.revoke_by_id(code.session_id)  # RFC 6749, section 4.1.2
            self._oauth.codes.check(code)
        except CodeError as error:
            raise OAuthError("invalid_grant", str(error)) from None
        if code.redirect_uri != redirect_uri:
            message = "The `redirect_uri` is not the one that the code was asked for with."
            raise OAuthError("invalid_grant", message)
        if not verifies(verifier, code.code_challenge):
            message = "The `code_verifier` does not match the `code_challenge`."
            raise OAuthError("invalid_grant", message)
        session = self._oauth.sessions.open(client, code.scopes)
        code.used, code.session_id = True, session.id
        return self._answer(request, session, session.scopes, code.nonce)

    def _refresh(self, request: Request, form: Form, client: OAuthClient) -> Object:
        text, wanted = required(form, "refresh_token"), form.get("scope")
        try:
            session = self._oauth.sessions.check_refresh(text, client)
        except SessionError as error:
            raise OAuthError("invalid_grant", str(error)) from None
        scopes = session.scopes if wanted is None else tuple(dict.fromkeys(wanted.split()))
        if not set(scopes) <= set(session.scopes):
            raise OAuthError("invalid_scope", "More is asked for than was granted.")
        self._oauth.sessions.use_up(text)
        return self._answer(request, session, scopes, None)  # OpenID Connect Core, 12.2: no nonce

    def _device(self, request: Request, form: Form, client: OAuthClient) -> Object:
        device = self._oauth.devices.find(required(form, "device_code"))
        if device is None or device.used or device.client.client_id != client.client_id:
            raise OAuthError("invalid_grant", "The `device_code` is not good for this client.")
        self._check_device(device)
        device.used = True
        session = self._oauth.sessions.open(client, device.scopes)
        return self._answer(request, session, session.scopes, None)

    def _check_device(self, device: DeviceRequest) -> None:
        """Let a device pass that its person has allowed.

        Raises:
            OAuthError: It has to wait, or to give up (RFC 8628, section 3.5).
        """
        now_ms = self._state.clock.now_ms()
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

    def _answer(
        self, request: Request, session: Session, scopes: tuple[str, ...], nonce: str | None
    ) -> Object:
        """Issue the tokens of a session."""
        access = self._oauth.sessions.issue_access(session, scopes)
        body: Object = {"access_token": access.text, "token_type": "Bearer"}
        if "openid" in scopes:
            body["id_token"] = self._id_token(request, session, scopes, nonce)
        body |= {"expires_in": ACCESS_SECONDS, "scope": " ".join(scopes)}
        if "offline_access" in session.scopes:
            body["refresh_token"] = self._oauth.sessions.issue_refresh(session).text
        return body

    def _id_token(
        self, request: Request, session: Session, scopes: tuple[str, ...], nonce: str | None
    ) -> str:
        ours = issuer(request)
        user = user_claims(self._state.user, scopes, ours)
        user.pop("email_verified", None)  # which user info alone says
        claims = issued(ours, session.client.client_id, self._state.clock.now_ms(), nonce)
        claims["jti"] = new_uuid(self._state.random)
        return self._oauth.id_tokens.make(
            {**claims, **user}, self._oauth.keys, self._oauth.marketplace_keys
        )


async def oauth_form(request: Request) -> dict[str, str]:
    """Read a form.

    Raises:
        OAuthError: It is none (400).
    """
    try:
        return await read_form(request)
    except ValueError as error:
        raise OAuthError("invalid_request", str(error)) from None


def required(form: Form, name: str) -> str:
    """Give a parameter that has to be there.

    Raises:
        OAuthError: It is not (400).
    """
    if name not in form:
        raise OAuthError("invalid_request", f"Missing required parameter `{name}`.")
    return form[name]


def no_store(value: Object) -> Response:
    """Answer with JSON that no cache may keep."""
    return Response(encode(value), headers=NO_STORE, media_type="application/json")
