"""DELETE: what it matches, what it sends, what it gives back, and what it refuses."""

import json

import pytest

import vercel_sql

TABLE = "vercel.authentication.user_tokens"


@pytest.fixture
def gone(ids, exists):
    """The ids of the tokens that are there no more."""
    return lambda: {id_ for id_ in ids if not exists(id_)}


def calls(sent):
    return [(request.method, request.path) for request in sent()]


@pytest.mark.parametrize("column", ["id", "tokenId", "ID", "user_tokens.id", '"tokenId"'])
def test_a_constant_is_deleted_without_looking(db, ids, sent, gone, column):
    assert db.execute(f"DELETE FROM {TABLE} WHERE {column} = ?", [ids[0]]).rowcount == 1
    assert calls(sent) == [
        ("GET", "/v5/user/tokens/current"),  # the guard that keeps the calling token
        ("DELETE", f"/v3/user/tokens/{ids[0]}"),
    ]
    assert gone() == {ids[0]}


def test_a_list_of_constants_is_deleted_without_looking(db, ids, sent, gone):
    listed = ", ".join(f"'{id_}'" for id_ in [*ids[:3], ids[0]])
    assert db.execute(f"DELETE FROM {TABLE} WHERE id IN ({listed})").rowcount == 3
    guard, *deletions = calls(sent)
    assert guard == ("GET", "/v5/user/tokens/current")
    assert sorted(deletions) == sorted(("DELETE", f"/v3/user/tokens/{id_}") for id_ in ids[:3])
    assert gone() == set(ids[:3])


@pytest.mark.parametrize(
    "where",
    [
        "WHERE id IN (SELECT id FROM leaked)",
        "WHERE EXISTS (FROM leaked WHERE leaked.id = user_tokens.id)",
        "WHERE authentication.user_tokens.id IN (SELECT id FROM leaked)",
        "WHERE vercel.authentication.user_tokens.id IN (FROM leaked)",
        "AS t WHERE t.id IN (SELECT id FROM leaked)",
        "t WHERE upper(t.tokenId) IN (SELECT upper(id) FROM leaked)",
        "USING leaked WHERE leaked.id = user_tokens.id",
        "USING leaked AS l, leaked AS m WHERE l.id = user_tokens.id AND m.id = l.id",
        "AS t USING (SELECT id FROM leaked UNION ALL SELECT id FROM leaked) l WHERE l.id = t.id",
        "WHERE list_contains((SELECT list(id) FROM leaked), id)",
        "WHERE id > '' AND id IN (SELECT id FROM leaked) -- and no more",
    ],
)
def test_a_predicate_deletes_exactly_what_it_matches(db, ids, sent, gone, where):
    db.execute("CREATE TABLE leaked AS SELECT unnest(?) AS id", [[*ids[2:5], ids[2], "nobody"]])
    assert db.execute(f"DELETE FROM {TABLE} {where}").rowcount == 3
    assert gone() == set(ids[2:5])
    assert len(sent("DELETE")) == 3


@pytest.mark.parametrize(
    "clauses",
    [
        "WHERE tokenId IN (SELECT tokenId FROM vercel.audit.user_tokens)",
        "WHERE tokenId IN (SELECT tokenId FROM leaked WHERE id = $id)",
        "WHERE id = $id AND (tokenId) IN (SELECT max(tokenId) FROM leaked)",
        "AS t WHERE EXISTS (SELECT 1 FROM leaked WHERE leaked.id = (SELECT tokenId))",
        "AS t USING (SELECT tokenId FROM leaked) l WHERE t.tokenId = l.tokenId AND t.id = $id",
        "WHERE NOT tokenId > ALL (SELECT tokenId FROM leaked) RETURNING id",
    ],
)
def test_a_subquery_that_means_the_outer_column_is_refused(db, ids, sent, gone, clauses):
    db.execute("CREATE TABLE leaked AS SELECT unnest(?) AS id", [ids[:2]])
    given = {"id": ids[0]} if "$id" in clauses else None
    for explain in ("", "EXPLAIN "):
        with pytest.raises(vercel_sql.ProgrammingError, match=r"Write (t|user_tokens)\.tokenId"):
            db.execute(f"{explain}DELETE FROM {TABLE} {clauses}", given)
    assert sent() == []
    assert gone() == set()


def test_a_subquery_may_name_the_outer_row(db, ids, gone):
    db.execute("CREATE TABLE leaked AS SELECT unnest(?) AS id, 'x' AS name", [ids[:2]])
    db.execute(
        f"DELETE FROM {TABLE} WHERE EXISTS (SELECT name FROM leaked l WHERE l.id = "
        f"user_tokens.tokenId AND l.name = $name)",
        {"name": "x"},
    )
    assert gone() == set(ids[:2])


def test_a_cte_before_it(db, ids, gone):
    db.execute(
        f"WITH l(id) AS (SELECT unnest(?)) DELETE FROM {TABLE} WHERE id IN (FROM l)", [ids[:2]]
    )
    assert gone() == set(ids[:2])


def test_a_csv_of_leaked_ids_revokes_exactly_those(db, ids, gone, tmp_path):
    file = tmp_path / "leaked.csv"
    file.write_text("\n".join(["token_id", *ids[3:9], "not-a-token", ids[3]]), encoding="utf-8")
    cursor = db.execute(
        f"DELETE FROM {TABLE} WHERE id IN (SELECT token_id FROM read_csv('{file}'))"
    )
    assert cursor.rowcount == 6
    assert gone() == set(ids[3:9])


def test_returning_gives_the_rows_as_they_were(db, sim, ids):
    names = {token.id: token["name"] for token in sim.state.tokens()}
    cursor = db.execute(
        f"DELETE FROM {TABLE} AS t WHERE id IN (?, ?) RETURNING t.tokenId, name AS was, scopes",
        ids[:2],
    )
    assert [column[0] for column in cursor.description] == ["tokenId", "was", "scopes"]
    assert {row[:2] for row in cursor.fetchall()} == {(id_, names[id_]) for id_ in ids[:2]}


def test_without_returning_it_gives_the_count(db, ids):
    assert db.execute(f"DELETE FROM {TABLE} WHERE id = ?", [ids[0]]).rowcount == 1


def test_what_is_gone_already_counts_as_not_deleted(db, ids, sent):
    cursor = db.execute(f"DELETE FROM {TABLE} WHERE id IN ('nobody', ?, 'no one')", [ids[0]])
    assert cursor.rowcount == 1
    assert sorted(r.status for r in sent("DELETE")) == [200, 404, 404]
    assert db.execute(f"DELETE FROM {TABLE} WHERE id = ?", [ids[0]]).rowcount == 0


def test_and_is_not_returned(db, sim, ids):
    sim.faults(kind="status", status=404, acts=True, method="DELETE", path=f"*/{ids[1]}")
    cursor = db.execute(f"DELETE FROM {TABLE} WHERE id IN (?, ?) RETURNING id", ids[:2])
    assert (cursor.rowcount, cursor.fetchall()) == (1, [(ids[0],)])


def test_where_true_means_it_and_spares_nobody_but_is_refused_for_the_own_token(db, sim, sent):
    with pytest.raises(vercel_sql.ProgrammingError, match="token that makes these calls"):
        db.execute(f"DELETE FROM {TABLE} WHERE true")
    assert sent("DELETE") == []
    own = sim.state.calling_token.id
    assert db.execute(f"DELETE FROM {TABLE} WHERE id <> ?", [own]).rowcount == 30
    assert [token.id for token in sim.state.tokens()] == [own]


@pytest.mark.parametrize(
    ("statement", "kind", "words"),
    [
        ("DELETE FROM {t}", "ProgrammingError", "WHERE true"),
        ("DELETE FROM {t} RETURNING id", "ProgrammingError", "WHERE true"),
        ("DELETE FROM {t} WHERE", "SQLSyntaxError", "predicate after WHERE"),
        ("DELETE FROM {t} WHERE no_such = 1", "ProgrammingError", "no_such"),
        ("DELETE FROM {t} WHERE id = 'x' RETURNING bearerToken", "ProgrammingError", "bearerToken"),
        ("DELETE FROM {t} WHERE id = 'x' LIMIT 1", "ProgrammingError", "LIMIT"),
        ("DELETE FROM vercel.user.user WHERE true", "NotSupportedError", "can do SELECT"),
        ("UPDATE {t} SET name = 'x'", "NotSupportedError", "make a new one and delete the old"),
        ("UPDATE {t} SET name = 'x' WHERE id = 'y'", "NotSupportedError", "DELETE .delete_auth"),
        (
            "MERGE INTO {t} USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
            "NotSupportedError",
            "INSERT … SELECT",
        ),
        ("TRUNCATE {t}", "NotSupportedError", "WHERE true"),
        ("TRUNCATE TABLE {t}", "NotSupportedError", "WHERE true"),
        ("COPY {t} FROM 'x.csv'", "NotSupportedError", "SELECT … FROM 'file'"),
        ("COPY {t} (name) FROM 'x.csv' (HEADER)", "NotSupportedError", "SELECT … FROM 'file'"),
    ],
)
def test_what_it_refuses_sends_nothing(db, statement, kind, words, sent):
    with pytest.raises(getattr(vercel_sql, kind), match=words):
        db.execute(statement.format(t=TABLE))
    assert sent() == []


@pytest.mark.parametrize(
    "trick",
    [
        "../../v2/user",
        "..",
        ".",
        "",
        "%2e%2e",
        "../",
        "a/../../b",
        "x?teamId=1",
        "x#y",
        "/",
        "\\..",
    ],
)
@pytest.mark.parametrize("returning", ["", "RETURNING id"])
def test_an_id_never_reaches_another_endpoint(db, sim, sent, trick, returning):
    before = len(sim.state.tokens())
    db.execute(f"DELETE FROM {TABLE} WHERE tokenId = ? {returning}", [trick])
    assert len(sim.state.tokens()) == before
    for request in sent():
        assert request.query in ([], [("limit", "100")])
        assert request.path == "/v6/user/tokens" or request.path.rpartition("/")[0] in (
            "/v3/user/tokens",
            "/v5/user/tokens",
        )
        assert request.status in (200, 404)


@pytest.mark.parametrize("column", ["id", "tokenId"])
@pytest.mark.parametrize(
    "form", ["{c} = ?", "{c} IN (?)", "{c} IN (SELECT ?)", "{c} LIKE ? || '%'"]
)
def test_the_own_token_is_never_matched_by_the_way(db, sim, sent, exists, column, form):
    own = sim.state.calling_token.id
    with pytest.raises(vercel_sql.ProgrammingError, match="Nothing was deleted"):
        db.execute(f"DELETE FROM {TABLE} WHERE {form.format(c=column)}", [own])
    assert sent("DELETE") == []
    assert exists(own)


def test_the_own_token_among_others_stops_all(db, sim, ids, sent):
    own = sim.state.calling_token.id
    with pytest.raises(vercel_sql.ProgrammingError, match=own):
        db.execute(f"DELETE FROM {TABLE} WHERE id IN (?, ?)", [ids[0], own])
    assert sent("DELETE") == []


@pytest.mark.parametrize(
    "where", ["tokenId = 'current'", "'current' = tokenId", "(tokenId = $$current$$)"]
)
def test_current_means_the_own_token_which_is_dead_then(db, sim, exists, sent, where):
    own = sim.state.calling_token.id
    assert db.execute(f"DELETE FROM {TABLE} WHERE {where}").rowcount == 1
    assert calls(sent) == [("DELETE", "/v3/user/tokens/current")]
    assert not exists(own)
    with pytest.raises(vercel_sql.OperationalError, match="The token is dead"):
        db.execute(f"SELECT * FROM {TABLE}").fetchall()


def test_current_as_a_parameter_and_with_returning(db, sim):
    own = sim.state.calling_token.id
    rows = db.execute(f"DELETE FROM {TABLE} WHERE tokenId = $1 RETURNING id, tokenId", ["current"])
    assert rows.fetchall() == [(own, "current")]


@pytest.mark.parametrize(
    "where",
    [
        "id = 'current'",
        "id IN ('current')",
        "id IN ('current', 'nobody')",
        "tokenId IN ('current', 'nobody')",
        "tokenId = (SELECT 'current')",
        "tokenId IN (SELECT 'current')",
        "tokenId = 'CURRENT'",
        "lower(tokenId) = 'current'",
    ],
)
def test_any_other_way_to_say_current_matches_nothing(db, sim, exists, sent, where):
    assert db.execute(f"DELETE FROM {TABLE} WHERE {where}").rowcount == 0
    assert exists(sim.state.calling_token.id)
    assert [r.path for r in sent("DELETE")] in ([], ["/v3/user/tokens/CURRENT"])


@pytest.mark.parametrize("where", ["tokenId IN ('current')", "tokenId = 'cur' || 'rent'"])
def test_what_duckdb_makes_an_equality_of_is_refused(db, sim, exists, sent, where):
    with pytest.raises(vercel_sql.ProgrammingError, match="just that: WHERE tokenId = 'curr"):
        db.execute(f"DELETE FROM {TABLE} WHERE {where}")
    assert sent("DELETE") == []


def test_expected_rows_are_counted_before_where_they_are_known(connect, ids, sent):
    db = connect(expect_rows=2)
    with pytest.raises(vercel_sql.RowCountError, match="3 rows would be changed, and 2 were"):
        db.execute(f"DELETE FROM {TABLE} WHERE id IN (?, ?, ?)", ids[:3])
    with pytest.raises(vercel_sql.RowCountError, match="0 rows would be changed"):
        db.execute(f"DELETE FROM {TABLE} WHERE name = 'nobody is called so'")
    assert sent("DELETE") == []
    assert db.execute(f"DELETE FROM {TABLE} WHERE id IN (?, ?)", ids[:2]).rowcount == 2


def test_and_afterwards_where_they_are_not(connect, ids, gone):
    db = connect(expect_rows=2)
    with pytest.raises(
        vercel_sql.RowCountError, match="1 row was changed, and 2 were expected; the"
    ):
        db.execute(f"DELETE FROM {TABLE} WHERE id IN (?, 'mistyped')", [ids[0]])
    assert gone() == {ids[0]}


def test_expected_rows_hold_for_insert_and_exec(connect, sent):
    db = connect(expect_rows=2)
    for statement in (
        f"INSERT INTO {TABLE} (name) VALUES ('a')",
        f"EXEC {TABLE}.create_auth_token @name = 'a'",
    ):
        with pytest.raises(vercel_sql.RowCountError, match="1 row would be changed"):
            db.execute(statement)
    assert sent() == []


def test_a_read_only_connection_deletes_nothing(connect, ids, sent):
    with pytest.raises(vercel_sql.ReadOnlyError):
        connect(read_only=True).execute(f"DELETE FROM {TABLE} WHERE id = ?", [ids[0]])
    assert sent() == []


def test_unusual_names_of_fields_survive_as_json_in_explain(db, ids):
    rows = db.execute(f"EXPLAIN DELETE FROM {TABLE} WHERE id = ?", [ids[0]]).fetchall()
    assert json.loads(rows[-1][-1])["id"] == ids[0]
