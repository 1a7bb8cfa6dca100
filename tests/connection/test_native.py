"""Whatever only reads is DuckDB's own work, untouched: here over live tables."""

import pytest

import vercel_sql

T = "vercel.authentication.user_tokens"


@pytest.mark.parametrize(
    "query",
    [
        "WITH t AS (FROM {t}) SELECT count(*) FROM t",
        "SELECT count(*) FROM {t} a JOIN {t} b USING (id)",
        "SELECT max(n) FROM (SELECT row_number() OVER (ORDER BY createdAt, id) AS n FROM {t})",
        "SELECT count(*) FROM {t} a WHERE EXISTS (FROM {t} b WHERE b.id = a.id)",
        "FROM {t} SELECT count(*)",
        "SELECT sum(n)::INT FROM (SELECT type, count(*) AS n FROM {t} GROUP BY ALL)",
        "SELECT count(COLUMNS('^id$')) FROM {t}",
        "SELECT count(*) FROM (FROM {t} QUALIFY row_number() OVER (PARTITION BY id) = 1)",
        "SELECT len(list(id)) FROM {t}",
        "SELECT count(*) FILTER (WHERE x.id > '') FROM {t} AS x",
        "SELECT count: count(*) FROM {t}",
        "SELECT count(DISTINCT list_transform([id], lambda x: upper(x))[1]) FROM {t}",
        "SELECT x FROM (PIVOT (SELECT 'x' AS k FROM {t}) ON k IN ('x') USING count(*))",
        "SELECT count(*) FROM (UNPIVOT (SELECT id FROM {t}) ON id)",
        "(SELECT count(*) FROM {t})",
        "SELECT count(*) FROM vercel.authentication.list_auth_tokens()",
    ],
)
def test_queries(db, query):
    assert db.execute(query.format(t=T)).fetchall() == [(31,)]


def test_summarize_and_describe_of_a_query(db):
    assert "createdAt" in [row[0] for row in db.execute(f"SUMMARIZE {T}").fetchall()]
    assert db.execute(f"DESCRIBE SELECT id FROM {T}").fetchall()[0][:2] == ("id", "VARCHAR")


def test_copies(db, tmp_path, sim):
    csv, parquet = tmp_path / "t.csv", tmp_path / "t.parquet"
    assert db.execute(f"COPY (SELECT id, name FROM {T}) TO '{csv}' (HEADER)").rowcount == 31
    assert db.execute(f"COPY {T} TO '{parquet}'").rowcount == 31
    assert len(csv.read_text().splitlines()) == 32
    ids = {row[0] for row in db.execute(f"SELECT id FROM '{parquet}'").fetchall()}
    assert ids == {token.id for token in sim.state.tokens()}


def test_local_tables_of_live_rows(db, sent):
    assert db.execute(f"CREATE TABLE mine AS FROM {T}").rowcount == 31
    db.execute(f"CREATE VIEW recent AS SELECT id FROM {T} WHERE createdAt > 0")
    assert db.execute("DELETE FROM mine WHERE id IN (FROM recent)").rowcount == 31
    assert db.execute(f"INSERT INTO mine BY NAME FROM {T}").rowcount == 31
    assert db.execute("UPDATE mine SET name = 'x'").rowcount == 31
    assert (
        db.execute("MERGE INTO mine USING (SELECT 1) ON true WHEN MATCHED THEN DELETE").rowcount
        == 31
    )
    assert {request.method for request in sent()} == {"GET"}


def test_prepared_statements_and_macros(db, ids):
    db.execute(f"PREPARE one AS SELECT id FROM {T} WHERE id = $1")
    assert db.execute(f"EXECUTE one('{ids[0]}')").fetchall() == [(ids[0],)]
    db.execute(f"CREATE MACRO named(n) AS TABLE SELECT id FROM {T} WHERE name = n")
    assert db.execute("SELECT count(*) FROM named('nobody')").fetchall() == [(0,)]


@pytest.mark.parametrize("write", ["INSERT INTO {t} (name) VALUES ('a')", "DELETE FROM {t}"])
def test_a_prepared_write_is_no_way_round(db, sent, write):
    with pytest.raises(vercel_sql.ProgrammingError):
        db.execute(f"PREPARE w AS {write.format(t=T)}")
    assert sent() == []


def test_settings_and_other_things_that_only_duckdb_reads(db):
    for statement in (
        "SET threads = 2",
        "PRAGMA database_list",
        "CALL pragma_version()",
        "SET VARIABLE x = 5",
        "CREATE TYPE mood AS ENUM ('sad', 'happy')",
        "CREATE SEQUENCE s",
        "ATTACH ':memory:' AS more",
        "DETACH more",
        "SELECT * FROM range(3) a POSITIONAL JOIN range(3) b",
        "SELECT 1 // 2, 2 ** 3, 'a' ^@ 'a', 'a' !~~ 'b'",
        "FROM range(9) USING SAMPLE 3 ROWS",
        "SELECT [x + 1 for x in [1, 2] if x > 1]",
        "SELECT {'a': 1, 'b': [1, 2]}['b'][1:1]",
        "SELECT e'\\n', $$it's$$, 0x1F, 1_000",
        "CHECKPOINT",
    ):
        db.execute(statement)
    assert db.execute("SELECT getvariable('x')").fetchall() == [(5,)]


def test_the_duckdb_connection_itself_sees_what_was_used(db):
    db.execute(f"FROM {T} LIMIT 1").fetchall()
    assert db.duckdb.sql(f"SELECT count(*) FROM {T}").fetchall() == [(31,)]
