"""Transactions: DuckDB's own work in them, a write to the API does not."""

import pytest

import vercel_sql

T = "vercel.authentication.user_tokens"
WRITES = [
    f"INSERT INTO {T} (name) VALUES ('a')",
    f"DELETE FROM {T} WHERE id = 'x'",
    f"DELETE FROM {T} WHERE true",
    f"EXEC {T}.email_login @email = 'a@example.com'",
    f"EXEC {T}.verify_token @token = 'x'",
]


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("begin", ["BEGIN", "START TRANSACTION"])
def test_a_write_is_refused_inside_and_fine_after_it(db, sent, write, begin):
    db.execute(begin)
    with pytest.raises(vercel_sql.NotSupportedError, match="can't be rolled back"):
        db.execute(write)
    assert sent() == []
    db.execute("ROLLBACK")
    if "INSERT" in write:
        assert db.execute(write).rowcount == 1


def test_what_only_reads_works_inside(db):
    db.execute("BEGIN; CREATE TABLE mine AS SELECT 1 AS i")
    assert db.execute(f"SELECT count(*) FROM {T}").fetchone() == (31,)
    assert db.execute("SELECT count(*) FROM vercel.user.user").fetchone() == (1,)
    assert db.execute(f"EXEC {T}.get_auth_token @tokenId = 'current'").fetchone()
    assert db.execute("SHOW SERVICES IN vercel").fetchall()
    db.execute("COMMIT")
    assert db.execute("FROM mine").fetchall() == [(1,)]


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_the_tables_outlive_the_transaction_they_were_first_used_in(db, end):
    db.execute(f"BEGIN; SELECT count(*) FROM {T}")
    db.execute(end)
    assert db.execute(f"SELECT count(*) FROM {T}").fetchone() == (31,)


def test_commit_and_rollback_end_what_begin_began(db):
    db.execute("CREATE TABLE t (i INT)")
    db.execute("BEGIN; INSERT INTO t VALUES (1)")
    db.rollback()
    assert db.execute("FROM t").fetchall() == []
    db.execute("BEGIN; INSERT INTO t VALUES (2)")
    db.commit()
    db.rollback()
    assert db.execute("FROM t").fetchall() == [(2,)]


def test_without_a_transaction_they_do_nothing(db):
    db.commit()
    db.rollback()
    db.commit()


def test_a_commit_that_fails_says_so(connect, tmp_path):
    db = connect(database=tmp_path / "local.db")
    db.execute("CREATE TABLE t (i INT PRIMARY KEY); BEGIN; INSERT INTO t VALUES (1)")
    with db.duckdb.cursor() as other:
        other.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(vercel_sql.OperationalError, match="Failed to commit"):
        db.commit()


def test_a_failed_transaction_can_be_rolled_back(db, sent):
    db.execute("BEGIN; SHOW SERVICES IN vercel")
    with pytest.raises(vercel_sql.Error):
        db.execute("INSERT INTO no_such_table VALUES (1)")
    with pytest.raises(vercel_sql.Error):
        db.execute("CREATE TABLE t (i INT PRIMARY KEY); INSERT INTO t VALUES (1), (1)")
    with pytest.raises(vercel_sql.NotSupportedError):
        db.execute(f"INSERT INTO {T} (name) VALUES ('a')")
    db.rollback()
    assert db.execute(f"INSERT INTO {T} (name) VALUES ('a')").rowcount == 1
