"""Connections to a simulated authorization server, sign-ins there, and what it received."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import vercel_sql
from vercel_sql.simulator import ReceivedRequest, Simulator

from ..keys import keys_of_other_tests as keys_of_other_tests

DISCOVERY_PATH = "/.well-known/openid-configuration"
ALL_SCOPES = "openid email profile offline_access"


class SignIn:
    """One sign-in of a person, from the authorize URL to the tokens."""

    def __init__(self, db: vercel_sql.Connection, sim: Simulator, app: Any, scope: str) -> None:
        self._db = db
        self.app = app
        self.redirect_uri = app.redirect_uris[0]
        begun = db.execute(
            "EXEC vercel.oauth.sign_in.authorize_url "
            "@client_id = $client_id, @redirect_uri = $redirect_uri, @scope = $scope",
            {"client_id": app.client_id, "redirect_uri": self.redirect_uri, "scope": scope},
        )
        self.url, self.state, self.nonce, self.verifier, _, _ = begun.fetchone()
        location = sim.oauth.authorize(self.url)
        self.brought = parse_qs(urlsplit(location).query)
        self.code = self.brought["code"][0]

    def values(self, **changes: Any) -> dict[str, Any]:
        """The columns of the exchange; None leaves one out."""
        given = {
            "client_id": self.app.client_id,
            "client_secret": self.app.client_secret,
            "code": self.code,
            "code_verifier": self.verifier,
            "redirect_uri": self.redirect_uri,
            **changes,
        }
        return {name: value for name, value in given.items() if value is not None}

    def exchange(self, **changes: Any) -> dict[str, Any]:
        """The tokens."""
        return insert(self._db, "vercel.oauth.tokens", self.values(**changes))


def insert(db: vercel_sql.Connection, table: str, values: dict[str, Any]) -> dict[str, Any]:
    """Inserts one row and gives the row that came of it."""
    columns = ", ".join(values)
    places = ", ".join(f"${name}" for name in values)
    cursor = db.execute(f"INSERT INTO {table} ({columns}) SELECT {places}", values)
    names = [column[0] for column in cursor.description]
    (row,) = cursor.fetchall()
    return dict(zip(names, row, strict=True))


@pytest.fixture
def put(db: vercel_sql.Connection) -> Callable[[str, dict[str, Any]], dict[str, Any]]:
    """Inserts one row of these values into a table, and gives the row that came of it."""
    return lambda table, values: insert(db, table, values)


@pytest.fixture
def sent(newly_sent: Callable[[], list[ReceivedRequest]]) -> Callable[..., list[ReceivedRequest]]:
    """What the server received since it was asked last, without discovery unless told so.

    Whether it was read before, by the same process, is not what most tests are about.
    """

    def received(*, discovery: bool = False) -> list[ReceivedRequest]:
        return [r for r in newly_sent() if discovery or r.path != DISCOVERY_PATH]

    return received


@pytest.fixture
def public(sim: Simulator) -> Any:
    """An app without a secret."""
    return sim.oauth.clients.public


@pytest.fixture
def confidential(sim: Simulator) -> Any:
    """An app with a secret."""
    return sim.oauth.clients.confidential


@pytest.fixture
def sign_in(db: vercel_sql.Connection, sim: Simulator, public: Any) -> Callable[..., SignIn]:
    """Signs a person in: ``sign_in()``, ``sign_in(confidential, scope="openid")``."""

    def begin(app: Any = None, scope: str = ALL_SCOPES) -> SignIn:
        begun = SignIn(db, sim, app or public, scope)
        sim.clear_requests()
        return begun

    return begin
