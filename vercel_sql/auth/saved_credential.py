"""The credential of a login: found when first needed, renewed before it expires, and revoked.

A refresh token works once, and one that is sent again may end the whole session. So the store
records that a refresh has begun before it is sent: if its outcome is never learned, because the
connection broke or the process was killed, nobody repeats it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from vercel_sql.auth.calls import call, find_method
from vercel_sql.auth.credentials import Credential, Successor, missing_token
from vercel_sql.auth.login_store import LoginStore, SavedLogin, login_client, now_ms
from vercel_sql.errors import (
    AnswerError,
    APIError,
    AuditLogError,
    Error,
    JournalError,
    MissingTokenError,
    NotSupportedError,
    OperationalError,
    ServerError,
    TransportError,
    WaitTooLongError,
)
from vercel_sql.http.client import Client
from vercel_sql.http.discovery import endpoint
from vercel_sql.http.events import caused_by
from vercel_sql.ledger.audit_log import AuditLog
from vercel_sql.manifest import Provider, vercel
from vercel_sql.runtime.process_state import renewals
from vercel_sql.runtime.scope import CancelScope, LimitWaits

# Seconds that a renewal may wait for a rate limit: others wait for the lock meanwhile.
_MOST_WAIT = 120.0
_AGAIN = "Log in again: vercel-sql login"
_UNKNOWN = (
    "the saved login can't be renewed: the refresh got no answer that can be used. It may have "
    f"been carried out all the same, and is not repeated. {_AGAIN}"
)


class SavedCredential(Credential):
    """The saved login for an API, else the login of Vercel's own command line.

    ``sought`` are the places that were searched before, for messages; ``official`` reads the login
    of Vercel's own command line, if the API is Vercel's.
    """

    def __init__(
        self,
        provider: Provider,
        api_url: str,
        sought: tuple[str, ...],
        *,
        official: Callable[[], Credential] | None,
        request_timeout: float = 30.0,
        audit_log: AuditLog | None = None,
    ) -> None:
        super().__init__(None, "a login, not looked for yet")
        self._provider = provider
        self._api_url = api_url
        self._sought = sought
        self._official = official
        self._request_timeout = request_timeout
        self._audit_log = audit_log
        self._lock = threading.Lock()
        self._store: LoginStore | None = None
        self._login: SavedLogin | None = None

    def __repr__(self) -> str:
        return f"<SavedCredential: {self.source}>"

    @property
    def origin(self) -> str | None:
        if self.token is None:
            return None
        if self._login is None:
            return "command_line"
        return "app" if self._login.kind == "oauth" else "email"

    @property
    def fresh(self) -> str | None:
        login = self._login
        return self.token if login is None or login.is_fresh() else None

    def require(self, needed_by: str) -> None:
        with self._lock:
            self._find(needed_by)

    def bearer(self, needed_by: str) -> str:
        with self._lock:
            token = self._find(needed_by)
            login = self._login
            if login is None or login.is_fresh():
                return token
            still_works = login.is_fresh(margin_ms=0)
            if login.renewal is not None and still_works:
                return token
            try:
                renewed = self._renewed(token)
            except Error:
                if still_works:
                    return token
                raise
            if renewed is None and not still_works:
                raise OperationalError(f"the saved login has expired. {_AGAIN}")
            return renewed or token

    def renew(self, dead: str) -> str | None:
        with self._lock:
            if self.token is not None and self.token != dead:
                return self.token  # another thread was quicker
            if self._login is not None:
                return self._renewed(dead)
            found = None if self._official is None else self._official().token
            if found is None or found == dead:
                return None
            self.token = found
            return found

    @property
    def fixed_at(self) -> None:
        """None: the login is saved again with the new token."""

    def require_replaceable(self, needed_by: str) -> None:
        with self._lock:
            self._find(needed_by)
            if self._login is None:
                raise NotSupportedError(
                    f"{needed_by}: the calls are made with {self.source}, which is only ever read "
                    "here. Nothing was changed. Log in with vercel-sql login, or with vercel login "
                    "again, which makes a new token"
                )
            if self._login.kind != "token":
                raise NotSupportedError(
                    f"{needed_by}: {self.source} is a sign-in, whose tokens are renewed "
                    "automatically. Nothing was changed. End it with vercel-sql logout"
                )

    def replaced(self, successor: Successor) -> SavedCredential:
        """Saves the login with another token, and uses it from now on.

        Raises `OperationalError` if it can't be saved, or if another process has changed it.
        """
        with self._lock:
            store = self._store
            assert store is not None  # noqa: S101 - `require_replaceable` found it
            with store.locked():
                found = store.read()
                if found is None or found[0].access_token != self.token:
                    raise OperationalError("the saved login was changed by another process")
                login = msgspec.structs.replace(
                    found[0],
                    access_token=successor.token,
                    token_id=successor.key,
                    expires_at=successor.expires_at,
                    saved_at=now_ms(),
                )
                store.write(login)
            self.token, self._login = successor.token, login
        return self

    def _find(self, needed_by: str) -> str:
        if self.token is not None:
            return self.token
        store = LoginStore(self._api_url)
        found = store.read()
        if found is not None:
            self._store, (self._login, place) = store, found
            self.source = f"the saved login ({place})"
            self.token = self._login.access_token
            return self.token
        sought = (*self._sought, f"the saved login for {self._api_url}")
        if self._official is not None:
            login = self._official()
            if login.token is not None:
                self.source, self.token = login.source, login.token
                return login.token
            sought = (*sought, login.source)
        raise MissingTokenError(missing_token(needed_by, sought))

    def _renewed(self, dead: str) -> str | None:
        """The access token of the renewed login, or None if the login can't be renewed.

        Waits for another process that is renewing it, and then takes that one's tokens.
        """
        store = self._store
        assert store is not None  # noqa: S101 - the login came from there
        with store.locked():
            found = store.read()
            if found is None:
                raise OperationalError(
                    "the saved login can't be renewed: it is gone. Somebody logged out, or the "
                    f"keyring can't be read. {_AGAIN}"
                )
            login, _ = found
            if login.access_token == dead:
                if login.refresh_token is None:
                    return None
                login = self._refreshed(store, login)
        # In this order: whoever finds the login fresh takes the token without the lock.
        self.token, self._login = login.access_token, login
        return self.token

    def _refreshed(self, store: LoginStore, login: SavedLogin) -> SavedLogin:
        """The login with the tokens of a refresh, which are saved before anybody uses them."""
        if login.renewal == "begun":
            raise OperationalError(
                "the saved login can't be renewed: an earlier renewal was interrupted, and its "
                f"outcome is unknown. {_AGAIN}"
            )
        if login.renewal == "refused":
            raise OperationalError(
                f"the saved login has ended: the authorization server refused to renew it. {_AGAIN}"
            )
        client = login_client(self._provider, login, None, self._request_timeout, self._audit_log)
        # Once it is sent it goes on, even if the statement that needs it is over.
        with client.scoped(CancelScope(waits=LimitWaits(_MOST_WAIT))), renewals.one():
            try:
                return _refresh(client, store, login)
            finally:
                client.close()


def _refresh(client: Client, store: LoginStore, login: SavedLogin) -> SavedLogin:
    # Reads the discovery document first: nothing is begun if it leads elsewhere.
    endpoint(client, find_method(*vercel().named("refresh")))
    arguments = {**login.app.credentials(client), "refresh_token": login.refresh_token}
    store.write(msgspec.structs.replace(login, renewal="begun"))
    try:
        with caused_by("renewal"):
            answer = call(client, *vercel().named("refresh"), arguments)
    except (AuditLogError, JournalError, WaitTooLongError):
        store.write(login)
        raise
    except APIError as error:
        raise _refused(store, login, error) from None
    except TransportError as error:
        if not error.outcome_unknown:
            store.write(login)
            raise
        raise OperationalError(_UNKNOWN) from None
    except AnswerError:
        raise OperationalError(_UNKNOWN) from None
    fresh = login.with_tokens(answer)
    client.create_results.release(f"saved in {store.write(fresh)}")
    return fresh


def _refused(store: LoginStore, login: SavedLogin, error: APIError) -> OperationalError:
    if isinstance(error, ServerError):
        return OperationalError(_UNKNOWN)
    is_over = error.code == "invalid_grant"
    store.write(msgspec.structs.replace(login, renewal="refused") if is_over else login)
    advice = f" {_AGAIN}" if is_over else ""
    return OperationalError(f"the saved login can't be renewed: {error}.{advice}")


@dataclass(frozen=True)
class SignedOut:
    """How a logout ended.

    Attributes:
        place: where the login was, for messages; None if there was none.
        failure: why it could not be revoked; None if it was, or was dead already.
    """

    place: str | None
    failure: str | None = None


def sign_out(
    provider: Provider,
    store: LoginStore,
    request_timeout: float,
    audit_log: AuditLog | None = None,
) -> SignedOut:
    """Revokes the saved login and forgets it, even if revoking fails."""
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
    client = login_client(provider, login, login.access_token, request_timeout, audit_log)
    try:
        if login.kind == "token":
            remover, own = vercel().tokens().remover, vercel().tokens().self_reference
            assert remover is not None and own is not None  # noqa: S101, PT018
            answer = call(client, remover.resource, remover.name, {own.column: own.value})
            if login.token_id is not None and answer.get(own.column) != login.token_id:
                return "the answer is about another token: a proxy mixes answers up"
            return None
        # A token that still works, and with it the session of both. The answer, an empty object
        # (RFC 7009), doesn't show which revocation it belongs to.
        works = login.is_fresh(margin_ms=0)
        token = login.access_token if works else login.refresh_token or login.access_token
        arguments = {**login.app.credentials(client), "token": token}
        call(client, *vercel().named("revoke"), arguments)
    except APIError as error:
        # The credential itself was asked again about its own row.
        is_gone = error.status == 404 or error.extra.get("invalidToken") is True
        return None if is_gone and login.kind == "token" else str(error)
    except Error as error:
        return client.redactor.mask(str(error))
    finally:
        client.close()
    return None
