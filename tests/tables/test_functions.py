"""Methods as native functions, for connections that the statements do not reach."""

from __future__ import annotations

import json
import os
import stat
import time

import duckdb
import pytest

import vercel_sql
from vercel_sql.errors import OperationalError, ParameterError

LIVE = "vercel.authentication.user_tokens"
CREATE = "FROM vercel.authentication.create_auth_token"
DELETE = "FROM vercel.authentication.delete_auth_token"


@pytest.fixture
def secrets(tmp_path):
    return tmp_path / "secrets.jsonl"


@pytest.fixture
def writer(attached, sim, secrets):
    return attached(sim, writes=True, secrets_file=secrets)


def writes(sim) -> list[str]:
    return [f"{r.method} {r.path}" for r in sim.requests() if r.method != "GET"]


def lines(secrets) -> list[dict]:
    return [json.loads(line) for line in secrets.read_text().splitlines()]


# Reading


def test_get_gives_the_row_of_the_table(con, sim):
    wanted = sim.state.tokens()[1].id
    row = con.execute("FROM vercel.authentication.get_auth_token(?)", [wanted]).fetchall()
    assert row == con.execute(f"FROM {LIVE} WHERE id = ?", [wanted]).fetchall()
    assert [r.path for r in sim.requests()] == [f"/v5/user/tokens/{wanted}"] * 2


def test_get_takes_its_parameter_by_name_and_knows_current(con, sim):
    query = "SELECT id, tokenId FROM vercel.authentication.get_auth_token(tokenId := 'current')"
    assert con.execute(query).fetchall() == [(sim.state.calling_token.id, "current")]
    assert [r.path for r in sim.requests()] == ["/v5/user/tokens/current"]


def test_list_is_the_table(con):
    query = "SELECT id, name FROM vercel.authentication.list_auth_tokens() ORDER BY id"
    assert con.execute(query).fetchall() == (
        con.execute(f"SELECT id, name FROM {LIVE} ORDER BY id").fetchall()
    )


def test_the_whole_body_is_one_row_with_all_pages(simulate, attached):
    sim = simulate(250)
    con = attached(sim)
    sim.faults(kind="patch", path="/v6/*", patch={"testingToken": {"id": "t", "n": 1.10}})
    query = "SELECT * FROM vercel.authentication._list_auth_tokens()"
    ((tokens, pagination, testing, rest),) = con.execute(query).fetchall()
    assert len({token["id"] for token in json.loads(tokens)}) == 251
    assert json.loads(pagination)["count"] == 251
    assert json.loads(pagination)["next"] is None
    assert json.loads(testing) == {"id": "t", "n": 1.1}
    assert rest is None
    assert len(sim.requests()) == 3


def test_looking_at_functions_calls_nothing(writer, sim):
    writer.execute(f"EXPLAIN {CREATE}('x', request_id := 'r')").fetchall()
    writer.execute(f"DESCRIBE {CREATE}('x', request_id := 'r')").fetchall()
    writer.execute(f"PREPARE p AS {CREATE}('x', request_id := 'r')")
    assert sim.requests() == []


# Writing


def test_functions_that_write_are_there_only_where_they_were_asked_for(con, sim):
    for query in (f"{CREATE}('x', request_id := 'r')", f"{DELETE}('x', request_id := 'r')"):
        with pytest.raises(duckdb.CatalogException):
            con.execute(query)
    assert sim.requests() == []


def test_writes_need_a_secrets_file(attached, sim):
    with pytest.raises(ParameterError, match="secrets_file"):
        vercel_sql.attach(attached.plain(), sim.token, api_url=sim.url, writes=True)


def test_a_token_is_created_once_and_its_secret_is_saved_first(writer, sim, secrets):
    expires = int(time.time() * 1000) + 86_400_000
    call = f"{CREATE}(?, expiresAt := ?, request_id := 'r1')"
    query = f"SELECT bearerToken, token.id, token.expiresAt {call}"
    ((bearer, id_, expiry),) = writer.execute(query, ["ci", expires]).fetchall()
    assert expiry == expires
    assert sim.state.find_token(id_).bearer == bearer
    (line,) = lines(secrets)
    assert (line["bearerToken"], line["method"]) == (bearer, "create_auth_token")
    assert line["resource"] == "authentication.user_tokens"
    assert writes(sim) == ["POST /v3/user/tokens"]
    assert sim.requests()[0].body == {"name": "ci", "expiresAt": expires}


def test_the_same_request_id_gives_the_same_answer_and_sends_nothing(writer, sim, secrets):
    query = f"SELECT bearerToken {CREATE}('ci', request_id := 'r1')"
    assert writer.execute(query).fetchall() == writer.execute(query).fetchall()
    assert len(writes(sim)) == len(lines(secrets)) == 1
    assert writer.execute(query.replace("r1", "r2")).fetchall()
    assert len(writes(sim)) == len(lines(secrets)) == 2


def test_the_same_request_id_for_something_else_is_an_error(writer, sim):
    writer.execute(f"{CREATE}('ci', request_id := 'r1')").fetchall()
    for other in (f"{CREATE}('other', request_id := 'r1')", f"{DELETE}('x', request_id := 'r1')"):
        with pytest.raises(duckdb.Error, match="already used for another call"):
            writer.execute(other).fetchall()
    assert len(writes(sim)) == 1


def test_a_call_that_failed_fails_again_with_the_same_id(writer, sim):
    sim.faults(kind="status", status=500, method="POST")
    for _ in range(2):
        with pytest.raises(duckdb.Error, match="500 internal_server_error"):
            writer.execute(f"{CREATE}('ci', request_id := 'r1')").fetchall()
    assert len(writes(sim)) == 1


@pytest.mark.parametrize("request_id", ["", ", request_id := NULL", ", request_id := ''"])
def test_a_request_id_is_required(writer, sim, request_id):
    with pytest.raises(duckdb.Error, match="request_id"):
        writer.execute(f"{CREATE}('ci'{request_id})").fetchall()
    assert sim.requests() == []


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT c.token.id FROM (VALUES (1), (2), (3)) v(n), LATERAL (SELECT * {CREATE}('ci', "
        "request_id := 'r')) c",
        f"WITH c AS NOT MATERIALIZED (SELECT * {CREATE}('ci', request_id := 'r')) "
        "SELECT a.token.id FROM c a, c b",
        f"SELECT a.token.id FROM (SELECT * {CREATE}('ci', request_id := 'r')) a, "
        f"(SELECT * {CREATE}('ci', request_id := 'r')) b",
    ],
    ids=["lateral", "cte", "twice"],
)
def test_however_often_duckdb_calls_it_one_request_is_sent(writer, sim, query):
    assert len(set(writer.execute(query).fetchall())) == 1
    assert len(writes(sim)) == 1


def test_bad_arguments_are_refused_before_the_first_request(writer, sim):
    calls = {
        "''": "name is empty",
        "NULL": "name is missing",
        "'x', expiresAt := 5": "lies in the past|looks like seconds",
        f"'x', expiresAt := {int(time.time()) + 86_400}": "looks like seconds",
    }
    for n, (arguments, words) in enumerate(calls.items()):
        with pytest.raises(duckdb.Error, match=words):
            writer.execute(f"{CREATE}({arguments}, request_id := 'r{n}')").fetchall()
    assert sim.requests() == []


def test_a_token_is_deleted(writer, sim):
    doomed = sim.state.tokens()[3].id
    query = f"SELECT tokenId {DELETE}('{doomed}', request_id := 'd1')"
    assert writer.execute(query).fetchall() == [(doomed,)]
    assert sim.state.find_token(doomed) is None
    assert writes(sim) == [f"DELETE /v3/user/tokens/{doomed}"]


def test_the_calling_token_is_not_deleted_by_its_id(writer, sim):
    own = sim.state.calling_token.id
    with pytest.raises(duckdb.Error, match="is never deleted by accident"):
        writer.execute(f"{DELETE}('{own}', request_id := 'd1')").fetchall()
    assert writes(sim) == []
    assert sim.state.find_token(own) is not None


def test_a_secret_is_saved_even_where_the_rest_of_the_answer_is_broken(writer, sim, secrets):
    sim.faults(kind="patch", method="POST", patch={"token": {"createdAt": "soon"}})
    with pytest.raises(duckdb.Error, match="carried out all the same"):
        writer.execute(f"{CREATE}('ci', request_id := 'r1')").fetchall()
    assert lines(secrets)[0]["bearerToken"] == sim.state.tokens()[0].bearer


# How many


def test_a_statement_stops_at_its_limit_and_the_next_has_its_own(attached, sim, secrets):
    con = attached(sim, writes=True, secrets_file=secrets, max_writes=5)
    many = f"SELECT c.token.id FROM range(?) r(i), LATERAL (SELECT * {CREATE}('n' || i, "
    with pytest.raises(duckdb.Error, match="5 writes were sent, and max_writes allows 5") as caught:
        con.execute(f"{many} request_id := 'a' || i)) c", [8]).fetchall()
    assert "one more was not sent" in str(caught.value)
    assert len(writes(sim)) == len(lines(secrets)) == 5
    # Those that were sent count no more; the others are sent now, under the same ids.
    assert len(con.execute(f"{many} request_id := 'a' || i)) c", [8]).fetchall()) == 8
    assert len(writes(sim)) == len(lines(secrets)) == 8


@pytest.mark.parametrize("transaction", [False, True])
def test_each_statement_counts_by_itself(attached, sim, secrets, transaction):
    con = attached(sim, writes=True, secrets_file=secrets, max_writes=2)
    if transaction:
        con.execute("BEGIN")
    con.execute(f"PREPARE made AS {CREATE}($1, request_id := $1)")
    doomed = [token.id for token in sim.state.tokens() if token is not sim.state.calling_token]
    for n in range(3):
        con.execute(f"{CREATE}('x', request_id := 'p{n}')").fetchall()
        con.execute(f"EXECUTE made('q{n}')").fetchall()
        both = f"SELECT (SELECT bearerToken {CREATE}('x', request_id := 'r{n}'))"
        con.execute(f"{both}, (SELECT tokenId {DELETE}('{doomed[n]}', request_id := 's{n}'))")
    if transaction:
        con.execute("COMMIT")
    assert len(writes(sim)) == 12


def test_a_rotation_counts_as_the_two_that_it_sends(attached, sim, secrets):
    con = attached(sim, writes=True, secrets_file=secrets, max_writes=1)
    old = sim.state.add_token({"name": "deploys"})
    call = f"FROM vercel.authentication.rotate_token('{old.id}', request_id := 'r')"
    with pytest.raises(duckdb.Error, match="it would send 2 writes, and max_writes allows 1"):
        con.execute(call)
    assert writes(sim) == []


def test_a_hundred_unless_it_is_said(attached, sim, secrets):
    many = f"SELECT count(*) FROM range(101) r(i), LATERAL (SELECT * {CREATE}('n', "
    con = attached(sim, writes=True, secrets_file=secrets)
    with pytest.raises(duckdb.Error, match="100 writes were sent"):
        con.execute(f"{many} request_id := 'a' || i)) c").fetchall()
    other = attached(sim, writes=True, secrets_file=secrets, max_writes=None)
    assert other.execute(f"{many} request_id := 'a' || i)) c").fetchall() == [(101,)]
    assert len(writes(sim)) == 100 + 101


# The login


def test_a_login_gives_a_token(writer, sim, secrets):
    login = "FROM vercel.authentication.email_login('a@example.com', request_id := 'l1')"
    token, code = writer.execute(f"SELECT token, securityCode {login}").fetchone()
    assert code
    sim.confirm(email="a@example.com")
    query = "SELECT token, email FROM vercel.authentication.verify_token(?, request_id := 'v1')"
    secret, email = writer.execute(query, [token]).fetchone()
    assert email == "a@example.com"
    assert [line["token"] for line in lines(secrets)] == [token, secret]


# The file


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_the_secrets_file_is_the_owners_alone(writer, secrets):
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606])
def test_a_file_that_others_can_read_is_refused(attached, sim, secrets, mode):
    secrets.touch()
    secrets.chmod(mode)
    options = {"api_url": sim.url, "writes": True, "secrets_file": secrets}
    with pytest.raises(OperationalError, match="others may read it"):
        vercel_sql.attach(attached.plain(), sim.token, **options)
    assert secrets.read_text() == ""


@pytest.mark.parametrize("name", ["missing/secrets", "."])
def test_a_file_that_cannot_be_written_is_refused_before_the_first_request(
    attached, sim, tmp_path, name
):
    options = {"api_url": sim.url, "writes": True, "secrets_file": tmp_path / name}
    with pytest.raises(OperationalError, match="can't be used"):
        vercel_sql.attach(attached.plain(), sim.token, **options)


def test_a_link_is_not_followed(attached, sim, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    options = {"api_url": sim.url, "writes": True, "secrets_file": tmp_path / "link"}
    with pytest.raises(OperationalError, match="can't be used"):
        vercel_sql.attach(attached.plain(), sim.token, **options)
    assert not (tmp_path / "elsewhere").exists()
