"""Names: which table a name means, by DuckDB's search path, and when services are read."""

import pytest

import vercel_sql

T = "vercel.authentication.user_tokens"


@pytest.mark.parametrize(
    ("use", "name"),
    [
        ("", T),
        ("", 'VERCEL."Authentication".User_Tokens'),
        ("USE vercel", "authentication.user_tokens"),
        ("USE vercel", '"AUTHENTICATION".user_tokens'),
        ("USE vercel.authentication", "user_tokens"),
        ("USE vercel.authentication", "authentication.user_tokens"),
        ("USE vercel.authentication", T),
        ("SET search_path = 'memory.main,vercel.authentication'", "user_tokens"),
        ("SET schema = 'vercel.authentication'", "USER_TOKENS"),
    ],
)
def test_every_statement_finds_the_resource(db, sent, ids, use, name):
    db.execute(use)
    assert db.execute(f"SELECT count(*) FROM {name}").fetchone() == (31,)
    assert db.execute(f"INSERT INTO {name} (name) VALUES ('a')").rowcount == 1
    assert db.execute(f"DELETE FROM {name} WHERE id = ?", [ids[0]]).rowcount == 1
    assert (
        db.execute(f"DELETE FROM {name} WHERE user_tokens.id = ? AND true", [ids[1]]).rowcount == 1
    )
    assert db.execute(f"EXEC {name}.get_auth_token @tokenId = 'current'").fetchone()
    assert len(db.execute(f"SHOW METHODS IN {name}").fetchall()) == 8
    assert db.execute(f"EXPLAIN DELETE FROM {name} WHERE id = 'x'").fetchall()
    with pytest.raises(vercel_sql.NotSupportedError):
        db.execute(f"UPDATE {name} SET name = 'x'")
    assert [r.method for r in sent() if r.method != "GET"] == ["POST", "DELETE", "DELETE"]


@pytest.mark.parametrize("kind", ["TEMP TABLE", "TEMP VIEW"])
def test_a_local_table_of_the_same_name_wins(db, sent, kind):
    db.execute("USE vercel.authentication")
    db.execute(f"CREATE {kind} user_tokens AS SELECT 'local' AS id")
    assert db.execute("SELECT id FROM user_tokens").fetchall() == [("local",)]
    if kind == "TEMP TABLE":
        assert db.execute("INSERT INTO user_tokens VALUES ('more')").rowcount == 1
        assert db.execute("DELETE FROM user_tokens").rowcount == 2
        assert db.execute("UPDATE user_tokens SET id = 'x'").rowcount == 0
    else:
        with pytest.raises(vercel_sql.Error, match="base table"):
            db.execute("DELETE FROM user_tokens WHERE true")
    assert sent() == []
    assert db.execute("EXEC user_tokens.get_auth_token @tokenId = 'current'").fetchone()
    assert len(db.execute("SHOW METHODS IN user_tokens").fetchall()) == 8


def test_a_table_earlier_in_the_path_wins(db, sent):
    db.execute("CREATE TABLE user_tokens (id VARCHAR)")
    db.execute("SET search_path = 'memory.main,vercel.authentication'")
    db.execute("INSERT INTO user_tokens VALUES ('x')")
    assert sent() == []
    db.execute("SET search_path = 'vercel.authentication,memory.main'")
    db.execute("INSERT INTO user_tokens (name) VALUES ('x')")
    assert len(sent("POST")) == 1


def test_a_schema_of_that_name_in_another_database(db, sent):
    db.execute("ATTACH ':memory:' AS other; CREATE SCHEMA other.authentication")
    db.execute("CREATE TABLE other.authentication.user_tokens (id VARCHAR)")
    db.execute("INSERT INTO other.authentication.user_tokens VALUES ('a')")
    db.execute("USE other; INSERT INTO authentication.user_tokens VALUES ('b')")
    assert db.execute("DELETE FROM authentication.user_tokens").rowcount == 2
    assert sent() == []
    assert db.execute(f"INSERT INTO {T} (name) VALUES ('x')").rowcount == 1


def test_a_schema_of_that_name_beside_the_catalog(db, sent):
    db.execute("CREATE SCHEMA authentication; CREATE TABLE authentication.user_tokens (id INT)")
    assert db.execute("INSERT INTO authentication.user_tokens VALUES (1)").rowcount == 1
    assert db.execute("DELETE FROM memory.authentication.user_tokens WHERE id = 1").rowcount == 1
    assert sent() == []


def test_a_name_that_is_too_short_is_not_guessed(db, sent):
    for statement in (
        "INSERT INTO user_tokens (name) VALUES ('x')",
        "DELETE FROM authentication.user_tokens WHERE true",
        "INSERT INTO vercel.user_tokens (name) VALUES ('x')",
    ):
        with pytest.raises(vercel_sql.ProgrammingError):
            db.execute(statement)
    assert sent() == []


def test_no_service_is_read_before_it_is_mentioned(db):
    made = db._catalogs[0]
    everything = ["authentication", "integrations", "oauth", "teams", "user"]
    assert made.missing == everything
    db.execute("SELECT 42; CREATE TABLE t (i INT)")
    assert made.missing == everything


def test_and_only_those(db):
    db.execute("SELECT id FROM vercel.teams.teams").fetchall()
    assert db._catalogs[0].missing == ["authentication", "integrations", "oauth", "user"]
    db.execute("USE vercel.user").execute("FROM user").fetchall()
    assert db._catalogs[0].missing == ["authentication", "integrations", "oauth"]
    db.execute("FROM vercel.audit.user_tokens").fetchall()
    assert db._catalogs[0].missing == ["integrations", "oauth"]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT table_name FROM information_schema.tables WHERE table_catalog = 'vercel'",
        "SELECT view_name FROM duckdb_views() WHERE database_name = 'vercel' AND NOT internal",
        "SELECT name FROM (SHOW ALL TABLES) WHERE database = 'vercel'",
    ],
)
def test_who_looks_for_tables_sees_all_of_them(db, query):
    names = {row[0] for row in db.execute(query).fetchall()}
    assert {"user_tokens", "user", "teams"} <= names


def test_a_name_in_a_function_s_text_is_found_on_the_second_try(db):
    # The words of the statement do not name the service; DuckDB's complaint makes us look.
    db.execute("CREATE MACRO mine() AS TABLE FROM query('FROM vercel.te' || 'ams.teams')")
    assert db.execute("SELECT count(*) > 0 FROM mine()").fetchall() == [(True,)]
