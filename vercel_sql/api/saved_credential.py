"""The credential of a login: looked for when a request first needs it, and renewed as it ages."""

from __future__ import annotations

import threading

import msgspec

from vercel_sql.api.credentials import Successor, missing_token
from vercel_sql.api.login_store import LoginStore, SavedLogin
from vercel_sql.api.official_login import official_login
from vercel_sql.api.redaction.unpickled import HoldsSecrets
from vercel_sql.api.refreshing import is_fresh, now_ms, renewed
from vercel_sql.errors import Error, MissingTokenError, NotSupportedError, OperationalError
from vercel_sql.ledger.audit_log import AuditLog
from vercel_sql.manifest import Provider


class SavedCredential(HoldsSecrets):
    """The saved login for an API, else the login of Vercel's own command line.

    Args:
        provider: the manifest's provider.
        api_url: the base URL of the API.
        sought: the places that were looked in before.
        official: whether the official command line's login is for this API.
        request_timeout: seconds for each wait for bytes of a renewal.
        audit_log: where each renewal is noted, if anywhere.
    """

    team_id: str | None = None

    def __init__(
        self,
        provider: Provider,
        api_url: str,
        sought: tuple[str, ...],
        *,
        official: bool,
        request_timeout: float = 30.0,
        audit_log: AuditLog | None = None,
    ) -> None:
        self._provider = provider
        self._api_url = api_url
        self._sought = sought
        self._official = official
        self._request_timeout = request_timeout
        self._audit_log = audit_log
        self._lock = threading.Lock()
        self._store: LoginStore | None = None
        self._login: SavedLogin | None = None
        self._token: str | None = None
        self._source = "a login, not looked for yet"

    def __repr__(self) -> str:
        return f"<SavedCredential: {self._source}>"

    @property
    def source(self) -> str:
        """Where the token came from, in words."""
        return self._source

    @property
    def origin(self) -> str | None:
        """The kind of login that was found, by the manifest's name; None where none was yet."""
        if self._token is None:
            return None
        if self._login is None:
            return "command_line"
        return "app" if self._login.kind == "oauth" else "email"

    @property
    def token(self) -> str | None:
        """The token at hand, or None; nothing is read or requested to find it."""
        return self._token

    @property
    def fresh(self) -> str | None:
        """The token, where it need be neither looked for nor renewed."""
        login = self._login
        return self._token if login is None or is_fresh(login) else None

    def require(self, needed_by: str) -> None:
        """Looks whether there is a login at all.

        Raises:
            MissingTokenError: there is none.
            OperationalError: there is one, and it can't be read.
        """
        with self._lock:
            self._find(needed_by)

    def bearer(self, needed_by: str) -> str:
        """The token for the next call; a login that is about to expire is renewed first.

        Raises:
            MissingTokenError: there is no login.
            OperationalError: the login has expired, and could not be renewed.
        """
        with self._lock:
            token = self._find(needed_by)
            login = self._login
            if login is None or is_fresh(login):
                return token
            still_works = is_fresh(login, margin_ms=0)
            if login.renewal is not None and still_works:
                return token
            try:
                renewed_token = self._renewed(token)
            except Error:
                if still_works:
                    return token
                raise
            if renewed_token is None and not still_works:
                raise OperationalError(
                    "the saved login has expired. Log in again: vercel-sql login"
                )
            return renewed_token or token

    def renew(self, dead: str) -> str | None:
        """The token in place of one that the API calls dead; None where there is no other.

        Raises:
            OperationalError: the login could not be renewed.
        """
        with self._lock:
            if self._token is not None and self._token != dead:
                return self._token  # another thread was quicker
            if self._login is not None:
                return self._renewed(dead)
            found = official_login().token
            if found is None or found == dead:
                return None
            self._token = found
            return found

    @property
    def fixed_at(self) -> None:
        """None: the login is saved anew with the token."""

    def require_replaceable(self, needed_by: str) -> None:
        """Looks whether the login is a plain token, in a place of this package's own.

        Raises:
            NotSupportedError: it is not.
        """
        with self._lock:
            self._find(needed_by)
            if self._login is None:
                raise NotSupportedError(
                    f"{needed_by}: the calls are made with {self._source}, which is only ever read "
                    "here. Nothing was changed. Log in with vercel-sql login, or with vercel login "
                    "again, which makes a new token"
                )
            if self._login.kind != "token":
                raise NotSupportedError(
                    f"{needed_by}: {self._source} is a sign-in, whose tokens are renewed by "
                    "themselves. Nothing was changed. End it with vercel-sql logout"
                )

    def replaced(self, successor: Successor) -> SavedCredential:
        """Saves the login with another token, which the next process finds, and goes on with it.

        Raises:
            OperationalError: it can't be saved, or somebody logged in or out meanwhile; the login
                stays as it is.
        """
        with self._lock:
            store = self._store
            assert store is not None  # noqa: S101 - `require_replaceable` found it
            with store.locked():
                found = store.read()
                if found is None or found[0].access_token != self._token:
                    raise OperationalError(
                        "the saved login was changed meanwhile, by another process"
                    )
                login = msgspec.structs.replace(
                    found[0],
                    access_token=successor.token,
                    token_id=successor.key,
                    expires_at=successor.expires_at,
                    saved_at=now_ms(),
                )
                store.write(login)
            self._token, self._login = successor.token, login
        return self

    def _find(self, needed_by: str) -> str:
        if self._token is not None:
            return self._token
        store = LoginStore(self._api_url)
        found = store.read()
        if found is not None:
            self._store, (self._login, place) = store, found
            self._source = f"the saved login ({place})"
            self._token = self._login.access_token
            return self._token
        sought = (*self._sought, f"the saved login for {self._api_url}")
        if self._official:
            login = official_login()
            if login.token is not None:
                self._source, self._token = login.place, login.token
                return login.token
            sought = (*sought, login.place)
        raise MissingTokenError(missing_token(needed_by, sought))

    def _renewed(self, dead: str) -> str | None:
        assert self._store is not None  # noqa: S101 - it came from there
        login = renewed(
            self._provider,
            self._store,
            dead,
            request_timeout=self._request_timeout,
            audit_log=self._audit_log,
        )
        if login is None:
            return None
        # In this order: who finds that the login is fresh takes the token without the lock.
        self._token, self._login = login.access_token, login
        return self._token
