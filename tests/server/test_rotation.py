"""Clients of a server rotate tokens, but for the one that makes everybody's calls."""

from __future__ import annotations

import json

import duckdb
import pytest

T = "vercel.authentication.user_tokens"


def query(text: str) -> str:
    return "FROM vercel.query('" + text.replace("'", "''") + "')"


def ran(statement: str, request_id: str | None = None) -> str:
    literal = "'" + statement.replace("'", "''") + "'"
    return query(f"FROM run({literal}, request_id := '{request_id or ''}')")


@pytest.fixture
def client(serve, attached_to):
    return attached_to(serve(writes=True))


@pytest.fixture
def writes(sim):
    return lambda: [r.method for r in sim.requests() if r.method != "GET"]


def test_a_client_rotates_a_token(client, sim, writes, tmp_path):
    old = sim.state.add_token({"name": "deploys"})
    statement = f"EXEC {T}.rotate_token @tokenId = '{old.id}'"
    ((row,),) = client.execute(ran(statement, "r")).fetchall()
    made = json.loads(row)
    assert sim.state.find_token(made["tokenId"]).bearer == made["bearerToken"]
    assert made["revokedTokenId"] == old.id
    assert made["savedTo"] == str(tmp_path / "secrets.jsonl")
    client.execute(ran(statement, "r")).fetchall()
    assert writes() == ["POST", "DELETE"]


@pytest.mark.parametrize("by_id", [False, True])
@pytest.mark.parametrize("door", ["run", "explain", "function"])
def test_no_client_replaces_the_servers_own(client, sim, writes, door, by_id):
    id_ = sim.state.calling_token.id if by_id else "current"
    statement = f"EXEC {T}.rotate_token @tokenId = '{id_}'"
    asked = {
        "run": ran(statement, "r"),
        "explain": ran(f"EXPLAIN {statement}"),
        "function": query(f"FROM authentication.rotate_token('{id_}', request_id := 'r')"),
    }
    with pytest.raises(duckdb.Error, match="none of its clients replaces it"):
        client.execute(asked[door]).fetchall()
    assert writes() == []
    assert sim.state.find_bearer(sim.token) is sim.state.calling_token


def test_explain_of_another_changes_nothing(client, sim, writes):
    old = sim.state.add_token({"name": "deploys"})
    rows = client.execute(ran(f"EXPLAIN EXEC {T}.rotate_token @tokenId = '{old.id}'")).fetchall()
    methods = [json.loads(row)["method"] for (row,) in rows]
    assert methods == ["GET", "GET", "POST", "GET", "DELETE"]
    assert writes() == []


def test_a_server_for_reading_refuses_it(serve, attached_to, writes):
    client = attached_to(serve())
    with pytest.raises(duckdb.Error, match="may only read"):
        client.execute(ran(f"EXEC {T}.rotate_token @tokenId = 'current'", "r")).fetchall()
    assert writes() == []
