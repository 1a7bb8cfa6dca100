"""Several cursors on one connection, and several threads with one each."""

import gc
from concurrent.futures import ThreadPoolExecutor

import pytest

import vercel_sql

T = "vercel.authentication.user_tokens"


def test_two_cursors_take_turns(db):
    first = db.cursor().execute("FROM range(5000)")
    second = db.cursor().execute("SELECT range + 10000 FROM range(5000)")
    rows = []
    for _ in range(5000):
        rows += [first.fetchone(), second.fetchone()]
    assert rows == [(i + add,) for i in range(5000) for add in (0, 10000)]
    assert (first.fetchone(), second.fetchone()) == (None, None)


def test_rows_that_were_begun_are_set_aside_when_another_needs_the_connection(db):
    first = db.cursor().execute(f"SELECT id FROM {T}")
    one = first.fetchone()
    second = db.cursor().execute(f"INSERT INTO {T} (name) VALUES ('a')")
    third = db.cursor().execute("SELECT 42")
    rest = first.fetchmany(10) + first.fetchall()
    assert len({one, *rest}) == 31
    assert second.fetchall()[0][0].startswith("vcp_")
    assert third.fetchall() == [(42,)]
    assert len(first.description) == 1


def test_what_fails_while_it_is_set_aside_fails_at_its_own_cursor(simulate):
    big = simulate(350)
    big.faults(kind="status", status=403, path="/v6/*", after=1, times=None)
    with vercel_sql.connect(big.token, api_url=big.url) as db:
        first = db.cursor()
        try:
            first.execute(f"SELECT id FROM {T}")
            failed_at_once = False
        except vercel_sql.OperationalError:
            failed_at_once = True
        assert db.cursor().execute("SELECT 42").fetchall() == [(42,)]
        with pytest.raises(vercel_sql.Error, match="no result" if failed_at_once else "403"):
            first.fetchall()


def test_frames_and_tables_are_of_the_rows_that_are_left(db):
    db.execute("FROM range(3)")
    assert db.df()["range"].tolist() == [0, 1, 2]
    db.execute("FROM range(3)")
    assert db.pl()["range"].to_list() == [0, 1, 2]
    db.execute(f"INSERT INTO {T} (name) VALUES ('a'), ('b') RETURNING name, bearerToken")
    assert db.arrow().column("name").to_pylist() == ["a", "b"]
    db.execute("EXPLAIN " + f"DELETE FROM {T} WHERE id = 'x'")
    assert db.df()["method"].tolist()[-1] == "DELETE"


def test_a_frame_of_rows_set_aside_is_an_error_that_says_why(db):
    first = db.cursor().execute("FROM range(3)")
    db.cursor().execute("SELECT 1")
    for use in (first.df, first.arrow, first.pl):
        with pytest.raises(vercel_sql.ProgrammingError, match="another cursor"):
            use()
    assert first.fetchall() == [(0,), (1,), (2,)]


def test_cursors_share_the_session(db):
    one, two = db.cursor(), db.cursor()
    one.execute(
        "CREATE TEMP TABLE mine AS SELECT 1 AS i; SET VARIABLE v = 7; USE vercel.authentication"
    )
    assert two.execute("SELECT i, getvariable('v') FROM temp.mine").fetchall() == [(1, 7)]
    assert two.execute("SELECT count(*) FROM user_tokens").fetchall() == [(31,)]
    one.execute("BEGIN")
    with pytest.raises(vercel_sql.NotSupportedError):
        two.execute(f"DELETE FROM {T} WHERE id = 'x'")


def test_execute_of_the_connection_gives_a_cursor_of_its_own(db):
    first, second = db.execute("SELECT 1"), db.sql("SELECT ?", [2])
    assert (first.fetchall(), second.fetchall()) == ([(1,)], [(2,)])
    db.execute("SELECT 3 AS three")
    assert db.description[0][0] == "three"
    assert (db.fetchone(), db.fetchmany(), db.fetchall()) == ((3,), [], [])


def test_a_cursor_that_is_forgotten_leaves_the_connection_free(db):
    db.cursor().execute(f"SELECT * FROM {T}")
    gc.collect()
    assert db.execute("SELECT 1").fetchall() == [(1,)]


def test_a_result_outlives_later_statements_of_others(db):
    shown = db.execute("SHOW SERVICES IN vercel")
    db.execute("SHOW RESOURCES IN vercel.authentication").fetchall()
    assert len(shown.fetchall()) == 5
    assert (
        db.execute(
            "SELECT table_name FROM (SHOW ALL TABLES) t(d, s, table_name) WHERE "
            "table_name LIKE '__vercel%'"
        ).fetchall()
        == []
    )


def test_a_connection_for_each_thread(connect):
    def work(number):
        with connect() as db:
            db.execute(f"INSERT INTO {T} (name) VALUES (?)", [f"thread {number}"])
            return db.execute(
                f"SELECT count(*) FROM {T} WHERE name = ?", [f"thread {number}"]
            ).fetchone()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [(1,)] * 8


def test_threads_that_share_one_do_not_mix_their_rows(db):
    def work(number):
        return db.cursor().execute("SELECT $n FROM range(100)", {"n": number}).fetchall()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(40))) == [[(n,)] * 100 for n in range(40)]


def test_two_accounts_at_once(connect, simulate):
    other = simulate(3)
    with vercel_sql.connect(other.token, api_url=other.url) as two:
        one = connect()
        assert one.execute(f"SELECT count(*) FROM {T}").fetchone() == (31,)
        assert two.execute(f"SELECT count(*) FROM {T}").fetchone() == (4,)


def test_a_database_file_that_is_called_like_the_catalog(connect, tmp_path):
    with pytest.raises(vercel_sql.InterfaceError, match="rename"):
        connect(database=tmp_path / "vercel.db")
    db = connect(database=tmp_path / "mine.db")
    db.execute(f"CREATE TABLE kept AS SELECT id FROM {T}").close()
    db.close()
    assert connect(database=tmp_path / "mine.db").execute("FROM kept").fetchall()
