"""Somebody who works through the proxy, and checks each statement against the account itself."""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from random import Random
from typing import Any

import vercel_sql
from vercel_sql.simulator import Simulator

from .sign_ins import SignIns

TABLE = "vercel.authentication.user_tokens"
MOMENT_MS = 60_000


class Person:
    """Runs statements, one after the other, on tokens of their own.

    Args:
        sim: the account itself.
        url: the proxy.
        folder: where secrets and the journal are.
        number: which of several it is.
        seed: what is drawn.
        is_alone: whether nobody else works through the proxy. Nothing tells the answers to most
            exchanges of two people apart who make them at the same moment.

    Attributes:
        done: how many acts there were; most are one statement, some are three.
        called: the manifest's methods that were called.
        lost: how many exchanges failed: each may have made a token, and was said to.
    """

    def __init__(
        self,
        sim: Simulator,
        url: str,
        folder: Path,
        number: int,
        seed: int,
        *,
        is_alone: bool = True,
    ) -> None:
        self.done = 0
        self.failed: list[str] = []
        self.given: set[str] = set()
        self.called: set[str] = set()
        self.statements = 0
        self.lost = 0
        self._sim = sim
        self._number = number
        self._is_alone = is_alone
        self._random = Random(seed * 100 + number)
        self._db = vercel_sql.connect(
            sim.token,
            api_url=url,
            oauth_url=url,
            marketplace_url=f"{url}/marketplace",
            secrets_file=folder / "secrets.jsonl",
            attempts=3,
            max_wait=5.0,
            request_timeout=5.0,
        )
        self._names = 0
        self._own: dict[str, str] = {}
        self._dead: list[str] = []
        self._acts: list[tuple[int, Callable[[], None]]] = [
            (5, self.insert),
            (6, self.get),
            (3, self.get_dead),
            (4, self.lookups),
            (4, self.list_all),
            (2, self.list_as_one),
            (3, self.current),
            (2, self.user),
            (2, self.teams),
            (4, self.delete),
            (2, self.delete_dead),
            (2, self.rotate),
        ]
        sign_ins = SignIns(sim, self._rows, self._random, self.given)
        self._exchanges = [act for _, act in sign_ins.exchanges]
        alone = [(2, self.login), *sign_ins.acts]
        self._acts += alone if is_alone else [(3, sign_ins.sign_in)]
        self._observed = self._db.client.observed(
            lambda event: self.called.add(f"{event.resource}.{event.api_method}")
        )
        self._observed.__enter__()

    def close(self) -> None:
        self._observed.__exit__(None, None, None)
        self._db.close()

    def work(self, statements: int) -> None:
        weights, acts = zip(*self._acts, strict=True)
        for _ in range(statements):
            (act,) = self._random.choices(acts, weights)
            self._do(act)

    def do_each_twice(self) -> None:
        for _, act in [*self._acts, *self._acts]:
            self._do(act)

    def _do(self, act: Callable[[], None]) -> None:
        try:
            act()
        except vercel_sql.Error as error:
            self.failed.append(f"{act.__name__}: {error}")
            self.lost += act in self._exchanges
            self._check_kept(error)
        finally:
            self.done += 1

    # What is true

    def _check_made(self, row: dict[str, Any], name: str | None) -> None:
        """The secret of a row is that of its token, which has the row's name."""
        token = self._sim.state.find_bearer(row["bearerToken"])
        assert token is not None, f"a secret of nobody: {row}"
        assert row.get("id") in (None, token.id), "a secret of another row"
        assert name is None or token["name"] == name, "a row of another name"
        self.given.add(token.id)

    def _check_kept(self, error: BaseException) -> None:
        """An error that carries rows carries true ones."""
        rows = getattr(error, "rows", None) or []
        for row in (dict(zip(error.columns, each, strict=True)) for each in rows):
            if row.get("bearerToken"):
                self._check_made(row, None)
                self._own[row.get("id") or row["tokenId"]] = row["bearerToken"]
        for key in getattr(error, "done", ()):
            assert self._sim.state.find_token(key) is None

    def _check_speaker(self) -> None:
        """The session is still the one that it was."""
        assert self._db.client.credential.token == self._sim.token

    def _rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        self.statements += 1
        if query.startswith("EXEC "):
            self.called.add(query.split()[1].removeprefix("vercel."))
        cursor = self._db.execute(query, list(values))
        if cursor.description is None:  # a write, which gives no rows
            return [{"Count": cursor.rowcount}]
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    # The statements

    def insert(self) -> None:
        count = self._random.randint(1, 4)
        self._names += 1
        stem = "same" if self._random.random() < 0.2 else f"p{self._number}-{self._names}"
        names = [stem if stem == "same" else f"{stem}-{n}" for n in range(count)]
        values = ", ".join(f"('{name}')" for name in names)
        rows = self._rows(
            f"INSERT INTO {TABLE} (name) SELECT * FROM (VALUES {values}) "
            "RETURNING bearerToken, id, name"
        )
        assert [row["name"] for row in rows] == names
        assert len({row["bearerToken"] for row in rows}) == count
        for row, name in zip(rows, names, strict=True):
            self._check_made(row, name)
            self._own[row["id"]] = row["bearerToken"]

    def _one(self) -> str:
        return self._random.choice([*self._own] or [self._sim.state.calling_token.id])

    def _check_found(self, rows: list[dict[str, Any]], keys: list[str]) -> None:
        there = [key for key in keys if self._sim.state.find_token(key) is not None]
        found = [row["id"] for row in rows]
        assert set(there) <= set(found), f"of {len(keys)}, {len(there) - len(found)} are missing"
        assert sorted(found) == sorted(there), "a row that is gone"
        for row in rows:
            token = self._sim.state.find_token(row["id"])
            assert token is not None
            assert (row["name"], row["createdAt"]) == (token["name"], token["createdAt"])

    def get(self) -> None:
        key = self._one()
        self._check_found(self._rows(f"SELECT * FROM {TABLE} WHERE id = ?", key), [key])

    def get_dead(self) -> None:
        if self._dead:
            key = self._random.choice(self._dead)
            self._check_found(self._rows(f"SELECT * FROM {TABLE} WHERE id = ?", key), [key])

    def lookups(self) -> None:
        keys = list({self._one() for _ in range(5)} | set(self._dead[-2:]))
        places = ", ".join("?" * len(keys))
        self._check_found(self._rows(f"SELECT * FROM {TABLE} WHERE id IN ({places})", *keys), keys)

    def _stable(self) -> tuple[set[str], set[str]]:
        ever = {event.id for event in self._sim.history()}
        return {token.id for token in self._sim.state.tokens()}, ever

    def _check_whole(self, before: set[str], listed: set[str]) -> None:
        now, _ = self._stable()
        missing = before & now - listed
        if not self._is_alone:
            # The answer to the same question of another, asked a moment before: it shows all but
            # the newest, and nothing tells it apart.
            newest = list(takewhile(lambda token: token.id not in listed, self._sim.state.tokens()))
            recent = self._sim.state.clock.now_ms() - MOMENT_MS
            missing -= {token.id for token in newest if token.fields["createdAt"] > recent}
        assert not missing, f"{len(missing)} of {len(now)} are missing"

    def _check_listed(self, before: set[str], rows: list[dict[str, Any]]) -> None:
        listed = {row["id"] for row in rows}
        assert len(listed) == len(rows)
        self._check_whole(before, listed)
        _, ever = self._stable()
        assert listed <= ever
        names = {event.id: event.name for event in self._sim.history()}
        assert all(row["name"] == names[row["id"]] for row in rows)

    def list_all(self) -> None:
        before, _ = self._stable()
        self._check_listed(before, self._rows(f"SELECT id, name FROM {TABLE}"))

    def list_as_one(self) -> None:
        before, _ = self._stable()
        (row,) = self._rows(f"EXEC {TABLE}._list_auth_tokens")
        ever = before | self._stable()[1]
        self._check_whole(before, {key for key in ever if key in row["tokens"]})

    def current(self) -> None:
        (row,) = self._rows(f"SELECT id FROM {TABLE} WHERE tokenId = 'current'")
        assert row["id"] == self._sim.state.calling_token.id

    def user(self) -> None:
        (row,) = self._rows("SELECT id, email FROM vercel.user.user")
        assert row == {name: self._sim.state.user[name] for name in ("id", "email")}

    def teams(self) -> None:
        rows = self._rows("SELECT id FROM vercel.teams.teams")
        assert {row["id"] for row in rows} == {team.id for team in self._sim.state.teams}

    def _delete(self, keys: list[str]) -> None:
        there = sum(self._sim.state.find_token(key) is not None for key in keys)
        for key in keys:
            self._own.pop(key, None)
        self._dead += keys
        places = ", ".join("?" * len(keys))
        (row,) = self._rows(f"DELETE FROM {TABLE} WHERE id IN ({places})", *keys)
        assert not any(self._sim.state.find_token(key) for key in keys), "the all-clear, too early"
        assert row["Count"] <= there

    def delete(self) -> None:
        if self._own:
            self._delete([key for key in {self._one() for _ in range(3)} if key in self._own])

    def delete_dead(self) -> None:
        if self._dead:
            self._delete([self._random.choice(self._dead)])

    def rotate(self) -> None:
        if not self._own:
            return
        key = self._one()
        try:
            (row,) = self._rows(f"EXEC {TABLE}.rotate_token @tokenId = '{key}'")
        except vercel_sql.Error as error:
            says_kept = f"{key}, is as it was" in str(error) or "still there" in str(error)
            assert not says_kept or self._sim.state.find_token(key) is not None
            raise
        else:
            del self._own[key]
            self._own[row["tokenId"]] = row["bearerToken"]
            assert row["revokedTokenId"] == key
            assert self._sim.state.find_token(key) is None
            self._check_made({"bearerToken": row["bearerToken"], "id": row["tokenId"]}, None)
        finally:
            self._check_speaker()

    def login(self) -> None:
        self._names += 1
        email = f"p{self._number}-{self._names}@example.com"
        (begun,) = self._rows(f"EXEC {TABLE}.email_login @email = '{email}', @tokenName = 'l'")
        login = self._sim.state.logins.get(begun["token"])
        assert login is not None
        assert (login.email, login.security_code) == (email, begun["securityCode"])
        self._sim.confirm(email=email)
        (row,) = self._rows(
            f"EXEC {TABLE}.verify_token @token = '{begun['token']}', @email = '{email}'"
        )
        assert row["email"] == email
        assert self._sim.state.find_bearer(row["token"]) is not None
