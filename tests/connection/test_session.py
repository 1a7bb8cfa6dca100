"""The session is the user's: whatever we do to it leaves it as it was."""

from __future__ import annotations

import gc
import os
import re
import threading
import time

import duckdb
import pandas as pd
import pytest

import vercel_sql

T = "vercel.authentication.user_tokens"
COUNT = "SELECT count(*) FROM vercel.audit.user_tokens"
STATE = """
    SELECT current_database(), current_schema(), current_setting('search_path'),
        list(name ORDER BY name), (SELECT list(view_name) FROM duckdb_views() WHERE temporary),
        (SELECT list(name || value) FROM duckdb_variables())
    FROM duckdb_settings() WHERE value IS NOT NULL
"""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "mine.duckdb"


def holders(file) -> list[str]:
    """The descriptors of this process that hold a file open."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            continue
    return [name for name in found if name.startswith(str(file))]


@pytest.mark.parametrize("move", ["USE s", "USE mine.s", "SET schema = 's'", "SET search_path='s'"])
def test_the_search_path_stays_where_tables_are_made(connect, file, move):
    db = connect(database=file)
    db.execute(f"CREATE SCHEMA s; {move}")
    before = db.execute("SELECT current_database(), current_schema()").fetchall()
    path = db.execute("SELECT current_setting('search_path')").fetchall()
    assert db.execute(COUNT).fetchall() == [(31,)]
    assert db.execute("SELECT current_setting('search_path')").fetchall() == path
    assert db.execute("SELECT current_database(), current_schema()").fetchall() == before
    db.execute(f"CREATE TABLE findings AS SELECT name FROM {T}")
    db.close()
    with duckdb.connect(str(file)) as plain:
        assert plain.execute("SELECT count(*) FROM s.findings").fetchall() == [(31,)]


@pytest.mark.parametrize("move", ["USE s", "SET search_path = 's,main'", "SET search_path='gone'"])
def test_attach_leaves_the_search_path(attached, sim, file, move):
    con = duckdb.connect(str(file))
    con.execute("CREATE SCHEMA s; CREATE SCHEMA gone")
    con.execute(move)
    if "gone" in move:
        con.execute("DROP SCHEMA gone")
    attached(sim, con)
    where = con.execute("SELECT current_database(), current_setting('search_path')").fetchall()
    assert where[0][0] == "mine"
    con.execute("CREATE TABLE mine.main.t AS SELECT 1")


@pytest.mark.parametrize(
    "statement",
    [
        COUNT,
        f"INSERT INTO {T} (name) VALUES ('x')",
        f"DELETE FROM {T} WHERE id = 'nobody'",
        f"INSERT INTO {T} (name, nonsense) VALUES ('x', 1)",
        f"EXEC {T}.get_auth_token @tokenId = 'current'",
        f"EXPLAIN DELETE FROM {T} WHERE id = 'nobody'",
        f"EXPLAIN SELECT * FROM {T}",
        "SHOW SERVICES IN vercel",
        f"DESCRIBE {T}",
        "SELECT * FROM no_such_table",
        f"SELECT no_such_column FROM {T}",
    ],
)
def test_nothing_of_the_session_changes(db, statement):
    db.execute("SET VARIABLE mine = 42; CREATE TEMP VIEW own AS SELECT 1 AS i")
    native = db.native
    before = native.execute(STATE).fetchall()
    try:
        db.execute(statement).arrow()
    except vercel_sql.Error:
        pass
    else:
        assert native.execute(STATE).fetchall() == before
    db.execute("FROM own").fetchall()
    assert native.execute(STATE).fetchall() == before


def test_a_transaction_goes_on(db):
    db.execute("CREATE TABLE t (i INT)")
    db.execute("BEGIN; INSERT INTO t VALUES (1)")
    assert db.execute(COUNT).fetchall() == [(31,)]
    assert db.execute("SELECT count(*) FROM vercel.user.user").fetchall() == [(1,)]
    assert db.execute("SHOW SERVICES IN vercel").fetchall()
    db.execute("INSERT INTO t VALUES (2)")
    db.rollback()
    assert db.execute("SELECT count(*) FROM t").fetchall() == [(0,)]
    db.commit()
    db.rollback()


def test_tables_are_made_when_they_are_named(db):
    made = db._catalogs[0]
    everything = list(made.missing)
    for statement in (
        "SELECT range FROM range(3) ORDER BY range DESC",
        "SELECT 'user', 'teams', 1 AS user",
        "CREATE TABLE teams (id INT); FROM teams; DESCRIBE teams; INSERT INTO teams VALUES (1)",
        "BEGIN; COMMIT",
        "PRAGMA version",
        "SELECT * FROM duckdb_settings()",
    ):
        db.execute(statement)
    with pytest.raises(vercel_sql.ProgrammingError):
        db.execute("FROM tems")
    assert made.missing == everything
    assert db.execute('SELECT count(*) FROM "Vercel"."TEAMS".teams').fetchall()
    assert "teams" not in made.missing
    assert "user" in made.missing


def test_a_view_over_a_live_table_finds_it_in_the_next_session(connect, file):
    with connect(database=file) as db:
        db.execute(f"CREATE VIEW tokens AS FROM {T}")
    assert connect(database=file).execute("SELECT count(*) FROM tokens").fetchall() == [(31,)]


def test_several_connections_to_one_file(connect, file):
    first, second = connect(database=file), connect(database=file)
    for db in (first, second, first):
        assert db.execute(COUNT).fetchall() == [(31,)]
    first.execute("CREATE TABLE t AS SELECT 42 AS i")
    assert second.execute("FROM t").fetchall() == [(42,)]
    assert second.duckdb.execute(COUNT).fetchall() == [(31,)]
    first.close()
    assert second.execute(COUNT).fetchall() == [(31,)]
    plain = duckdb.connect(str(file))
    second.close()
    names = [
        name for (name,) in plain.execute("SELECT database_name FROM duckdb_databases()").fetchall()
    ]
    assert "vercel" not in names
    plain.close()
    assert holders(file) == []


def test_each_connection_asks_its_own_account(sim, simulate, connect, file):
    other = simulate(7)
    mine = connect(database=file)
    theirs = vercel_sql.connect(other.token, api_url=other.url, oauth_url=other.url, database=file)
    with theirs:
        assert mine.execute(COUNT).fetchall() == [(31,)]
        assert theirs.execute(COUNT).fetchall() == [(8,)]
        joined = f"SELECT count(*) FROM {T} a JOIN vercel.audit.user_tokens b USING (id)"
        assert (mine.execute(joined).fetchall(), theirs.execute(joined).fetchall()) == (
            [(31,)],
            [(8,)],
        )
        email = "SELECT count(*) FROM vercel.user.get_auth_user()"
        assert mine.execute(email).fetchall() == theirs.execute(email).fetchall() == [(1,)]
        # Nobody can say for whom these ask.
        for con in (mine.duckdb.cursor(), theirs.native):
            with pytest.raises(duckdb.Error, match="several accounts"):
                con.execute(COUNT).fetchall()
        theirs.execute("PRAGMA disable_optimizer")
        with pytest.raises(vercel_sql.Error, match=r"filter_pushdown|several"):
            theirs.execute(COUNT).fetchall()
        theirs.execute("PRAGMA enable_optimizer")
    assert mine.execute(COUNT).fetchall() == [(31,)]
    assert mine.native.cursor().execute(COUNT).fetchall() == [(31,)]


def test_threads_with_a_connection_each(connect, file):
    failed = []

    def work() -> None:
        try:
            with connect(database=file) as db:
                for _ in range(3):
                    assert db.execute(f"{COUNT} WHERE id > ''").fetchall() == [(31,)]
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
@pytest.mark.parametrize("how", ["close", "del", "result"])
def test_the_file_is_free_without_the_garbage_collector(sim, file, how):
    gc.collect()
    gc.disable()
    try:
        db = vercel_sql.connect(sim.token, api_url=sim.url, oauth_url=sim.url, database=file)
        cursor = db.execute(f"SELECT id FROM {T}")
        db.fetchone()
        if how == "close":
            db.close()
        if how == "result":
            assert cursor.connection is db
        del db
        del cursor
        deadline = time.monotonic() + 20
        while holders(file) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert holders(file) == []
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("before", "query"),
    [
        ("", "SELECT INTERVAL 3000000 YEAR"),
        ("SET TimeZone = 'PST'", "SELECT TIMESTAMPTZ '2030-01-01 00:00:00+00'"),
    ],
)
def test_a_value_that_python_lacks_fails_that_statement_alone(db, before, query):
    db.execute(before or "SELECT 1")
    cursor = db.execute(query)
    assert db.execute("SELECT 42").fetchall() == [(42,)]
    for read in (cursor.fetchall, lambda: db.execute(query).fetchone()):
        with pytest.raises(vercel_sql.DatabaseError):
            read()
        db.commit()
        assert db.cursor().execute("SELECT 42").fetchall() == [(42,)]
        assert db.duckdb.execute("SELECT 42").fetchall() == [(42,)]


global_frame = pd.DataFrame({"i": [1, 2, 3]})


def test_the_caller_s_frames_are_found(db):
    local = pd.DataFrame({"name": ["a", "b"]})
    assert db.sql("FROM global_frame").fetchall() == [(1,), (2,), (3,)]
    for run in (db.sql, db.execute, db.cursor().execute):
        assert run("SELECT count(*) FROM local, global_frame").fetchall() == [(6,)]
    assert db.execute("SELECT name FROM local WHERE name = ?", ["b"]).fetchall() == [("b",)]
    rows = db.execute(f"INSERT INTO {T} (name) SELECT name FROM local RETURNING name, bearerToken")
    assert [name for name, _ in rows.fetchall()] == local["name"].to_list()
    assert db.execute("EXPLAIN SELECT * FROM local").fetchall()


@pytest.mark.parametrize("name", ["query", "self", "statement", "result", "batch", "con"])
def test_our_own_frames_are_not(db, name):
    with pytest.raises(vercel_sql.ProgrammingError, match="does not exist"):
        db.execute(f"FROM {name}")


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("EXPLAIN SELECT * FROM {} WHERE id IN (SELECT unnest($1))", [["a", "b"]]),
        ("EXPLAIN SELECT * FROM {} WHERE id = ($1).a", [{"a": "x"}]),
        ("EXPLAIN SELECT * FROM {} WHERE id = $1[1]", [("x",)]),
    ],
)
def test_explain_with_values_that_have_parts(db, query, values):
    rows = db.execute(query.format(T), values).fetchall()
    assert "vercel_requests" in [key for key, _ in rows]


def test_explain_of_what_is_duckdb_s(db):
    pivot = "EXPLAIN PIVOT (SELECT 1 AS a, 2 AS b) ON a USING sum(b)"
    with duckdb.connect() as plain:
        assert len(db.execute(pivot).fetchall()) == len(plain.execute(pivot).fetchall())
    db.execute(COUNT).fetchall()
    db.execute(pivot).fetchall()
    assert db.execute("EXPLAIN PREPARE p AS SELECT $1").fetchall()


def test_columns_of_parameters_are_called_as_in_duckdb(db):
    with duckdb.connect() as plain:
        for query, values in (
            ("SELECT ?, ?", [1, 2]),
            ("SELECT $1, ?", [1, 2]),
            ("SELECT $2, $1", [1, 2]),
        ):
            ours, theirs = db.execute(query, values), plain.execute(query, values)
            assert [c[0] for c in ours.description] == [c[0] for c in theirs.description]
            assert ours.fetchall() == theirs.fetchall()
    with pytest.raises(vercel_sql.ParameterError, match="not one int"):
        db.execute("SELECT ?", 1)


def test_what_only_looks_like_a_placeholder(db):
    assert db.execute("SELECT [1, 2, 3, 4][1:-:2]").fetchall() == [([1, 3],)]
    assert db.execute("SELECT {escape: 5, 'limit': 6}").fetchall() == [({"escape": 5, "limit": 6},)]
    assert db.execute("SELECT {a: 1, escape: $escape}", {"escape": 7}).fetchall()


def test_profiles_show_the_caller_s_statements(db, tmp_path):
    def profiled(con, out) -> list[str]:
        con.execute("CREATE TABLE t (i INT)")
        con.execute(f"PRAGMA enable_profiling = 'json'; SET profiling_output = '{out}'")
        found = []
        for statement in ("INSERT INTO t VALUES (1)", "CREATE TABLE u AS FROM t", "FROM u"):
            con.execute("SELECT 1").fetchall()
            con.execute(statement)
            found += re.findall(r'"(?:query_name|sql)": "(.*?)"', out.read_text())
        con.execute("PRAGMA disable_profiling")
        return found

    with duckdb.connect() as plain:
        assert profiled(db, tmp_path / "ours.json") == profiled(plain, tmp_path / "plain.json")


@pytest.mark.parametrize(
    "statement", ["COPY FROM DATABASE nowhere TO memory", "IMPORT DATABASE 'no/such/folder'"]
)
def test_duckdb_s_own_errors_stay(db, statement):
    with duckdb.connect() as plain, pytest.raises(duckdb.Error) as theirs:
        plain.execute(statement)
    with pytest.raises(vercel_sql.Error) as ours:
        db.execute(statement)
    assert str(ours.value).splitlines()[0] == str(theirs.value).splitlines()[0]


@pytest.mark.skipif(duckdb.__version__.startswith("1."), reason="a setting of DuckDB 2.0")
def test_duckdb_s_own_limit_is_named(db):
    db.execute("SET max_execution_time = 50")
    with pytest.raises(vercel_sql.OperationalError, match="maximum execution time"):
        db.execute("SELECT count(*) FROM range(100000000) a, range(1000) b").fetchall()


def test_a_script_with_a_mistake_runs_as_much_as_in_duckdb(db):
    script = "CREATE TABLE t (i INT); SELEC 2"
    with duckdb.connect() as plain:
        with pytest.raises(duckdb.Error):
            plain.execute(script)
        with pytest.raises(vercel_sql.Error):
            db.execute(script)
        tables = "SELECT count(*) FROM duckdb_tables()"
        assert db.execute(tables).fetchall() == plain.execute(tables).fetchall()


def test_no_statement_of_a_script_runs_twice(connect, file):
    with connect(database=file) as db:
        db.execute(f"CREATE VIEW tokens AS FROM {T}; CREATE TABLE t (i INT)")
    db = connect(database=file)
    db.execute("INSERT INTO t VALUES (1); SELECT count(*) FROM tokens")
    assert db.fetchall() == [(31,)]
    assert db.execute("SELECT count(*) FROM t").fetchall() == [(1,)]


def test_a_prepared_copy_that_fails_leaves_no_file(db, tmp_path):
    out = tmp_path / "out.csv"
    db.execute(f"PREPARE p AS COPY (SELECT error('no') FROM range(3)) TO '{out}'")
    for _ in range(2):
        with pytest.raises(vercel_sql.Error):
            db.execute("EXECUTE p")
        assert not out.exists()


def test_a_local_copy_is_streamed_where_live_tables_are_in_use(db, tmp_path):
    db.execute(COUNT).fetchall()
    db.execute("CREATE TABLE t AS FROM range(10)")
    seen = []
    execute = db._engine.native
    db._engine.native = lambda *given: seen.append(execute(*given)) or seen[-1]
    db.execute(f"COPY t TO '{tmp_path / 't.csv'}'")
    db.execute(f"COPY (SELECT id FROM {T}) TO '{tmp_path / 'l.csv'}'")
    assert ["row_number" in each.text for each in seen] == [False, True]


def test_a_write_gives_no_rows(db, ids):
    # PEP 249: "An Error exception is raised if the previous call to .execute*() did not produce
    # any result set."
    cursor = db.cursor()
    for statement in (
        "CREATE TABLE t AS FROM range(2)",
        "INSERT INTO t VALUES (7)",
        f"DELETE FROM {T} WHERE id = '{ids[0]}'",
    ):
        cursor.execute(statement)
        assert (cursor.description, cursor.rowcount > 0) == (None, True)
        for fetch in (cursor.fetchone, cursor.fetchmany, cursor.fetchall):
            with pytest.raises(vercel_sql.ProgrammingError, match="no result"):
                fetch()
        assert cursor.arrow().to_pylist() == [{"Count": cursor.rowcount}]
    assert cursor.execute("INSERT INTO t VALUES (8) RETURNING range").fetchall() == [(8,)]
