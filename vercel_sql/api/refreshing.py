"""Renews a saved login, once, whoever else wants to: the new tokens are saved before they are used.

A refresh token works once, and one that is sent again may end the whole session. So the store
says that a refresh has begun before it is sent: where nobody learns how it ended, because the
connection broke or the process was killed, nobody repeats it either.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from vercel_sql.api.calls import call, find_method
from vercel_sql.api.cancel_scope import CancelScope, LimitWaits
from vercel_sql.api.causes import caused_by
from vercel_sql.api.client import Client
from vercel_sql.api.client_auth import client_credentials
from vercel_sql.api.credentials import Credential
from vercel_sql.api.discovery import endpoint
from vercel_sql.api.leaving import renewals
from vercel_sql.api.login_store import LoginStore, SavedLogin
from vercel_sql.errors import (
    AnswerError,
    APIError,
    AuditLogError,
    JournalError,
    OperationalError,
    ServerError,
    TransportError,
    WaitTooLongError,
)
from vercel_sql.ledger.audit_log import AuditLog
from vercel_sql.manifest import Provider

# How long before its end a token is renewed, in milliseconds.
_MARGIN_MS = 60_000
# How many seconds it may wait for a rate limit: others wait for the lock meanwhile.
_MOST_WAIT = 120.0
_AGAIN = "Log in again: vercel-sql login"


def is_fresh(login: SavedLogin, margin_ms: int = _MARGIN_MS) -> bool:
    """Whether an access token will still work in a minute."""
    return login.expires_at is None or login.expires_at - margin_ms > now_ms()


def now_ms() -> int:
    """The time, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def renewed(
    provider: Provider,
    store: LoginStore,
    dead: str,
    *,
    request_timeout: float = 30.0,
    audit_log: AuditLog | None = None,
) -> SavedLogin | None:
    """The login with another access token than one that is dead or about to be.

    Waits for whoever renews it at the moment, and then takes what they got.

    Args:
        provider: the manifest's provider.
        store: where the login is.
        dead: the access token that is not to be used any longer.
        request_timeout: seconds for each wait for bytes.
        audit_log: where the renewal is noted, if anywhere.

    Returns:
        None where the login can't be renewed: there is no refresh token.

    Raises:
        OperationalError: it should be renewed and can't be; the message says to log in again.
    """
    with store.locked():
        found = store.read()
        if found is None:
            raise OperationalError(
                "the saved login can't be renewed: it is not there any more. Somebody logged out, "
                f"or the keyring can't be read. {_AGAIN}"
            )
        login, _ = found
        if login.access_token != dead:
            return login
        if login.refresh_token is None:
            return None
        _refuse_hopeless(login)
        client = Client(
            provider,
            Credential(None, "nowhere"),
            urls={"api": login.api_url, "oauth": login.oauth_url},
            request_timeout=request_timeout,
            audit_log=audit_log,
        )
        # Once it was sent it goes on, also where the statement that needs it is over.
        with client.apart(CancelScope(waits=LimitWaits(_MOST_WAIT))), renewals.one():
            return _refresh(client, store, login)


def _refuse_hopeless(login: SavedLogin) -> None:
    if login.renewal == "begun":
        raise OperationalError(
            "the saved login can't be renewed: it was being renewed before, and nobody knows how "
            f"that ended. {_AGAIN}"
        )
    if login.renewal == "refused":
        raise OperationalError(
            "the saved login has ended: the authorization server refused to renew it. " + _AGAIN
        )


def _refresh(client: Client, store: LoginStore, login: SavedLogin) -> SavedLogin:
    # The discovery document is read before, too: nothing is begun where it leads elsewhere.
    endpoint(client, find_method("oauth.tokens", "refresh_tokens"))
    arguments = {**login_credentials(client, login), "refresh_token": login.refresh_token}
    begun = msgspec.structs.replace(login, renewal="begun")
    store.write(begun)
    try:
        with caused_by("renewal"):
            answer = call(client, "oauth.tokens", "refresh_tokens", arguments)
    except (AuditLogError, JournalError, WaitTooLongError):
        store.write(login)
        raise
    except APIError as error:
        raise _refused(store, login, error) from None
    except TransportError as error:
        if not error.outcome_unknown:
            store.write(login)
            raise
        raise _unknown() from None
    except AnswerError:
        raise _unknown() from None
    finally:
        client.close()
    fresh = with_tokens(login, answer)
    client.create_results.release(f"saved in {store.write(fresh)}")
    return fresh


def login_credentials(client: Client, login: SavedLogin) -> dict[str, str | None]:
    """The arguments by which the app of a saved login shows who it is, for one call."""
    return client_credentials(
        client, login.client_id, login.client_secret_file, login.client_signing
    )


def with_tokens(login: SavedLogin, answer: Mapping[str, Any]) -> SavedLogin:
    """A login with the tokens of an answer. A refresh token works once: the old one is spent."""
    lifetime = answer.get("expires_in")
    known = isinstance(lifetime, int) and not isinstance(lifetime, bool)
    return msgspec.structs.replace(
        login,
        access_token=answer["access_token"],
        refresh_token=answer.get("refresh_token") or None,
        expires_at=now_ms() + int(lifetime) * 1000 if known and lifetime is not None else None,
        scope=answer.get("scope") or login.scope,
        saved_at=now_ms(),
        renewal=None,
    )


def _refused(store: LoginStore, login: SavedLogin, error: APIError) -> OperationalError:
    if isinstance(error, ServerError):
        return _unknown()
    is_over = error.code == "invalid_grant"
    store.write(msgspec.structs.replace(login, renewal="refused") if is_over else login)
    advice = f" {_AGAIN}" if is_over else ""
    return OperationalError(f"the saved login can't be renewed: {error}.{advice}")


def _unknown() -> OperationalError:
    return OperationalError(
        "the saved login can't be renewed: the refresh got no answer that can be used. It may "
        f"have been carried out all the same, and is not repeated. {_AGAIN}"
    )
