"""Who calls the authorization server: clients with a secret, and clients without one."""

import base64
import binascii
import hmac
from collections.abc import Collection, Mapping
from urllib.parse import unquote_plus

from starlette.requests import Request

from vercel_sql.simulator._oauth_clients import OAuthClient, OAuthClients
from vercel_sql.simulator._oauth_errors import OAuthError

TOKEN_METHODS = ("client_secret_basic", "client_secret_post", "none")
"""How clients show who they are at the token endpoint."""

REVOCATION_METHODS = ("client_secret_basic", "none")
"""How they do where tokens are revoked: the documents show no secret in that form."""


def authenticate(
    request: Request,
    form: Mapping[str, str],
    clients: OAuthClients,
    methods: Collection[str] = TOKEN_METHODS,
) -> OAuthClient:
    """Find out which app calls.

    Raises:
        OAuthError: It does not say (400), or cannot show that it is that app (401).
    """
    header = request.headers.get("authorization", "")
    is_basic = header.lower().startswith("basic ")
    secret: str | None
    if is_basic:
        client_id, secret = _read_basic(header)
        if "client_secret" in form or form.get("client_id", client_id) != client_id:
            raise OAuthError("invalid_request", "Use one way to authenticate the client.")
        method = "client_secret_basic"
    else:
        client_id, secret = form.get("client_id", ""), form.get("client_secret")
        method = "none" if secret is None else "client_secret_post"
    if not client_id:
        raise OAuthError("invalid_request", "Missing required parameter `client_id`.")
    client = clients.find(client_id, "app")
    if client is None or method not in methods or not _matches(client, secret):
        raise invalid_client(basic=is_basic)
    return client


def invalid_client(*, basic: bool) -> OAuthError:
    """Refuse a client; one that used the header is told how to (RFC 6749, section 5.2)."""
    headers = {"WWW-Authenticate": 'Basic realm="Vercel"'} if basic else {}
    message = "The client is unknown, or its secret is wrong, missing or not to be sent so."
    return OAuthError("invalid_client", message, status=401, headers=headers)


def _matches(client: OAuthClient, secret: str | None) -> bool:
    if client.client_secret is None or secret is None:
        return client.client_secret is secret
    return hmac.compare_digest(client.client_secret.encode(), secret.encode())


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
