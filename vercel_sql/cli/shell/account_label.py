"""Whose token it is, found out in the background: what the prompt begins with."""

from __future__ import annotations

import threading
from collections.abc import Callable

import httpx

from vercel_sql.api import Client
from vercel_sql.api.account import ask_account
from vercel_sql.api.transport import is_loopback
from vercel_sql.auth.credentials import Credential
from vercel_sql.errors import (
    Error,
    ForbiddenError,
    MissingTokenError,
    TransportError,
    UnauthorizedError,
)
from vercel_sql.escapes import visible
from vercel_sql.manifest import vercel

_SECONDS = 5.0  # for one request: whoever is offline shall be told soon
_NO_ACCOUNT, _REFUSED, _OFFLINE = "no account", "token refused", "offline"
_SIMULATOR = "/_simulator/faults"  # only a simulator answers there


class AccountLabel:
    """The name of the account and of the API, in a few words.

    It has a client of its own, so that no statement's requests, limits or progress are mixed up
    with the one request that it makes.

    Args:
        client: the connection's client.
        is_simulated: whether its API is known to be a simulated one.
        changed: called, in another thread, when there is more to say than before.
    """

    def __init__(
        self, client: Client, *, is_simulated: bool, changed: Callable[[], None] = lambda: None
    ) -> None:
        self.changed = changed
        self._client = client
        self._is_simulated = is_simulated
        self._credential: Credential | None = None
        self._account = ""
        self._thread: threading.Thread | None = None

    @property
    def text(self) -> str:
        """What is known by now, such as ``ada@vercel`` or ``simulated ada``."""
        account = visible(self._account)
        if account in (_NO_ACCOUNT, _REFUSED, _OFFLINE):
            return f"{account}@{self._place}" if self._place != "vercel" else account
        if self._is_simulated:
            return f"simulated {account}".rstrip()
        return f"{account}@{self._place}" if account else self._place

    @property
    def has_no_account(self) -> bool:
        """Whether it is known that there is no token."""
        return self._account == _NO_ACCOUNT

    def refresh(self, seconds: float = 0.0) -> None:
        """Asks, where nobody was asked yet about this token, or nobody answered.

        Args:
            seconds: how long to wait for the answer at most.
        """
        credential = self._client.credential
        is_known = credential is self._credential and self._account != _OFFLINE
        if not is_known and (self._thread is None or not self._thread.is_alive()):
            if credential is not self._credential:
                self._account = ""
            self._credential = credential
            self._thread = threading.Thread(target=self._find, args=(credential,), daemon=True)
            self._thread.start()
        if self._thread is not None:
            self._thread.join(seconds)

    @property
    def _place(self) -> str:
        if self._is_simulated:
            return "simulated"
        url = self._client.urls["api"]
        is_own = url == vercel().provider.servers["api"].url
        return "vercel" if is_own else httpx.URL(url).netloc.decode("ascii", "replace")

    def _find(self, credential: Credential) -> None:
        url = self._client.urls["api"]
        self._is_simulated = self._is_simulated or _answers_as_simulator(url)
        account = self._name(credential)
        if credential is self._credential:
            self._account = account
            self.changed()

    def _name(self, credential: Credential) -> str:
        client = Client(
            vercel().provider,
            credential,
            urls=self._client.urls,
            read_only=True,
            request_timeout=_SECONDS,
            attempts=1,
            max_wait=0,
        )
        try:
            return ask_account(client).name
        except MissingTokenError:
            return _NO_ACCOUNT
        except (UnauthorizedError, ForbiddenError) as error:
            # A token that lives may be one that is not told whose it is.
            return _REFUSED if error.is_dead else ""
        except TransportError:
            return _OFFLINE
        except (Error, ValueError):
            return ""  # a statement will say what is wrong
        finally:
            client.close()


def _answers_as_simulator(api_url: str) -> bool:
    """Whether a simulator is behind a URL of this machine; what proxies Vercel there is none."""
    url = httpx.URL(api_url)
    if not is_loopback(url.host):
        return False
    try:
        with httpx.Client(timeout=_SECONDS, trust_env=False) as plain:
            return "faults" in plain.get(f"{api_url}{_SIMULATOR}").json()
    except (httpx.HTTPError, ValueError, TypeError):
        return False
