"""Calls methods by their names, and computes the answers of those that the manifest computes."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from vercel_sql.errors import AnswerError, ParameterError
from vercel_sql.http.arguments import check_arguments
from vercel_sql.http.client import Client
from vercel_sql.http.discovery import endpoint
from vercel_sql.http.requests import build_request
from vercel_sql.ledger.journal import JournalHandle
from vercel_sql.manifest import Method, vercel


def call(
    client: Client,
    resource: str,
    name: str,
    arguments: Mapping[str, Any],
    handle: JournalHandle | None = None,
) -> dict[str, Any]:
    """Calls a method of a resource, such as ``oauth.tokens``; its answer has to be an object.

    The client's redactor knows the secrets of the answer from now on. Callers of a method that
    makes a secret say with `CreateResults.release` what happened to it.
    """
    method = find_method(resource, name)
    where = f"vercel.{resource}: {name}"
    checked = check_arguments(method, arguments, where, client.clock(method.server))
    if method.procedure is not None:
        return run_procedure(client, method, checked)
    handle = handle or JournalHandle()
    try:
        answer = client.send(build_request(method, checked), handle)
        content = answer.json()
        if not isinstance(content, dict):
            raise answer.unusable("it is not an object")
        for column in method.returns:
            value = content.get(column.name)
            if not column.secret or (column.optional and value is None):
                continue
            if not isinstance(value, str) or not value:
                raise answer.unusable("a secret of it is missing or is not text")
            client.redactor.add(value)
    except AnswerError as error:
        handle.lost(client.redactor.mask(str(error)))
        raise
    if handle.create is not None:
        handle.create.answered(None)
        client.create_results.hold(handle.create)
    return content


def find_method(resource: str, name: str) -> Method:
    service, _, table = resource.partition(".")
    return vercel().service(service).resources[table].methods[name]


def run_procedure(client: Client, method: Method, arguments: Mapping[str, Any]) -> dict[str, Any]:
    assert method.procedure is not None  # noqa: S101 - called only for such methods
    return _PROCEDURES[method.procedure](client, method, arguments)


def _authorize_url(client: Client, method: Method, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The address to send a browser to, and what must be kept until it comes back.

    ``state`` guards against forged redirects, ``nonce`` against replayed ID tokens, and the
    ``code_verifier`` (PKCE, RFC 7636) proves at the exchange that it is the same client. Only the
    discovery document is requested.
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


def _id_token_claims(
    client: Client, _method: Method, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    from vercel_sql.auth.jwt import verify_id_token

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


def _client_assertion(
    client: Client, method: Method, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    if ("client_secret" in arguments) == ("private_key" in arguments):
        raise ParameterError(
            f"vercel.{method.resource}: {method.name} takes either client_secret or private_key"
        )
    from vercel_sql.auth.jwt import signed_assertion

    return {"client_assertion": signed_assertion(client, method, **arguments)}


_PROCEDURES: dict[str, Callable[[Client, Method, Mapping[str, Any]], dict[str, Any]]] = {
    "authorize_url": _authorize_url,
    "client_assertion": _client_assertion,
    "verify_id_token": _id_token_claims,
}
