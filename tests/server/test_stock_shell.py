"""The stock DuckDB shell, attached to a server, and what it gives compared with our own shell."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vercel_sql
from vercel_sql.render import render

TABLE = "vercel.authentication.user_tokens"

# The calling token changes with every call.
_OTHERS = "name <> 'simulated calling token'"

READS = {
    "list": f"SELECT id, name, origin, scopes, expiresAt FROM {TABLE} ORDER BY id",
    "everything": f"SELECT * FROM {TABLE} WHERE {_OTHERS} ORDER BY id",
    "filter": f"SELECT id FROM {TABLE} WHERE origin = 'github' AND name LIKE '%e%' ORDER BY id",
    "one": f"SELECT name, type, tokenId FROM {TABLE} WHERE tokenId = '{{id}}'",
    "none": f"SELECT name FROM {TABLE} WHERE id = 'no-such-token'",
    "aggregate": f"SELECT origin, count(*) AS n, min(createdAt) AS first FROM {TABLE} GROUP BY ALL "
    "ORDER BY ALL",
    "times": "SELECT id, created_at, active_at, never_expires, team_count "
    f"FROM vercel.audit.user_tokens WHERE {_OTHERS} ORDER BY id",
    "join with a CSV": "SELECT o.owner, count(*) AS tokens, bool_or(t.never_expires) AS forever "
    "FROM vercel.audit.user_tokens AS t JOIN read_csv('{csv}') AS o ON o.id = t.id "
    "GROUP BY ALL ORDER BY ALL",
    "join with teams": "SELECT t.name, g.slug FROM vercel.audit.user_tokens AS t, "
    "unnest(t.scopes) AS s(scope) JOIN vercel.teams.teams AS g ON g.id = s.scope.teamId "
    "ORDER BY ALL",
    "user": "SELECT id, username, email FROM vercel.user.user",
    "static": "SELECT scope FROM vercel.integrations.scopes ORDER BY scope LIMIT 3",
}


@pytest.fixture
def ours(connect: Callable[..., vercel_sql.Connection]) -> Callable[[str], Any]:
    """What our own shell gives for a statement in its JSON mode."""

    def run(statement: str) -> Any:
        con = connect()
        con.duckdb.execute("SET arrow_lossless_conversion = true")
        out = io.StringIO()
        render(con.execute(statement).arrow(), "json", out, width=None)
        return json.loads(out.getvalue())

    return run


@pytest.fixture
def stock(serve: Any, shell: Any) -> Callable[..., Any]:
    """What the stock shell gives for a script in its JSON mode, attached to a server."""
    servers: dict[bool, Any] = {}

    def run(script: str, *, writes: bool = False) -> Any:
        server = servers.get(writes) or servers.setdefault(writes, serve(writes=writes))
        ended = shell(server, script, "-json")
        assert ended.stderr == ""
        return json.loads(ended.stdout or "[]")

    return run


@pytest.fixture
def owners(ids: list[str], tmp_path: Path) -> Path:
    """A CSV file that says whose each token is."""
    path = tmp_path / "owners.csv"
    lines = [f"{id_},{'ada' if number % 3 else 'bob'}" for number, id_ in enumerate(ids)]
    path.write_text("id,owner\n" + "\n".join(lines) + "\n")
    return path


def _as_text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


# Quack 1.5.5 reads one attached table a statement: "multiple streaming scans … not supported".
@pytest.mark.parametrize("name", [name for name in READS if name != "join with teams"])
def test_attached_tables_give_what_our_own_shell_gives(
    name: str, stock: Any, ours: Any, ids: list[str], owners: Path
) -> None:
    query = READS[name].replace("{id}", ids[4]).replace("{csv}", str(owners))
    expected = ours(query)
    assert (expected == []) == (name == "none")
    assert stock(f"{query};") == expected


@pytest.mark.parametrize("name", [name for name in READS if "CSV" not in name])
def test_a_query_sent_as_text_gives_what_our_own_shell_gives(
    name: str, stock: Any, ours: Any, ids: list[str]
) -> None:
    query = READS[name].replace("{id}", ids[4])
    assert stock(f"FROM vercel.query({_as_text(query)});") == ours(query)


@pytest.mark.parametrize("name", [name for name in READS if "CSV" not in name])
def test_run_gives_the_same_rows_as_json(name: str, stock: Any, ours: Any, ids: list[str]) -> None:
    query = READS[name].replace("{id}", ids[4])
    inner = f"FROM run({_as_text(query)})"
    rows = stock(f"FROM vercel.query({_as_text(inner)});")
    assert [row["row"] for row in rows] == ours(query)


@pytest.mark.parametrize(
    "statement",
    [
        "SHOW METHODS IN vercel.authentication.user_tokens",
        "SHOW SERVICES IN vercel",
        "DESCRIBE METHOD vercel.authentication.user_tokens.verify_token",
        "EXPLAIN DELETE FROM vercel.authentication.user_tokens WHERE id = 'abc'",
        "EXPLAIN INSERT INTO vercel.authentication.user_tokens (name) SELECT 'x'",
        "EXEC vercel.authentication.user_tokens.get_auth_token @tokenId = '{id}'",
        "DESCRIBE vercel.authentication.user_tokens",
    ],
)
def test_run_takes_the_statements_of_the_dialect(
    statement: str, stock: Any, ours: Any, ids: list[str]
) -> None:
    statement = statement.replace("{id}", ids[4])
    query = f"FROM vercel.query({_as_text(f'FROM run({_as_text(statement)})')});"
    rows = [row["row"] for row in stock(query)]
    if statement.startswith("EXPLAIN"):
        refused = "refused: this connection is read-only"
        assert {row["effect"]: row.pop("note") for row in rows}["write"] == refused
    assert rows == ours(statement)


def test_a_token_is_created_and_revoked_with_functions(
    stock: Any, exists: Any, authenticates: Any
) -> None:
    call = "FROM authentication.create_auth_token(''ci'', request_id := ''r1'')"
    ((made),) = stock(f"FROM vercel.query('{call}');", writes=True)
    id_ = made["token"]["id"]
    assert exists(id_)
    assert authenticates(made["bearerToken"])
    call = f"FROM authentication.delete_auth_token(''{id_}'', request_id := ''r2'')"
    stock(f"FROM vercel.query('{call}');", writes=True)
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
    assert len(stock(script, writes=True)) == 1


def test_an_error_is_one_message_without_a_traceback(serve: Any, shell: Any) -> None:
    refusals = {
        f"INSERT INTO {TABLE} (name) SELECT 'x'": "it changes something, and clients may only read",
        f"SELECT nme FROM {TABLE}": 'Referenced column "nme" not found',
        "SELECT 1; SELECT 2": "only one statement per request",
        "SHOW METHODS IN vercel.authentication.user_token": "there are",
    }
    server = serve()
    for statement, message in refusals.items():
        inner = f"FROM run({_as_text(statement)})"
        ended = shell(server, f"FROM vercel.query({_as_text(inner)});")
        assert ended.returncode != 0
        assert message in ended.stderr
        assert "Traceback" not in ended.stderr
        assert ".py" not in ended.stderr


def test_a_write_without_a_request_id_sends_nothing(serve: Any, shell: Any, sent: Any) -> None:
    inner = f"FROM run({_as_text(f'INSERT INTO {TABLE} (name) SELECT 1')})"
    ended = shell(serve(writes=True), f"FROM vercel.query({_as_text(inner)});")
    assert "needs request_id" in ended.stderr
    assert sent("POST") == []


def _run(stock: Any, statement: str, request_id: str) -> list[dict[str, Any]]:
    inner = f"FROM run({_as_text(statement)}, request_id := '{request_id}')"
    rows = stock(f"FROM vercel.query({_as_text(inner)});", writes=True)
    return [row["row"] for row in rows]
