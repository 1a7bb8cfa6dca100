"""INSERT: which rows, columns and sources it takes, and what it sends."""

import pytest

import vercel_sql

TABLE = "vercel.authentication.user_tokens"


@pytest.fixture
def names(sent):
    """The names that the server was asked to give to new tokens, in order."""
    return lambda: [request.body["name"] for request in sent("POST")]


def test_one_request_a_row_in_the_order_of_the_source(db, names):
    cursor = db.execute(
        f"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range(12) t(i) ORDER BY i DESC "
        "RETURNING bearerToken, token.name"
    )
    expected = [f"n{i}" for i in reversed(range(12))]
    assert names() == expected
    assert [row[1] for row in cursor.fetchall()] == expected
    assert cursor.rowcount == 12


def test_five_rows_give_five_secrets_that_authenticate(db, authenticates):
    made = db.execute(f"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range(5) t(i)").fetchall()
    bearers = [row[0] for row in made]
    assert len(set(bearers)) == 5
    assert all(map(authenticates, bearers))


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO {t} (name) VALUES ('a'), ('b')",
        "INSERT INTO {t} (data__name) VALUES ('a'), ('b')",
        "insert into {t} (DATA__NAME) values ('a'), ('b')",
        "INSERT INTO {t} AS x (\"name\") (VALUES ('a'), ('b'))",
        "INSERT INTO {t} (name) SELECT unnest(['a', 'b'])",
        "INSERT INTO {t} (name) FROM (VALUES ('a'), ('b')) v(x)",
        "INSERT INTO {t} (name) FROM (VALUES ('a'), ('b')) v(x) SELECT x ORDER BY x",
        "INSERT INTO {t} BY NAME SELECT unnest(['a', 'b']) AS name",
        "INSERT INTO {t} BY NAME SELECT unnest(['a', 'b']) AS data__name",
        "INSERT INTO {t} BY POSITION (name) VALUES ('a'), ('b')",
        "WITH v AS (VALUES ('a'), ('b')) INSERT INTO {t} (name) FROM v",
        "INSERT INTO {t} (name) WITH v(x) AS (VALUES ('a'), ('b')) SELECT x FROM v",
        "WITH v AS (SELECT 'a' AS x) INSERT INTO {t} (name) "
        "WITH w AS (SELECT 'b' AS x) SELECT x FROM v UNION ALL SELECT x FROM w ORDER BY x",
        "INSERT INTO {t} (name) SELECT 'a' UNION ALL SELECT 'b' -- no semicolon after this",
    ],
)
def test_ways_to_write_two_rows(db, names, statement):
    assert db.execute(statement.format(t=TABLE)).rowcount == 2
    assert names() == ["a", "b"]


def test_from_a_csv_file(db, names, tmp_path):
    file = tmp_path / "names.csv"
    file.write_text('name,team\nci,\n"quoted, name",\n007,\n', encoding="utf-8")
    db.execute(f"INSERT INTO {TABLE} (name) SELECT name FROM read_csv('{file}', all_varchar=true)")
    assert names() == ["ci", "quoted, name", "007"]


def test_from_the_listing_of_the_same_table(db, sim, names, sent):
    existing = sorted(token["name"] for token in sim.state.tokens())
    db.execute(f"INSERT INTO {TABLE} (name) SELECT name FROM {TABLE} ORDER BY name LIMIT 3")
    assert names() == existing[:3]
    assert [r.method for r in sent()] == ["GET", "POST", "POST", "POST"]


def test_no_rows_send_nothing(db, sent):
    cursor = db.execute(f"INSERT INTO {TABLE} (name) SELECT 'a' WHERE false")
    assert (cursor.rowcount, cursor.fetchall(), sent()) == (0, [], [])
    assert [column[0] for column in cursor.description] == ["bearerToken", "token"]


def test_team_and_slug_go_into_the_query(db, team, sent):
    db.execute(f"INSERT INTO {TABLE} (name, teamId) VALUES ('a', ?)", [team.id])
    db.execute(f"INSERT INTO {TABLE} (slug, name) VALUES (?, 'b')", [team.slug])
    assert [r.query for r in sent("POST")] == [[("teamId", team.id)], [("slug", team.slug)]]
    assert [r.body for r in sent("POST")] == [{"name": "a"}, {"name": "b"}]


@pytest.mark.parametrize(
    ("statement", "kind", "words"),
    [
        ("INSERT INTO {t} (name, expires) VALUES ('a', 1)", "ParameterError", "expiresAt"),
        ("INSERT INTO {t} (data__teamId, name) VALUES ('a', 'b')", "ParameterError", "teamId"),
        ("INSERT INTO {t} (teamId) VALUES ('a')", "ParameterError", "name is missing"),
        ("INSERT INTO {t} (name) VALUES (NULL)", "ParameterError", "name is missing"),
        ("INSERT INTO {t} (name, NAME) VALUES ('a', 'b')", "ParameterError", "given twice"),
        ("INSERT INTO {t} (name, data__name) VALUES ('a', 'b')", "ParameterError", "given twice"),
        ("INSERT INTO {t} (name) VALUES ('a', 'b')", "ParameterError", "names 1 columns"),
        ("INSERT INTO {t} VALUES ('a')", "ParameterError", "names of its columns"),
        ("INSERT INTO {t} BY NAME SELECT 'a' AS nam", "ParameterError", "did you mean 'name'"),
        ("INSERT INTO {t} DEFAULT VALUES", "NotSupportedError", "DEFAULT VALUES has no name"),
        (
            "INSERT OR REPLACE INTO {t} (name) VALUES ('a')",
            "NotSupportedError",
            "INSERT OR REPLACE.IGNORE",
        ),
        (
            "INSERT OR IGNORE INTO {t} (name) VALUES ('a')",
            "NotSupportedError",
            "INSERT OR REPLACE.IGNORE",
        ),
        (
            "INSERT INTO {t} (name) VALUES ('a') ON CONFLICT DO NOTHING",
            "NotSupportedError",
            "NOT EXISTS",
        ),
        ("INSERT INTO {t} (name) VALUES ('')", "DataError", "name is empty"),
        ("INSERT INTO {t} (name) VALUES ('a'), ('  ')", "DataError", "row 2: name is empty"),
        ("INSERT INTO {t} (name, teamId) VALUES ('a', nullif('x', 'x'))", "DataError", "became"),
        ("INSERT INTO {t} (name) SELECT no_such_column", "ProgrammingError", "no_such_column"),
        ("INSERT INTO {t} (name) WHERE 1", "ProgrammingError", "WHERE"),
    ],
)
def test_what_is_wrong_is_found_before_the_first_request(db, statement, kind, words, sent):
    with pytest.raises(getattr(vercel_sql, kind), match=words):
        db.execute(statement.format(t=TABLE))
    assert sent("POST") == []


def test_a_bad_last_row_stops_the_first(db, sent):
    with pytest.raises(vercel_sql.DataError, match="row 3: expiresAt"):
        db.execute(
            f"INSERT INTO {TABLE} (name, expiresAt) VALUES ('a', NULL), ('b', NULL), ('c', 5)"
        )
    assert sent() == []


def test_a_resource_without_insert_says_what_it_can_do(db, sent):
    with pytest.raises(vercel_sql.NotSupportedError, match=r"vercel\.user\.user can do SELECT"):
        db.execute("INSERT INTO vercel.user.user (name) VALUES ('x')")
    assert sent() == []
