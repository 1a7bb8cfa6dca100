"""EXPLAIN: the requests that a statement would send, and nothing that changes anything."""

import json

import pytest

import vercel_sql

T = "vercel.authentication.user_tokens"

WRITES = [
    f"INSERT INTO {T} (name) VALUES ('a')",
    f"INSERT INTO {T} (name) VALUES ('a'), ('b'), ('c')",
    f"INSERT INTO {T} (name, expiresAt) VALUES ('a', DATE '2030-01-01')",
    f"INSERT INTO {T} (name, teamId) VALUES ('a', $team)",
    f"INSERT INTO {T} (slug, data__name) VALUES ($slug, 'a')",
    f"INSERT INTO {T} (name, projectId, teamId) VALUES ('☃ \"x\"', 'prj_1', $team)",
    f"INSERT INTO {T} (name) SELECT 'n' || i FROM range(5) t(i) RETURNING bearerToken",
    f"INSERT INTO {T} (name) SELECT name FROM {T} WHERE name > 'a' ORDER BY name LIMIT 2",
    f"INSERT INTO {T} (name) SELECT name FROM {T} WHERE tokenId = 'current'",
    f"INSERT INTO {T} BY NAME SELECT 'a' AS name, NULL AS expiresAt",
    f"WITH v AS (SELECT 'a') INSERT INTO {T} (name) FROM v",
    f"INSERT INTO {T} (name) SELECT 'a' WHERE false",
    f"DELETE FROM {T} WHERE id = $one",
    f"DELETE FROM {T} WHERE tokenId = $one",
    f"DELETE FROM {T} WHERE id IN ($one, $two, 'nobody')",
    f"DELETE FROM {T} WHERE id = $one RETURNING name",
    f"DELETE FROM {T} WHERE tokenId = 'current'",
    f"DELETE FROM {T} WHERE tokenId = 'current' RETURNING id",
    f"DELETE FROM {T} WHERE id IN (SELECT $one UNION SELECT $two)",
    f"DELETE FROM {T} AS t USING (SELECT $one AS x) s WHERE t.id = s.x",
    f"DELETE FROM {T} WHERE name LIKE '%a%' AND id <> $own RETURNING *",
    f"DELETE FROM {T} WHERE id <> $own",
    f"DELETE FROM {T} WHERE false",
    f"DELETE FROM {T} WHERE id = 'a/b?c=d'",
    f"EXEC {T}.create_auth_token @name = 'a', @teamId = $team",
    f"EXEC {T}.delete_auth_token @tokenId = $one",
    f"EXEC {T}.delete_auth_token @tokenId = 'current'",
    f"EXEC {T}.email_login @email = 'a@example.com', @tokenName = 'x'",
    f"""EXEC {T}.email_login @@json = '{{"email": "a@example.com"}}'""",
    f"EXEC {T}.get_auth_token @tokenId = $one",
    f"EXEC {T}.list_auth_tokens",
    f"EXEC {T}._list_auth_tokens",
    "EXEC vercel.user.user.get_auth_user",
]


@pytest.fixture
def parameters(sim, ids, team):
    own = sim.state.calling_token.id
    return {"one": ids[0], "two": ids[1], "own": own, "team": team.id, "slug": team.slug}


@pytest.fixture
def used(parameters):
    """The parameters that a statement mentions."""
    return lambda sql: {name: value for name, value in parameters.items() if f"${name}" in sql}


def in_order(requests):
    """Reads and deletions may be side by side, in any order; the rest is one after the other."""
    either = sorted((each for each in requests if each[0] in ("GET", "DELETE")), key=repr)
    return either + [each for each in requests if each[0] not in ("GET", "DELETE")]


def shown(rows):
    return in_order(
        [
            (method, path, json.loads(query or "{}"), json.loads(body) if body else None)
            for _step, method, path, query, body, _effect, _name, _row, *_note in rows
        ]
    )


def received(requests):
    return in_order([(r.method, r.path, dict(r.query), r.body) for r in requests])


def unconfirmed(requests, explained):
    """The requests without those that ask again for what is not there."""
    left = list(requests)
    for request in requests:
        line = (request.method, request.path, dict(request.query), request.body)
        is_again = received(left).count(line) > explained.count(line)
        if request.method == "GET" and request.status == 404 and is_again:
            left.remove(request)
    return left


@pytest.mark.parametrize("statement", WRITES)
def test_what_is_explained_is_what_is_sent(db, sim, used, sent, statement):
    explained = db.execute(f"EXPLAIN {statement}", used(statement)).fetchall()
    assert {request.method for request in sent()} <= {"GET"}
    sim.clear_requests()
    db.execute(statement, used(statement))
    assert shown(explained) == received(unconfirmed(sent(), shown(explained)))


def test_a_delete_shows_the_rows_that_match(db, sim, ids, parameters):
    rows = db.execute(
        f"EXPLAIN DELETE FROM {T} WHERE id IN (?, ?) RETURNING id", ids[:2]
    ).fetchall()
    matched = [json.loads(row[-1])["id"] for row in rows if row[1] == "DELETE"]
    assert sorted(matched) == sorted(ids[:2])
    assert len(sim.state.tokens()) == 31


@pytest.mark.parametrize(
    "where", ["id = $one", "name > ''  AND id <> $own", "id = 'x' RETURNING id"]
)
def test_the_client_is_read_only_meanwhile(db, used, where):
    statement = f"DELETE FROM {T} WHERE {where}"
    modes = []
    with db.observed(lambda _event: modes.append(db.client.read_only)):
        db.execute(f"EXPLAIN {statement}", used(statement))
        assert set(modes) == {True}
        db.execute(statement, used(statement))
    assert modes[-1] is False


@pytest.mark.parametrize("statement", WRITES)
def test_a_read_only_connection_explains_the_same_and_sends_no_write(
    connect, db, used, sent, statement
):
    values = used(statement)
    read_only = connect(read_only=True)
    expected = db.execute(f"EXPLAIN {statement}", values).fetchall()
    cursor = read_only.execute(f"EXPLAIN {statement}", values)
    rows = cursor.fetchall()
    # Without the matching row, which tells of its last use.
    assert [row[:7] for row in rows] == [row[:7] for row in expected]
    if cursor.description[-1][0] == "note":
        refusal = "refused: this connection is read-only"
        assert all(row[8].startswith(refusal) for row in rows if row[5] == "write")
    else:
        assert "write" not in [row[5] for row in rows]
    assert {request.method for request in sent()} <= {"GET"}
    if any(row[5] == "write" for row in rows):
        with pytest.raises(vercel_sql.ReadOnlyError):
            read_only.execute(statement, values)
    assert {request.method for request in sent()} <= {"GET"}


def test_secrets_are_masked(db, sim, sent):
    statement = f"EXEC {T}.verify_token @token = $t, @email = 'a@example.com'"
    rows = db.execute("EXPLAIN " + statement, {"t": "verification-secret"}).fetchall()
    assert "verification-secret" not in repr(rows)
    assert json.loads(rows[0][3]) == {"token": "[secret]", "email": "a@example.com"}
    assert (rows[0][1:3], sent()) == (("GET", "/registration/verify"), [])


@pytest.mark.parametrize("analyze", ["ANALYZE", "(ANALYZE)", "(ANALYZE, FORMAT JSON)"])
def test_analyze_would_carry_it_out(db, sent, ids, analyze):
    for statement in (
        f"DELETE FROM {T} WHERE id = '{ids[0]}'",
        f"EXEC {T}.email_login @email = 'x'",
    ):
        with pytest.raises(vercel_sql.NotSupportedError, match="use EXPLAIN"):
            db.execute(f"EXPLAIN {analyze} {statement}")
    assert sent() == []


def test_errors_are_those_of_the_statement(db, sim, sent):
    with pytest.raises(vercel_sql.ParameterError, match="name is missing"):
        db.execute(f"EXPLAIN INSERT INTO {T} (teamId) VALUES ('x')")
    with pytest.raises(vercel_sql.ProgrammingError, match="Nothing was deleted"):
        db.execute(f"EXPLAIN DELETE FROM {T} WHERE id = ?", [sim.state.calling_token.id])
    assert {request.method for request in sent()} == {"GET"}


def requests_in(rows):
    (text,) = [value for key, value in rows if key == "vercel_requests"]
    return [line.partition(": ")[2].partition("?")[0] for line in text.splitlines()]


@pytest.mark.parametrize(
    "where",
    [
        "",
        "WHERE name LIKE '%a%'",
        "WHERE id = $one",
        "WHERE tokenId = $one AND name IS NOT NULL",
        "WHERE id IN ($one, $two)",
        "WHERE tokenId = 'current'",
        "WHERE id = 'a/b?c'",
        "WHERE id = 'it''s'",
        "WHERE id = $one OR name = 'x'",
        "WHERE lower(id) = $one",
    ],
)
def test_a_select_shows_the_requests_of_its_scans(db, sim, used, sent, where):
    query = f"SELECT name FROM {T} {where}"
    rows = db.execute(f"EXPLAIN {query}", used(query)).fetchall()
    assert sent() == []
    db.execute(query, used(query)).fetchall()
    again = {f"{r.method} {r.path}" for r in sent() if r.status == 404}
    found = [f"{r.method} {r.path}" for r in sent()]
    assert sorted(requests_in(rows) + sorted(again)) == sorted(found)


def test_a_select_that_can_not_match_shows_no_request(db, sent):
    query = f"SELECT name FROM {T} WHERE id = 'a' AND tokenId = 'b'"
    assert requests_in(db.execute(f"EXPLAIN {query}").fetchall()) == [
        "no request, since no row can match"
    ]
    assert db.execute(query).fetchall() == []
    assert sent() == []


def test_a_join_and_the_own_row_of_the_audit_view(db, sent, ids):
    query = (
        "SELECT u.email, a.is_current FROM vercel.audit.user_tokens a, vercel.user.user u "
        f"WHERE a.id = '{ids[0]}'"
    )
    rows = db.execute(f"EXPLAIN {query}").fetchall()
    db.execute(query).fetchall()
    assert sorted(requests_in(rows)) == sorted(f"{r.method} {r.path}" for r in sent())


def test_other_explains_are_duckdbs(db, sent):
    assert "vercel_requests" not in dict(db.execute("EXPLAIN SELECT 42").fetchall())
    assert db.execute("EXPLAIN ANALYZE SELECT 42").fetchall()
    db.execute("CREATE TABLE t (i INT)")
    assert db.execute("EXPLAIN INSERT INTO t VALUES (1)").fetchall()[0][0] == "physical_plan"
    assert db.execute("SELECT * FROM t").fetchall() == []


def test_a_masked_secret_makes_no_other_statement(db, tmp_path):
    # The text of the "secret" also stands across two quoted names. Replaced there, a string that
    # follows would become a statement.
    out = tmp_path / "out"
    query = (
        "FROM (FROM vercel.oauth.introspection WHERE token = '\" || ') AS i, "
        "(SELECT 'a' AS \"a'\", 'b' AS \"a'[secret]'\") "
        f"SELECT \"a'\" || '\" ; COPY (SELECT 1) TO $a${out}$a$ ; --', i.*"
    )
    rows = dict(db.execute(f"EXPLAIN {query}").fetchall())
    assert "[secret]" in rows["vercel_requests"]
    assert not out.exists()


def test_rows_are_looked_up_again_and_again_without_a_deadlock(db, ids):
    # DuckDB 1.5.5 computes the result of sql() with parameters while it holds Python's lock.
    places = ", ".join(f"'{each}'" for each in ids[:3])
    for _ in range(100):
        rows = db.execute(f"EXPLAIN DELETE FROM {T} WHERE id IN ({places})").fetchall()
        assert len([row for row in rows if row[1] == "DELETE"]) == 3
