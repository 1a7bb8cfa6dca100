"""Procedures of this package that the manifest's methods name: answers that are computed here."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from vercel_sql.api.client import Client
from vercel_sql.api.client_auth import signed_assertion
from vercel_sql.api.discovery import endpoint
from vercel_sql.errors import ParameterError
from vercel_sql.manifest import Method


def run_procedure(client: Client, method: Method, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What a method's procedure gives for checked arguments.

    Raises:
        Error: what the procedure raises.
    """
    assert method.procedure is not None  # noqa: S101 - asked only for such methods
    return _PROCEDURES[method.procedure](client, method, arguments)


def authorize_url(client: Client, method: Method, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The address to send a browser to, with what has to be kept until it comes back.

    ``state`` guards against forged redirects, ``nonce`` against replayed ID tokens, and the
    ``code_verifier`` (PKCE, RFC 7636) proves at the exchange that it is the same client. Nothing
    but the discovery document is requested.
    """
    verifier = secrets.token_urlsafe(64)
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
    state = arguments.get("state") or secrets.token_urlsafe(32)
    nonce = arguments.get("nonce") or secrets.token_urlsafe(32)
    query = {
        "client_id": arguments["client_id"],
        "redirect_uri": arguments["redirect_uri"],
        "response_type": "code",
        "scope": arguments.get("scope"),
        "state": state,
        "nonce": nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "prompt": arguments.get("prompt"),
        "response_mode": arguments.get("response_mode"),
    }
    pairs = [(name, value) for name, value in query.items() if value is not None]
    server, path = endpoint(client, method)
    url = f"{client.urls[server]}{path}?{urlencode(pairs, quote_via=quote)}"
    for secret in (state, nonce, verifier):
        client.redactor.add(secret)
    client.proofs.promise(verifier, nonce)
    return {
        "url": url,
        "state": state,
        "nonce": nonce,
        "code_verifier": verifier,
        "code_challenge": challenge,
    }


def id_token_claims(
    client: Client, _method: Method, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """The claims of an ID token that was verified against its issuer's keys."""
    # Imported here: the JOSE library takes as long to import as a small statement to run.
    from vercel_sql.api.id_tokens import verify_id_token

    client.redactor.add(arguments["id_token"])
    claims = verify_id_token(
        client,
        arguments["id_token"],
        audience=arguments["client_id"],
        nonce=arguments.get("nonce"),
        issuer=arguments.get("issuer"),
    )
    audience = claims.get("aud")
    return {**claims, "aud": audience if isinstance(audience, list) else [audience]}


def client_assertion(
    client: Client, method: Method, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """What an app signs to show who it is, for the token endpoint."""
    given = [name for name in ("client_secret", "private_key") if name in arguments]
    if len(given) != 1:
        raise ParameterError(
            f"vercel.{method.resource}: {method.name} takes either client_secret or private_key"
        )
    return {"client_assertion": signed_assertion(client, method, **arguments)}


_PROCEDURES: dict[str, Callable[[Client, Method, Mapping[str, Any]], dict[str, Any]]] = {
    "authorize_url": authorize_url,
    "client_assertion": client_assertion,
    "verify_id_token": id_token_claims,
}
