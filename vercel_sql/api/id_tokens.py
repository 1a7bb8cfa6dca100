"""Verifies ID tokens (JWT) against the keys of the server that issued them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError, MissingClaimError
from joserfc.jwk import KeySet

from vercel_sql.api.answer import Answer
from vercel_sql.api.client import Client
from vercel_sql.api.requests import Request, build_request
from vercel_sql.errors import AnswerError, DataError
from vercel_sql.manifest import Method, vercel

# Asymmetric ones only: with `none`, or an HMAC keyed with a public key, anybody could sign.
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
# How far the clocks of this machine and the server's may be apart.
_LEEWAY_SECONDS = 60

# Where the keys are is in the discovery document, and in no manifest.
_KEYS = Method(
    name="keys",
    resource="oauth.keys",
    verb="select",
    http="GET",
    path="",
    description="",
    effect="read",
    retry="safe",
    server="oauth",
    auth=False,
)


def discover(client: Client) -> Mapping[str, Any]:
    """What the authorization server says of itself.

    Raises:
        AnswerError: it is not a discovery document, or is that of another server.
    """
    document = vercel().service("oauth").resources["openid_configuration"].lister
    assert document is not None  # noqa: S101 - the manifest has one
    answer = client.send(build_request(document, {}))
    content = answer.json()
    base = client.urls[document.server]
    if not isinstance(content, dict) or content.get("issuer") != base:
        raise answer.unusable(f"it is not the discovery document of the issuer {base}")
    return content


def verify_id_token(
    client: Client, token: str, *, audience: str, nonce: str | None
) -> dict[str, Any]:
    """The claims of an ID token whose signature, issuer, audience, expiry and nonce hold.

    Args:
        client: reads the server's discovery document and keys.
        token: the ID token.
        audience: the client id that the token has to be for.
        nonce: what was sent with the authorization request; None where none was sent.

    Raises:
        DataError: the token does not hold; the message says which part of it, never its content.
    """
    configuration = discover(client)
    keys = _keys(client, configuration)
    try:
        decoded = jwt.decode(token, keys, algorithms=list(_ALGORITHMS))
        expected = _claims(configuration["issuer"], audience, nonce, decoded.claims.get("aud"))
        expected.validate(decoded.claims)
    except ExpiredTokenError:
        raise _refused("it has expired") from None
    except JoseError as error:
        raise _refused(_reason(error)) from None
    except ValueError:
        raise _refused("it is no signed token") from None
    return dict(decoded.claims)


def _claims(
    issuer: str, audience: str, nonce: str | None, audiences: object
) -> jwt.JWTClaimsRegistry:
    # Of a token for several audiences only `azp` says who asked for it (OpenID Connect Core, 2).
    several = isinstance(audiences, list) and len(audiences) > 1
    options: dict[str, Any] = {
        "azp": {"essential": several, "value": audience},
        "iss": {"essential": True, "value": issuer},
        "aud": {"essential": True, "value": audience},
        "exp": {"essential": True},
        "iat": {"essential": True},
        "sub": {"essential": True},
    }
    if nonce is not None:
        options["nonce"] = {"essential": True, "value": nonce}
    return jwt.JWTClaimsRegistry(leeway=_LEEWAY_SECONDS, **options)


def _keys(client: Client, configuration: Mapping[str, Any]) -> KeySet:
    """The server's public keys, from the address that discovery gives, on the same server."""
    base = client.urls[_KEYS.server]
    address = configuration.get("jwks_uri")
    if not isinstance(address, str) or not address.startswith(f"{base}/"):
        raise AnswerError(f"the discovery document of {base} names no keys of its own (jwks_uri)")
    path = address.removeprefix(base)
    answer: Answer = client.send(Request(_KEYS, path))
    try:
        return KeySet.import_key_set(answer.json())
    except (JoseError, ValueError, KeyError, TypeError):
        raise answer.unusable("it is no set of keys") from None


_REASONS = {
    "bad_signature": "its signature is not of one of the server's keys",
    "unsupported_algorithm": "it is not signed, or in a way that anybody could sign",
    "decode_error": "it is no signed token",
    "missing_algorithm": "it is no signed token",
    "missing_key": "its signature is not of one of the server's keys",
    "invalid_key_id": "its signature is not of one of the server's keys",
}
_CLAIMS = {
    "iss": "it is of another issuer",
    "aud": "it is for another audience (client id)",
    "azp": "it was made for another app",
    "nonce": "its nonce is not the one that was sent",
    "exp": "its expiry is no time",
    "nbf": "it is not valid yet",
    "iat": "it was made in the future",
}


def _reason(error: JoseError) -> str:
    claim = getattr(error, "claim", None)
    if isinstance(error, MissingClaimError):
        return f"it has no {error.claim}"
    if claim in _CLAIMS:
        return _CLAIMS[claim]
    return _REASONS.get(str(error.error), f"it does not hold ({error.error})")


def _refused(reason: str) -> DataError:
    return DataError(f"the ID token is refused: {reason}")
