"""Every answer is held against its request; what can't be its own is an error of its own kind."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

import vercel_sql
from vercel_sql.errors import AnswerMismatchError, PartialWriteError, UnknownOutcomeError
from vercel_sql.http.requests import build_request
from vercel_sql.manifest import vercel

TABLE = "vercel.authentication.user_tokens"
NOT_ITS_OWN = "the answer to another request"
DAY_MS = 86_400_000


def made(db, name="ci", **columns):
    names = ", ".join(["name", *columns])
    places = ", ".join(["$name", *(f"${column}" for column in columns)])
    cursor = db.execute(
        f"INSERT INTO {TABLE} ({names}) SELECT {places} RETURNING bearerToken, id",
        {"name": name, **columns},
    )
    return cursor.fetchall()


def patched(sim, token, **fault):
    sim.faults(kind="patch", patch={"token": token}, method="POST", **fault)


# What a server may do to a value


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("  ci ", "ci"),
        ("two  words", "two words"),
        ("Caf\u0065\u0301", "Caf\u00e9"),
        ("CI", "ci"),
        ("n" * 100, "n" * 64),
    ],
    ids=repr,
)
def test_a_name_that_the_server_tidied_up_is_the_same(db, sim, asked, shown):
    patched(sim, {"name": shown})
    ((secret, id_),) = made(db, asked)
    assert sim.state.find_bearer(secret).id == id_


@pytest.mark.parametrize("rounded", [1, 1000, 60_000])
def test_a_moment_may_be_rounded(db, sim, rounded):
    until = int(time.time() * 1000) + 90 * DAY_MS + 567
    patched(sim, {"expiresAt": until // rounded * rounded})
    assert made(db, expiresAt=until)


# What belongs to another request


def test_an_answer_that_was_cut_and_then_comes_whole_is_a_replay(db, sim):
    """The header tells answers apart until two whole ones that differ have one id."""
    method = vercel().service("user").resources["user"].methods["get_auth_user"]
    request = build_request(method, {})
    is_replayed = db.client.proofs.is_replayed
    cut, whole, other = b'{"user": {"id": "a"', b'{"user": {"id": "a"}}', b'{"user": {"id": "b"}}'
    for first, second in ((cut, whole), (whole, cut)):
        headers = {"x-vercel-id": f"iad1::{first.hex()}"}
        assert not is_replayed(request, headers, first)
        assert is_replayed(request, headers, second)
    assert is_replayed(request, headers, whole)
    assert not is_replayed(request, headers, other)


@pytest.mark.parametrize(
    ("token", "columns"),
    [
        ({"name": "another"}, {}),
        ({"name": "c"}, {}),
        ({"expiresAt": None}, {"expiresAt": 1}),
        ({"expiresAt": 4_102_444_800_000}, {"expiresAt": 1}),
        ({"scopes": [{"type": "team", "teamId": "team_other"}]}, {"teamId": 1}),
    ],
    ids=str,
)
def test_what_was_made_has_what_was_asked_for(db, sim, team, token, columns):
    values = {"expiresAt": int(time.time() * 1000) + DAY_MS, "teamId": team.id}
    patched(sim, token)
    with pytest.raises(UnknownOutcomeError, match=NOT_ITS_OWN) as caught:
        made(db, "ci", **{name: values[name] for name in columns})
    # It was made, and its secret is not shown as that of another row. The account was asked.
    (event,) = [each for each in sim.history() if each.request is not None]
    assert event.bearer not in str(caught.value)
    assert event.id in caught.value.orphans


def test_no_two_rows_have_the_same_secret(db, sim):
    ((secret, id_),) = made(db, "same")
    token = sim.state.find_token(id_)
    sim.faults(kind="body", body={"token": token.fields, "bearerToken": secret}, method="POST")
    with pytest.raises(UnknownOutcomeError, match="its secret was given before"):
        made(db, "same")


def test_a_new_row_was_not_there_before(db, sim, ids):
    row = db.execute(f"SELECT * FROM {TABLE} WHERE id = ?", [ids[0]]).fetchone()
    sim.faults(kind="patch", patch={"token": {"id": row[0]}}, method="POST")
    with pytest.raises(UnknownOutcomeError, match="was there before"):
        made(db)


def test_rows_that_were_made_before_are_kept(db, sim):
    patched(sim, {"name": "another"}, after=2)
    with pytest.raises(PartialWriteError, match=NOT_ITS_OWN) as caught:
        db.execute(
            f"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range(5) AS r(i) "
            "RETURNING name, bearerToken"
        )
    assert [row[0] for row in caught.value.rows] == ["n0", "n1"]


def test_a_read_is_sent_again_on_a_new_connection(db, sim, ids):
    sim.faults(kind="patch", patch={"token": {"id": ids[1]}}, path=f"*{ids[0]}")
    assert db.execute(f"SELECT id FROM {TABLE} WHERE id = ?", [ids[0]]).fetchall() == [(ids[0],)]


def test_the_answer_to_a_create_is_no_answer_to_a_lookup(db, sim):
    """It has the same row, which may be gone by now."""
    ((secret, id_),) = made(db)
    old = {"token": sim.state.find_token(id_).fields, "bearerToken": secret}
    sim.state.remove_token(sim.state.find_token(id_))
    sim.faults(kind="body", body=old, path=f"*{id_}")
    assert db.execute(f"SELECT id FROM {TABLE} WHERE id = ?", [id_]).fetchall() == []


def test_a_deletion_that_was_answered_for_another_is_looked_up(db, sim, ids, exists):
    sim.faults(kind="patch", patch={"tokenId": ids[1]}, method="DELETE")
    assert db.execute(f"DELETE FROM {TABLE} WHERE id = ? RETURNING id", [ids[0]]).fetchall()
    assert not exists(ids[0])
    fault = {"tokenId": ids[1]}
    sim.faults(kind="body", body=fault, method="DELETE", times=None)
    sim.faults(kind="body", body=fault, method="DELETE", times=None)
    with pytest.raises(vercel_sql.OperationalError, match=NOT_ITS_OWN):
        db.execute(f"EXEC {TABLE}.delete_auth_token @tokenId = '{ids[2]}'")


@pytest.mark.parametrize("column", ["id", "suffix"])
def test_the_calling_token_is_always_the_same(db, sim, column):
    query = f"SELECT id FROM {TABLE} WHERE tokenId = 'current'"
    if column == "id":
        db.execute(query).fetchall()
    times = None if column == "id" else 1
    sim.faults(kind="patch", patch={"token": {column: "zzzz"}}, path="*/current", times=times)
    if column == "id":
        with pytest.raises(AnswerMismatchError, match="credential"):
            db.execute(query).fetchall()
    else:
        assert db.execute(query).fetchall(), "asked again"
        assert len([r for r in sim.requests() if r.path.endswith("current")]) == 2


def test_ends_of_a_secret_that_are_told_twice_are_believed(db, sim):
    """They may be those of a session's first token."""
    sim.faults(kind="patch", patch={"token": {"suffix": "zzzz"}}, path="*/current", times=None)
    query = f"SELECT suffix FROM {TABLE} WHERE tokenId = 'current'"
    assert db.execute(query).fetchall() == [("zzzz",)]
    sim.faults(kind="patch", patch={"token": {"suffix": "yyyy"}}, method="POST", times=None)
    assert made(db, "ci"), "a create's own row and secret came together"


def test_the_user_of_a_token_is_always_the_same(db, sim):
    db.execute("SELECT * FROM vercel.user.user").fetchall()
    sim.faults(kind="patch", patch={"user": {"id": "another"}}, path="/v2/user", times=None)
    with pytest.raises(AnswerMismatchError, match="it is about another"):
        db.execute("SELECT * FROM vercel.user.user").fetchall()


def test_a_login_is_told_from_its_verification(db, sim):
    sim.faults(kind="body", body={"token": "t", "email": "a@example.com"}, path="/registration")
    with pytest.raises(vercel_sql.OperationalError, match="it has no securityCode"):
        db.execute(f"EXEC {TABLE}.email_login @email = 'a@example.com'")


def test_a_revocation_says_nothing(db, sim):
    sim.faults(kind="body", body={"active": True}, path="*/revoke")
    with pytest.raises(vercel_sql.OperationalError, match="where nothing was asked for"):
        db.execute("DELETE FROM vercel.oauth.tokens WHERE token = 't' AND client_id = 'c'")
    sim.faults(kind="body", body={"success": True}, path="*/revoke")
    db.execute("DELETE FROM vercel.oauth.tokens WHERE token = 't' AND client_id = 'c'")


# Answers that came before


def test_an_answer_that_came_before_is_not_this_ones(db, sim, ids):
    headers = {"X-Vercel-Id": "dev1::the-same"}
    old = {"token": sim.state.find_token(ids[0]).fields}
    sim.faults(kind="body", body=old, headers=headers, path=f"*{ids[0]}", times=1)
    assert db.execute(f"SELECT id FROM {TABLE} WHERE id = ?", [ids[0]]).fetchall()
    sim.state.remove_token(sim.state.find_token(ids[0]))
    sim.faults(kind="body", body=old, headers=headers, path=f"*{ids[0]}", times=1)
    assert db.execute(f"SELECT id FROM {TABLE} WHERE id = ?", [ids[0]]).fetchall() == []


# Connections


def test_the_pages_of_a_listing_share_a_connection_and_nothing_else_does(
    simulate, make_client, monkeypatch
):
    from vercel_sql.catalog.pages import page_reader
    from vercel_sql.catalog.rows import TableShape
    from vercel_sql.http import connections
    from vercel_sql.http.paging import walk
    from vercel_sql.http.requests import build_request
    from vercel_sql.manifest import vercel

    sim = simulate(1000)
    client = make_client(sim)
    kept = []
    make = connections.make_http_client
    monkeypatch.setattr(connections, "make_http_client", lambda *a: kept.append(a[2]) or make(*a))
    resource = vercel().service("authentication").resources["user_tokens"]
    reader = page_reader(TableShape(resource), resource.lister)
    assert sum(1 for _ in walk(client, resource.lister, {}, reader)) == 11
    assert kept == [1]
    for _ in range(3):
        client.send(build_request(resource.getter, {"tokenId": "current"}))
    assert kept == [1, 0]


@pytest.mark.parametrize("left_over", [b"", b"HTTP/1.1 200 OK\r\n", b"\0"], ids=repr)
def test_a_connection_with_bytes_left_over_is_closed(serve, make_client, read, left_over):
    body = b'{"token": {"id": "t"}}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    def act(connection):
        connection.sendall(answer + left_over)
        while connection.recv(65536):
            connection.sendall(answer)

    server = serve(act)
    client = make_client(urls={"api": server.url}, attempts=1)
    with client.connections.line() as line:
        for _ in range(3):
            client.send(replace(read, line=line))
    assert server.connections == (3 if left_over else 1)
