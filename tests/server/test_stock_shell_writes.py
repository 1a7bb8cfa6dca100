"""The stock DuckDB shell writes through a server as our own shell does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import vercel_sql

from .conftest import as_json, as_text

TABLE = "vercel.authentication.user_tokens"


@pytest.fixture
def ours(connect: Callable[..., vercel_sql.Connection]) -> Callable[[str], Any]:
    """What our own shell gives for a statement in its JSON mode."""
    return lambda statement: as_json(connect(), statement)


@pytest.fixture
def stock(serve: Any, shell: Any) -> Callable[[str], Any]:
    """What the stock shell gives for a script in its JSON mode, attached to a server."""
    server = serve(writes=True)

    def run(script: str) -> Any:
        ended = shell(server, script, "-json")
        assert ended.stderr == ""
        return json.loads(ended.stdout or "[]")

    return run


def test_a_token_is_created_and_revoked_with_functions(
    stock: Any, exists: Any, authenticates: Any
) -> None:
    call = "FROM authentication.create_auth_token(''ci'', request_id := ''r1'')"
    ((made),) = stock(f"FROM vercel.query('{call}');")
    id_ = made["token"]["id"]
    assert exists(id_)
    assert authenticates(made["bearerToken"])
    call = f"FROM authentication.delete_auth_token(''{id_}'', request_id := ''r2'')"
    stock(f"FROM vercel.query('{call}');")
    assert not exists(id_)


def test_statements_create_and_revoke_as_in_our_own_shell(
    stock: Any, ours: Any, exists: Any, authenticates: Any
) -> None:
    insert = (
        f"INSERT INTO {TABLE} (name, expiresAt) SELECT 'job ' || i, DATE '2099-01-01' "
        "FROM range(2) AS r(i) RETURNING bearerToken, id, name, expiresAt"
    )
    made = _run(stock, insert, "r1")
    own = ours(insert)
    assert [list(row) for row in made] == [list(row) for row in own]
    assert [(row["name"], row["expiresAt"]) for row in made] == [
        (row["name"], row["expiresAt"]) for row in own
    ]
    assert all(authenticates(row["bearerToken"]) for row in made)
    ids = [row["id"] for row in made]
    delete = (
        f"DELETE FROM {TABLE} WHERE name LIKE 'job _' AND id IN {tuple(ids)} RETURNING name, id"
    )
    assert sorted(row["id"] for row in _run(stock, delete, "r2")) == sorted(ids)
    assert not any(map(exists, ids))
    assert all(exists(row["id"]) for row in own)


def test_exec_logs_in_by_email(stock: Any, ours: Any) -> None:
    statement = f"EXEC {TABLE}.email_login @email = 'ada@example.com'"
    (row,) = _run(stock, statement, "r1")
    (own,) = ours(statement)
    assert list(row) == list(own)
    assert len(row["token"]) == len(own["token"])


def test_a_macro_of_the_shell_makes_statements_short(stock: Any, ids: list[str]) -> None:
    """As docs/server.md has it."""
    script = (
        "CREATE MACRO vsql(statement, request_id := '') AS TABLE FROM vercel.query(\n"
        "  'FROM run(''' || replace(statement, '''', '''''') || ''', request_id := ''' ||\n"
        "  replace(request_id, '''', '''''') || ''')');\n"
        f"SELECT row->>'name' AS name FROM vsql('DELETE FROM {TABLE} WHERE id = ''{ids[0]}'' "
        "RETURNING name', request_id := 'it''s gone');"
    )
    assert len(stock(script)) == 1


def test_a_write_without_a_request_id_sends_nothing(serve: Any, shell: Any, sent: Any) -> None:
    inner = f"FROM run({as_text(f'INSERT INTO {TABLE} (name) SELECT 1')})"
    ended = shell(serve(writes=True), f"FROM vercel.query({as_text(inner)});")
    assert "needs request_id" in ended.stderr
    assert sent("POST") == []


def _run(stock: Any, statement: str, request_id: str) -> list[dict[str, Any]]:
    inner = f"FROM run({as_text(statement)}, request_id := '{request_id}')"
    rows = stock(f"FROM vercel.query({as_text(inner)});")
    return [row["row"] for row in rows]
