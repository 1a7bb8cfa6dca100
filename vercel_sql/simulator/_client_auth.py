"""Who calls the authorization server: clients with a secret, with a key, and with neither."""

import base64
import binascii
import hmac
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import unquote_plus

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey, import_key
from joserfc.jws import extract_compact
from starlette.requests import Request

from vercel_sql.simulator._claims import issuer
from vercel_sql.simulator._clock import Clock
from vercel_sql.simulator._oauth_clients import OAuthClient, OAuthClients
from vercel_sql.simulator._oauth_errors import OAuthError

_ASSERTIONS = ("client_secret_jwt", "private_key_jwt")
TOKEN_METHODS = ("client_secret_basic", "client_secret_post", *_ASSERTIONS, "none")
"""How clients show who they are at the token endpoint."""

REVOCATION_METHODS = ("client_secret_basic", *_ASSERTIONS, "none")
"""How they do where tokens are revoked: the documents show no secret in that form."""

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_AUDIENCE_PATH = "/login/oauth/token"
_LONGEST_SECONDS = 60
_HMAC = ("HS256", "HS384", "HS512")
_ASYMMETRIC = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")


class ClientAuth:
    """The clients, and which of their assertions were used; to be used under the state's lock."""

    def __init__(self, clients: OAuthClients, clock: Clock) -> None:
        self.clients = clients
        self._clock = clock
        self._used: set[tuple[str, str]] = set()

    def check_assertion(self, client: OAuthClient, assertion: str, audience: str) -> str:
        """Check a signed assertion (RFC 7523); give the method that it is of.

        Raises:
            ValueError: It does not hold.
        """
        try:
            algorithm = extract_compact(assertion.encode()).headers()["alg"]
            key, allowed = _keys(client, algorithm)
            claims = jwt.decode(assertion, key, algorithms=list(allowed)).claims
        except (JoseError, LookupError, TypeError) as error:
            raise ValueError(f"it is not signed by the client: {error}") from None
        self._check_claims(client, claims, audience)
        self._used.add((client.client_id, claims["jti"]))
        return _ASSERTIONS[0] if algorithm in _HMAC else _ASSERTIONS[1]

    def _check_claims(self, client: OAuthClient, claims: Mapping[str, Any], audience: str) -> None:
        """Check what an assertion says; all five claims are required."""
        for name, value in (("iss", client.client_id), ("sub", client.client_id)):
            if claims.get(name) != value:
                raise ValueError(f"its {name} should be the client_id.")
        if claims.get("aud") != audience:
            raise ValueError(f"its aud should be {audience}.")
        now, expires_at = self._clock.now_ms() / 1000, claims.get("exp")
        if type(expires_at) is not int or not now < expires_at <= now + _LONGEST_SECONDS:
            raise ValueError("its exp should be in the future, by 60 seconds at most.")
        id_ = claims.get("jti")
        if not isinstance(id_, str) or not id_ or (client.client_id, id_) in self._used:
            raise ValueError("its jti is missing, or was used before.")


def _keys(client: OAuthClient, algorithm: object) -> tuple[OctKey | KeySet, Collection[str]]:
    """Find what an assertion of an algorithm is checked with; keys and secrets are not mixed."""
    if algorithm in _HMAC:
        if client.client_secret is None:
            raise LookupError("the client has no secret.")
        return OctKey.import_key(client.client_secret), _HMAC
    if client.jwks is None:
        raise LookupError("the client has no JWKS.")
    return KeySet([import_key(key) for key in client.jwks["keys"]]), _ASYMMETRIC


def authenticate(
    request: Request, form: Mapping[str, str], auth: ClientAuth, methods: Collection[str]
) -> OAuthClient:
    """Find out which app calls.

    Raises:
        OAuthError: It does not say (400), or cannot show that it is that app (401).
    """
    header = request.headers.get("authorization", "")
    is_basic = header.lower().startswith("basic ")
    client_id, secret = _read_basic(header) if is_basic else (form.get("client_id", ""), None)
    given = [name for name in ("client_secret", "client_assertion") if name in form]
    if is_basic + len(given) > 1 or form.get("client_id", client_id) != client_id:
        raise OAuthError("invalid_request", "Use one way to authenticate the client.")
    if not client_id:
        raise OAuthError("invalid_request", "Missing required parameter `client_id`.")
    client = auth.clients.find(client_id, "app")
    if client is None:
        raise invalid_client(basic=is_basic)
    if "client_assertion" in form or "client_assertion_type" in form:
        method = _asserted(request, form, auth, client)
    else:
        method = "client_secret_basic" if is_basic else "client_secret_post" if given else "none"
        if not _matches(client, secret if is_basic else form.get("client_secret")):
            raise invalid_client(basic=is_basic)
    if method not in methods:
        raise invalid_client(basic=is_basic)
    return client


def _asserted(
    request: Request, form: Mapping[str, str], auth: ClientAuth, client: OAuthClient
) -> str:
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        message = f"The `client_assertion_type` must be {ASSERTION_TYPE}."
        raise OAuthError("invalid_request", message)
    if "client_assertion" not in form:
        raise OAuthError("invalid_request", "Missing required parameter `client_assertion`.")
    audience = issuer(request) + _AUDIENCE_PATH
    try:
        return auth.check_assertion(client, form["client_assertion"], audience)
    except ValueError as error:
        message = f"The `client_assertion` does not hold: {error}"
        raise OAuthError("invalid_client", message, status=401) from None


def invalid_client(*, basic: bool) -> OAuthError:
    """Refuse a client; one that used the header is told how to (RFC 6749, section 5.2)."""
    headers = {"WWW-Authenticate": 'Basic realm="Vercel"'} if basic else {}
    message = "The client is unknown, or its secret is wrong, missing or not to be sent so."
    return OAuthError("invalid_client", message, status=401, headers=headers)


def _matches(client: OAuthClient, secret: str | None) -> bool:
    if secret is None:
        return client.public
    expected = client.client_secret
    return expected is not None and hmac.compare_digest(expected.encode(), secret.encode())


def _read_basic(header: str) -> tuple[str, str]:
    """Read `Basic …`, whose two halves are form-encoded (RFC 6749, section 2.3.1)."""
    try:
        decoded = base64.b64decode(header[len("basic ") :].strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        raise invalid_client(basic=True) from None
    client_id, colon, secret = decoded.partition(":")
    if not colon:
        raise invalid_client(basic=True)
    return unquote_plus(client_id), unquote_plus(secret)
