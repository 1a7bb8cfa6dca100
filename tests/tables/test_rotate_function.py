"""A rotation as a native function: done once for each request id, however often DuckDB calls it."""

from __future__ import annotations

import json

import duckdb
import pytest

ROTATE = "FROM vercel.authentication.rotate_token"
LATER = 4_000_000_000_000


@pytest.fixture
def secrets(tmp_path):
    return tmp_path / "secrets.jsonl"


@pytest.fixture
def writer(attached, sim, secrets):
    return attached(sim, writes=True, secrets_file=secrets)


@pytest.fixture
def writes(sim):
    return lambda: [r.method for r in sim.requests() if r.method != "GET"]


def bearers(secrets):
    return [json.loads(line)["bearerToken"] for line in secrets.read_text().splitlines()]


def test_a_token_is_replaced_and_its_secret_is_in_the_file(writer, sim, ids, secrets):
    old = sim.state.add_token({"name": "deploys"})
    query = f"SELECT bearerToken, tokenId, revokedTokenId, savedTo, notice {ROTATE}"
    row = writer.execute(f"{query}(?, request_id := 'r')", [old.id]).fetchone()
    new = sim.state.find_token(row[1])
    assert row == (new.bearer, new.id, old.id, str(secrets), None)
    assert bearers(secrets) == [new.bearer]
    assert sim.state.find_token(old.id) is None


def test_once_for_each_request_id(writer, sim, writes):
    old = sim.state.add_token({"name": "deploys"})
    call = f"SELECT a.tokenId {ROTATE}('{old.id}', request_id := 'r') a"
    both = f"SELECT a.tokenId, b.tokenId FROM ({call}) a, ({call}) b"
    ((first, second),) = writer.execute(both).fetchall()
    assert first == second
    assert writer.execute(call).fetchall() == [(first,)]
    assert writes() == ["POST", "DELETE"]


def test_the_calling_token_is_replaced_and_the_attachment_goes_on(writer, sim):
    old = sim.state.calling_token
    row = writer.execute(f"SELECT tokenId, notice {ROTATE}('current', request_id := 'r')")
    new, notice = row.fetchone()
    assert "(argument)" in notice
    query = "SELECT id FROM vercel.authentication.user_tokens WHERE tokenId = 'current'"
    assert writer.execute(query).fetchall() == [(new,)]
    assert sim.state.find_token(old.id) is None


def test_null_is_the_same_as_left_out(writer, sim, writes):
    """A macro can't tell them apart: what never expires is made by the statement alone."""
    old = sim.state.add_token({"name": "deploys", "expiresAt": LATER})
    for number, more in enumerate(("", ", expiresAt := NULL")):
        with pytest.raises(duckdb.Error, match="no end was given") as caught:
            writer.execute(f"{ROTATE}('{old.id}'{more}, request_id := 'r{number}')").fetchall()
        assert str(caught.value).endswith(". Add expiresAt := …")
    assert writes() == []
    query = f"{ROTATE}('{old.id}', expiresAt := {LATER + 1}, request_id := 'r')"
    assert writer.execute(f"SELECT token.expiresAt {query}").fetchone() == (LATER + 1,)


def test_one_that_stopped_says_what_exists_and_is_not_begun_again(writer, sim, secrets, writes):
    old = sim.state.add_token({"name": "deploys"})
    sim.faults(kind="status", status=403, method="DELETE")
    for _ in range(2):
        with pytest.raises(duckdb.Error, match="There is a new one") as caught:
            writer.execute(f"{ROTATE}('{old.id}', request_id := 'r')").fetchall()
        assert old.id in str(caught.value)
        assert bearers(secrets)[0] not in str(caught.value)
    assert len(bearers(secrets)) == 1
    assert writes() == ["POST", "DELETE"]
    assert sim.state.find_token(old.id) is old


def test_it_is_there_only_where_writes_were_asked_for(con, sim):
    with pytest.raises(duckdb.CatalogException):
        con.execute(f"{ROTATE}('current', request_id := 'r')")
    assert sim.requests() == []
