"""The apps and integrations that are registered, and how they show who they are."""

import base64
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Literal
from urllib.parse import unquote_plus, urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey, import_key
from joserfc.jws import extract_compact

from vercel_sql.simulator.endpoints import Call
from vercel_sql.simulator.messages import OAuthError, Object
from vercel_sql.simulator.models import new_secret

ClientKind = Literal["app", "integration", "sso"]

SCOPES = ("openid", "email", "profile", "offline_access")
"""What an app may ask for."""

_ASSERTIONS = ("client_secret_jwt", "private_key_jwt")
TOKEN_METHODS = ("client_secret_basic", "client_secret_post", *_ASSERTIONS, "none")
"""How clients show who they are at the token endpoint."""

REVOCATION_METHODS = ("client_secret_basic", *_ASSERTIONS, "none")
"""How they do where tokens are revoked: the documents show no secret in that form."""

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_HMAC = ("HS256", "HS384", "HS512")
_ASYMMETRIC = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class OAuthClient:
    """One registered client.

    An `app` signs people in at the authorization server; without a secret it is a public one.
    An `integration` exchanges its codes at `/v2/oauth/access_token`, and `sso` is one that
    opens a provider's dashboard through `/v1/integrations/sso/token`. An app that publishes keys
    (`jwks`) signs assertions. A `native` app may be redirected to any port of its registered
    loopback addresses (RFC 8252, section 7.3), which Vercel doesn't promise. Sessions of an app
    that `reads` may do what those of Vercel's command line may: Vercel gives apps such permissions
    in a private beta. All others may only ask for the user info.
    """

    kind: ClientKind
    client_id: str
    name: str
    client_secret: str | None = None
    redirect_uris: tuple[str, ...] = ()
    scopes: tuple[str, ...] = SCOPES
    native: bool = False
    jwks: Object | None = None
    reads: bool = False

    @property
    def public(self) -> bool:
        """Whether it has no secret to show, and no key."""
        return self.client_secret is None and self.jwks is None

    def may_redirect_to(self, uri: str) -> bool:
        wanted = _without_port(uri) if self.native else None
        of_any_port = map(_without_port, self.redirect_uris)
        return uri in self.redirect_uris or (wanted is not None and wanted in of_any_port)

    def grant(self, wanted: str | None) -> tuple[str, ...]:
        """Choose the scopes: those asked for that it has, or all it has if none are named."""
        if wanted is None:
            return self.scopes
        return tuple(scope for scope in dict.fromkeys(wanted.split()) if scope in self.scopes)

    def has_secret(self, secret: str | None) -> bool:
        return secret is not None and secret == self.client_secret


_Seeded = tuple[ClientKind, str, str, int, tuple[str, ...], tuple[str, ...]]
_WEB_APP = ("http://localhost:3000/api/auth/callback", "https://app.example/api/auth/callback")
_SSO_SCOPES = ("openid", "offline_access")
_SEEDED: tuple[_Seeded, ...] = (
    ("app", "Simulated command line", "cl_", 0, ("http://127.0.0.1:8743/callback",), SCOPES),
    ("app", "Simulated web app", "cl_", 40, _WEB_APP, SCOPES),
    ("integration", "Simulated integration", "oac_", 24, ("https://example.com/oauth",), ()),
    ("sso", "Simulated provider", "oac_", 24, ("https://provider.example/sso",), _SSO_SCOPES),
)
"""Kind, name, marker, length of the secret, redirect URIs and scopes of the seeded clients."""


def _without_port(uri: str) -> tuple[str, ...] | None:
    """Return the parts of a loopback address that must match; None if it is not one."""
    try:
        parts = urlsplit(uri)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return None
    is_loopback = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if not is_loopback or parts.username is not None or "#" in uri:
        return None
    return parts.hostname or "", parts.path, parts.query


class OAuthClients:
    """All clients: `public`, `confidential`, `integration` and `sso` are there from the start.

    To be used under the state's lock.
    """

    def __init__(self, random: Random) -> None:
        self._clients: dict[str, OAuthClient] = {}
        self._used_assertions: set[tuple[str, str]] = set()
        self.public, self.confidential, self.integration, self.sso = (
            self.add(
                OAuthClient(
                    kind=kind,
                    client_id=prefix + new_secret(random, 32 if prefix == "cl_" else 24),
                    name=name,
                    client_secret=new_secret(random, length) if length else None,
                    redirect_uris=uris,
                    scopes=scopes,
                )
            )
            for kind, name, prefix, length, uris, scopes in _SEEDED
        )

    def __iter__(self) -> Iterator[OAuthClient]:
        return iter(list(self._clients.values()))

    def add(self, client: OAuthClient) -> OAuthClient:
        self._clients[client.client_id] = client
        return client

    def find(self, client_id: str | None, kind: ClientKind) -> OAuthClient | None:
        """Find a client of a kind by its id; None for the first (of the apps, the public one)."""
        if client_id is None:
            return next((each for each in self if each.kind == kind), None)
        client = self._clients.get(client_id)
        return client if client is not None and client.kind == kind else None

    def authenticate(
        self, call: Call, form: Mapping[str, str], methods: Collection[str]
    ) -> OAuthClient:
        """Authenticate the calling app by one of the methods."""
        header = call.request.headers.get("authorization", "")
        is_basic = header.lower().startswith("basic ")
        client_id, secret = form.get("client_id", ""), form.get("client_secret")
        if is_basic:
            client_id, secret = _read_basic(header)
        ways = is_basic + ("client_secret" in form) + ("client_assertion" in form)
        if ways > 1 or form.get("client_id", client_id) != client_id:
            raise OAuthError("invalid_request", "Use one way to authenticate the client.")
        if not client_id:
            raise OAuthError("invalid_request", "Missing required parameter `client_id`.")
        client = self.find(client_id, "app")
        if client is None:
            raise _invalid_client(basic=is_basic)
        if "client_assertion" in form or "client_assertion_type" in form:
            method = self._check_asserted(call, form, client)
        else:
            method = "none" if secret is None else "client_secret_post"
            method = "client_secret_basic" if is_basic else method
            if not (client.public if secret is None else client.has_secret(secret)):
                raise _invalid_client(basic=is_basic)
        if method not in methods:
            raise _invalid_client(basic=is_basic)
        return client

    def _check_asserted(self, call: Call, form: Mapping[str, str], client: OAuthClient) -> str:
        """Check the signed assertion of a form (RFC 7523); return the method that it is of."""
        if form.get("client_assertion_type") != _ASSERTION_TYPE:
            message = f"The `client_assertion_type` must be {_ASSERTION_TYPE}."
            raise OAuthError("invalid_request", message)
        if "client_assertion" not in form:
            raise OAuthError("invalid_request", "Missing required parameter `client_assertion`.")
        assertion = form["client_assertion"]
        try:
            algorithm = extract_compact(assertion.encode()).headers()["alg"]
            key, allowed = _keys(client, algorithm)
            claims = jwt.decode(assertion, key, algorithms=list(allowed)).claims
        except (JoseError, LookupError, TypeError) as error:
            problem: str | None = f"it is not signed by the client: {error}"
        except ValueError as error:
            problem = str(error)
        else:
            problem = self._problem(client, claims, call)
        if problem is not None:
            message = f"The `client_assertion` does not hold: {problem}"
            raise OAuthError("invalid_client", message, status=401) from None
        self._used_assertions.add((client.client_id, claims["jti"]))
        return _ASSERTIONS[0] if algorithm in _HMAC else _ASSERTIONS[1]

    def _problem(self, client: OAuthClient, claims: Mapping[str, Any], call: Call) -> str | None:
        """Return what is wrong with the claims of an assertion; all five are required."""
        for name in ("iss", "sub"):
            if claims.get(name) != client.client_id:
                return f"its {name} should be the client_id."
        audience = call.issuer + "/login/oauth/token"
        if claims.get("aud") != audience:
            return f"its aud should be {audience}."
        now, expires_at = call.state.clock.now_ms() / 1000, claims.get("exp")
        if type(expires_at) is not int or not now < expires_at <= now + 60:
            return "its exp should be in the future, by 60 seconds at most."
        id_ = claims.get("jti")
        if not isinstance(id_, str) or not id_ or (client.client_id, id_) in self._used_assertions:
            return "its jti is missing, or was used before."
        return None


def _keys(client: OAuthClient, algorithm: object) -> tuple[OctKey | KeySet, Collection[str]]:
    """Find what an assertion of an algorithm is checked with; keys and secrets are not mixed."""
    if algorithm in _HMAC:
        if client.client_secret is None:
            raise LookupError("the client has no secret.")
        return OctKey.import_key(client.client_secret), _HMAC
    if client.jwks is None:
        raise LookupError("the client has no JWKS.")
    return KeySet([import_key(key) for key in client.jwks["keys"]]), _ASYMMETRIC


def _invalid_client(*, basic: bool) -> OAuthError:
    """Refuse a client; one that used the header is told how to (RFC 6749, section 5.2)."""
    headers = {"WWW-Authenticate": 'Basic realm="Vercel"'} if basic else {}
    message = "The client is unknown, or its secret is wrong, missing or sent in the wrong way."
    return OAuthError("invalid_client", message, status=401, headers=headers)


def _read_basic(header: str) -> tuple[str, str]:
    """Read `Basic …`, whose two halves are form-encoded (RFC 6749, section 2.3.1)."""
    try:
        decoded = base64.b64decode(header[len("basic ") :].strip(), validate=True).decode()
        client_id, secret = decoded.split(":", 1)
    except ValueError:
        raise _invalid_client(basic=True) from None
    return unquote_plus(client_id), unquote_plus(secret)
