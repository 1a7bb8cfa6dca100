"""Ends a saved login: revoked at the server, then forgotten, even where revoking failed."""

from __future__ import annotations

from dataclasses import dataclass

from vercel_sql.api.calls import call
from vercel_sql.api.client import Client
from vercel_sql.api.credentials import Credential
from vercel_sql.api.login_store import LoginStore, SavedLogin
from vercel_sql.api.refreshing import is_fresh, login_credentials
from vercel_sql.errors import APIError, Error
from vercel_sql.ledger.audit_log import AuditLog
from vercel_sql.manifest import Provider


@dataclass(frozen=True)
class SignedOut:
    """How a logout ended.

    Attributes:
        place: where the login was, in words; None where there was none.
        failure: why it could not be revoked; None where it was, or was dead already.
    """

    place: str | None
    failure: str | None = None


def sign_out(
    provider: Provider,
    store: LoginStore,
    request_timeout: float,
    audit_log: AuditLog | None = None,
) -> SignedOut:
    """Revokes the saved login and forgets it, whatever comes of the first.

    Args:
        provider: the manifest's provider.
        store: where the login is.
        request_timeout: seconds for connecting, and for each wait for bytes.
        audit_log: where it is noted, if anywhere.

    Raises:
        OperationalError: the login can't be removed.
    """
    with store.locked():
        try:
            found = store.read()
        except Error as error:
            store.forget()
            return SignedOut(str(store.path), str(error))
        if found is None:
            return SignedOut(None)
        login, place = found
        try:
            failure = _revoke(provider, login, request_timeout, audit_log)
        finally:
            store.forget()
    return SignedOut(place, failure)


def _revoke(
    provider: Provider, login: SavedLogin, request_timeout: float, audit_log: AuditLog | None
) -> str | None:
    """Why the login could not be revoked, or None."""
    urls = {"api": login.api_url, "oauth": login.oauth_url}
    credential = Credential(login.access_token, "the saved login")
    client = Client(
        provider, credential, urls=urls, request_timeout=request_timeout, audit_log=audit_log
    )
    client.redactor.add(login.refresh_token)
    try:
        if login.kind == "oauth":
            _revoke_session(client, login)
        else:
            arguments = {"tokenId": "current"}
            answer = call(client, "authentication.user_tokens", "delete_auth_token", arguments)
            if login.token_id is not None and answer.get("tokenId") != login.token_id:
                return "the answer is about another token: a proxy mixes answers up"
    except APIError as error:
        # Of its own row, the credential was asked once more.
        is_gone = error.status == 404 or error.extra.get("invalidToken") is True
        return None if is_gone and login.kind == "token" else str(error)
    except Error as error:
        return client.redactor.mask(str(error))
    finally:
        client.close()
    return None


def _revoke_session(client: Client, login: SavedLogin) -> None:
    """Revokes a token that still works, and with it the session of both.

    Nothing in the answer, an empty object (RFC 7009), shows which revocation it belongs to.
    """
    works = is_fresh(login, margin_ms=0)
    token = login.access_token if works else login.refresh_token or login.access_token
    arguments = {**login_credentials(client, login), "token": token}
    call(client, "oauth.tokens", "revoke_token", arguments)
