"""The exchanges of codes and tokens, each checked against the server itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any
from urllib.parse import parse_qs, urlsplit

from vercel_sql.simulator import Simulator

Rows = Callable[..., list[dict[str, Any]]]


class SignIns:
    """What an app and an integration do: sign in, renew, look up, revoke.

    Args:
        sim: the account itself.
        rows: runs a statement.
        random: what is drawn.
        given: the ids of the tokens whose secrets somebody was given.
    """

    def __init__(self, sim: Simulator, rows: Rows, random: Random, given: set[str]) -> None:
        self._sim = sim
        self._rows = rows
        self._random = random
        self._given = given
        self._app = sim.oauth.clients.public
        self._tokens: list[dict[str, str]] = []
        self._sso: list[tuple[str, str]] = []

    @property
    def acts(self) -> list[tuple[int, Callable[[], None]]]:
        """Each with its weight."""
        plain = [(1, self.discover), (1, self.user_info), (2, self.look_up), (1, self.sign)]
        return [*plain, *self.exchanges]

    @property
    def exchanges(self) -> list[tuple[int, Callable[[], None]]]:
        """Those whose answers show nothing of the request, unless a nonce was sent."""
        return [
            (2, self.sign_in),
            (1, self.device),
            (1, self.refresh),
            (1, self.revoke),
            (1, self.integration),
            (1, self.sso),
            (1, self.refresh_sso),
        ]

    def _insert(self, table: str, **values: str) -> dict[str, Any]:
        places = ", ".join("?" * len(values))
        names = ", ".join(values)
        (row,) = self._rows(f"INSERT INTO {table} ({names}) SELECT {places}", *values.values())
        return row

    def _check(self, row: dict[str, Any], session_id: str | None) -> None:
        """Tokens are those of the session that the code or token stands for."""
        found = [self._sim.oauth.sessions.find(row[n]) for n in ("access_token", "refresh_token")]
        assert None not in found, "tokens of nobody"
        ids = {each.session.id for each in found}
        assert ids == {session_id or found[0].session.id}, "tokens of another sign-in"
        assert found[0].token.id not in self._given, "tokens that somebody has already"
        self._given.add(found[0].token.id)
        self._tokens.append(row)

    def discover(self) -> None:
        query = "SELECT issuer, jwks_uri FROM vercel.oauth.openid_configuration"
        (row,) = self._rows(query)
        assert row["jwks_uri"] == row["issuer"] + "/.well-known/jwks"

    def sign(self) -> None:
        app = self._sim.oauth.clients.confidential
        (row,) = self._rows(
            "EXEC vercel.oauth.sign_in.client_assertion @client_id = ?, @client_secret = ?",
            *(app.client_id, app.client_secret),
        )
        assert row["client_assertion"].count(".") == 2

    def sign_in(self) -> None:
        app, redirect = self._app, self._app.redirect_uris[0]
        (begun,) = self._rows(
            "EXEC vercel.oauth.sign_in.authorize_url @client_id = ?, @redirect_uri = ?",
            *(app.client_id, redirect),
        )
        location = self._sim.oauth.authorize(begun["url"])
        text = parse_qs(urlsplit(location).query)["code"][0]
        row = self._insert(
            "vercel.oauth.tokens",
            client_id=app.client_id,
            code=text,
            code_verifier=begun["code_verifier"],
            redirect_uri=redirect,
        )
        code = self._sim.oauth.codes.find("app", text, app.client_id)
        self._check(row, code.session and code.session.id)
        (claims,) = self._rows(
            "EXEC vercel.oauth.sign_in.verify_id_token @id_token = ?, @client_id = ?, @nonce = ?",
            *(row["id_token"], app.client_id, begun["nonce"]),
        )
        assert claims["nonce"] == begun["nonce"]
        assert claims["sub"] == self._sim.state.user["id"]

    def device(self) -> None:
        (begun,) = self._rows(
            "EXEC vercel.oauth.sign_in.authorize_device @client_id = ?", self._app.client_id
        )
        device = self._sim.oauth.devices.find(begun["device_code"])
        assert device is not None
        assert device.user_code == begun["user_code"]
        self._sim.oauth.authorize_device(begun["user_code"])
        (row,) = self._rows(
            "EXEC vercel.oauth.tokens.exchange_device_code @client_id = ?, @device_code = ?",
            *(self._app.client_id, begun["device_code"]),
        )
        assert device.used
        self._check(row, None)

    def refresh(self) -> None:
        if self._tokens:
            old = self._tokens.pop()["refresh_token"]
            session = self._sim.oauth.sessions.find(old).session
            client_id = self._app.client_id
            row = self._insert("vercel.oauth.tokens", client_id=client_id, refresh_token=old)
            self._check(row, session.id)

    def look_up(self) -> None:
        for row in self._random.sample(self._tokens, min(2, len(self._tokens))):
            token = row[self._random.choice(["access_token", "refresh_token"])]
            known = self._sim.oauth.sessions.active(token)
            query = "SELECT active, jti FROM vercel.oauth.introspection WHERE token = ?"
            (told,) = self._rows(query, token)
            assert told == {"active": known is not None, "jti": known.jti if known else None}

    def user_info(self) -> None:
        alive = [r for r in self._tokens if self._sim.oauth.sessions.active(r["access_token"])]
        for row in alive[:1]:
            query = "SELECT sub FROM vercel.oauth.get_userinfo(access_token := ?)"
            (told,) = self._rows(query, row["access_token"])
            assert told["sub"] == self._sim.state.user["id"]

    def revoke(self) -> None:
        if self._tokens:
            token = self._random.choice(self._tokens)["access_token"]
            condition = "token = ? AND client_id = ?"
            self._rows(
                f"DELETE FROM vercel.oauth.tokens WHERE {condition}", token, self._app.client_id
            )
            assert self._sim.oauth.sessions.active(token) is None, "the all-clear, too early"

    def integration(self) -> None:
        client, code = self._minted("integration")
        row = self._insert(
            "vercel.integrations.access_tokens",
            client_id=client.client_id,
            client_secret=client.client_secret,
            code=code.code,
            redirect_uri=code.redirect_uri,
        )
        assert row["installation_id"] == code.installation.id
        self._check_installed(row["access_token"], code.installation.id)

    def sso(self) -> None:
        client, code = self._minted("sso", scope="openid offline_access")
        row = self._insert(
            "vercel.integrations.sso_tokens",
            client_id=client.client_id,
            client_secret=client.client_secret,
            code=code.code,
        )
        self._check_sso(row, code.installation.id)

    def refresh_sso(self) -> None:
        if self._sso:
            old, installation_id = self._sso.pop()
            client = self._sim.oauth.clients.sso
            row = self._insert(
                "vercel.integrations.sso_tokens",
                client_id=client.client_id,
                client_secret=client.client_secret,
                refresh_token=old,
            )
            self._check_sso(row, installation_id)

    def _minted(self, kind: str, **options: str) -> tuple[Any, Any]:
        return getattr(self._sim.oauth.clients, kind), self._sim.oauth.mint_code(kind, **options)

    def _check_sso(self, row: dict[str, Any], installation_id: str) -> None:
        (claims,) = self._rows(
            "EXEC vercel.oauth.sign_in.verify_id_token @id_token = ?, @client_id = ?",
            *(row["id_token"], self._sim.oauth.clients.sso.client_id),
        )
        told = json.loads(claims["additional_fields"])
        assert told["installation_id"] == installation_id, "an ID token of another"
        if row["access_token"]:
            self._check_installed(row["access_token"], installation_id)
        if row["refresh_token"]:
            self._sso.append((row["refresh_token"], installation_id))

    def _check_installed(self, bearer: str, installation_id: str) -> None:
        token = self._sim.state.find_bearer(bearer)
        assert token is not None
        assert token.id not in self._given
        self._given.add(token.id)
        installation = token.installation
        assert installation.id == installation_id, "a token of another installation"
