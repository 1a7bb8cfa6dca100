"""JSON Web Tokens: signs the assertions of apps, and verifies ID tokens.

The authorization server issues the ID tokens of sign-ins, and the marketplace those of the SSO
exchange. Each has keys of its own, and neither is trusted with the other's tokens. This module is
imported where it is used: the JOSE library takes as long as a small statement takes to run.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, JoseError, MissingClaimError
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from vercel_sql.errors import AnswerError, DataError, ParameterError
from vercel_sql.http.client import Client
from vercel_sql.http.decode import decode_json
from vercel_sql.http.discovery import endpoint, path_on
from vercel_sql.http.requests import Request
from vercel_sql.manifest import Method

# Asymmetric ones only: with `none`, or an HMAC keyed with a public key, anybody could sign.
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
_EC_ALGORITHMS = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
# Vercel takes assertions that are valid for a minute at most; its clock may be a little behind.
_ASSERTION_SECONDS = 50
# How far the clocks of this machine and the server's may be apart.
_LEEWAY_SECONDS = 60
# Whose tokens say of what `type` they are: its access tokens are signed with the same keys.
_TYPED = "marketplace"


def signed_assertion(
    client: Client,
    method: Method,
    *,
    client_id: str,
    client_secret: str | None = None,
    private_key: str | None = None,
    key_id: str | None = None,
) -> str:
    """An assertion for the token endpoint (RFC 7523), signed with the secret or key; works once."""
    server, path = endpoint(client, method)
    now = client.clock(server).now_ms() // 1000
    claims: dict[str, Any] = {
        "iss": client_id,
        "sub": client_id,
        "aud": client.urls[server] + path,
        "jti": secrets.token_urlsafe(32),
        "iat": now,
        "exp": now + _ASSERTION_SECONDS,
    }
    client.redactor.add(client_secret or private_key)
    try:
        if private_key is None:
            key: OctKey | RSAKey | ECKey = OctKey.import_key(client_secret or "")
            algorithm = "HS256"
        else:
            key = _private_key(private_key)
            algorithm = _algorithm(key)
        kid = key_id or key.kid
        header = {"alg": algorithm, "typ": "JWT", **({"kid": kid} if kid else {})}
        assertion = jwt.encode(header, claims, key, algorithms=[algorithm])
    except (JoseError, ValueError, TypeError, KeyError):
        # The library's own message may contain the key.
        raise ParameterError(
            "the client secret can't be used to sign"
            if private_key is None
            else "the private key can't be used: it must be an RSA or EC private key without a "
            "password, as PEM or as a JWK"
        ) from None
    client.redactor.add(assertion)
    return assertion


def _private_key(text: str) -> RSAKey | ECKey:
    """The key of a PEM or JWK; else `ValueError`."""
    value: Any = json.loads(text) if text.lstrip().startswith("{") else text
    for kind in (RSAKey, ECKey):
        try:
            key = kind.import_key(value)
        except (JoseError, ValueError, TypeError, KeyError):
            continue
        if key.is_private:
            return key
    raise ValueError("not a private key")


def _algorithm(key: RSAKey | ECKey) -> str:
    """What a key signs with: what it names itself, if that is for private keys."""
    named = key.get("alg")
    if isinstance(named, str) and named.startswith(("RS", "PS", "ES")):
        return named
    if named is not None:
        raise ValueError("not an algorithm of private keys")
    return "RS256" if key.key_type == "RSA" else _EC_ALGORITHMS[str(key["crv"])]


def verify_id_token(
    client: Client, token: str, *, audience: str, nonce: str | None, issuer: str | None = None
) -> dict[str, Any]:
    """The claims of an ID token, if its signature, issuer, audience, times and nonce hold.

    ``audience`` is the client id that it must be for, ``nonce`` what was sent with the
    authorization request, and ``issuer`` the base URL of the required issuer, if only one may be
    it. Raises `DataError`, which says why without the token's content, or `AnswerError` if the
    issuer's keys can't be read.
    """
    server = _issuer(client, token, issuer)
    keys = _keys(client, server)
    try:
        decoded = jwt.decode(token, keys, algorithms=list(_ALGORITHMS))
        expected = _claims(client, server, audience, nonce, decoded.claims.get("aud"))
        expected.validate(decoded.claims)
    except ExpiredTokenError:
        raise _refused("it has expired") from None
    except JoseError as error:
        raise _refused(_reason(error)) from None
    except (ValueError, RecursionError):
        raise _refused("it is not a signed token") from None
    return dict(decoded.claims)


def _issuer(client: Client, token: str, issuer: str | None) -> str:
    """The name of the server whose base URL is the token's issuer, character by character."""
    try:
        claims = decode_json(jws.extract_compact(token.encode()).payload)
    except (JoseError, ValueError, TypeError, AttributeError, RecursionError):
        raise _refused("it is not a signed token") from None
    named = claims.get("iss") if isinstance(claims, dict) else None
    if named is None:
        raise _refused("it has no iss")
    servers = client.provider.servers
    found = [n for n, server in servers.items() if server.keys and client.urls[n] == named]
    if not found or (issuer is not None and issuer != named):
        raise _refused("it comes from another issuer")
    if len(found) > 1:
        raise _refused(
            f"{' and '.join(servers[n].environment for n in found)} are the same, so that its "
            "issuer is ambiguous"
        )
    return found[0]


def _claims(
    client: Client, server: str, audience: str, nonce: str | None, audiences: object
) -> jwt.JWTClaimsRegistry:
    # Of a token for several audiences only `azp` says who asked for it (OpenID Connect Core, 2).
    several = isinstance(audiences, list) and len(audiences) > 1
    options: dict[str, Any] = {
        "azp": {"essential": several, "value": audience},
        "iss": {"essential": True, "value": client.urls[server]},
        "aud": {"essential": True, "value": audience},
        "exp": {"essential": True},
        "iat": {"essential": True},
        "sub": {"essential": True},
    }
    if nonce is not None:
        options["nonce"] = {"essential": True, "value": nonce}
    if server == _TYPED:
        options["type"] = {"essential": True, "value": "id_token"}
    now = client.clock(server).now_ms() // 1000
    return jwt.JWTClaimsRegistry(now, _LEEWAY_SECONDS, **options)


def _keys(client: Client, server: str) -> KeySet:
    method = Method(
        name="keys",
        resource=f"{server}.keys",
        verb="select",
        http="GET",
        path=_keys_path(client, server),
        description="",
        effect="read",
        retry="safe",
        server=server,
        auth=False,
    )
    answer = client.send(Request(method, method.path))
    try:
        return KeySet.import_key_set(answer.json())
    except (JoseError, ValueError, KeyError, TypeError):
        raise answer.unusable("it is not a set of keys") from None


def _keys_path(client: Client, server: str) -> str:
    """Where the keys are: as discovery says now, which only one of the two has; else fixed."""
    fixed, base = client.provider.servers[server].keys or "", client.urls[server]
    document = None if server == _TYPED else client.servers.discovery(server).read(client)
    if document is None:
        return fixed
    path = path_on(base, document.get("jwks_uri"))
    if path is None:
        raise AnswerError(f"the discovery document of {base} names no keys of its own (jwks_uri)")
    return path


_REASONS = {
    "bad_signature": "its signature matches none of the server's keys",
    "unsupported_algorithm": "it is unsigned, or signed in a way that anybody could sign",
    "decode_error": "it is not a signed token",
    "missing_algorithm": "it is not a signed token",
    "missing_key": "its signature matches none of the server's keys",
    "invalid_key_id": "its signature matches none of the server's keys",
}
_CLAIMS = {
    "iss": "it comes from another issuer",
    "aud": "it is for another audience (client id)",
    "azp": "it was made for another app",
    "nonce": "its nonce is not the one that was sent",
    "exp": "its expiry is not a time",
    "nbf": "it is not valid yet",
    "iat": "it was made in the future",
    "type": "it is not an ID token, but a token of another type",
}


def _reason(error: JoseError) -> str:
    claim = getattr(error, "claim", None)
    if isinstance(error, MissingClaimError):
        return f"it has no {error.claim}"
    if claim in _CLAIMS:
        return _CLAIMS[claim]
    return _REASONS.get(str(error.error), f"it is invalid ({error.error})")


def _refused(reason: str) -> DataError:
    return DataError(f"the ID token is refused: {reason}")
