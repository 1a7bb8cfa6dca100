"""`connect` and `attach` on every kind of database, and more than once."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import duckdb
import pytest

import vercel_sql

from ..conftest import urls_of

LIVE = "vercel.authentication.user_tokens"
COUNT = f"SELECT count(*) FROM {LIVE}"
# A function of the ICU extension, and one of ours.
MOMENTS = "SELECT count(*) FROM vercel.audit.user_tokens WHERE created_at > now() - INTERVAL 9 YEAR"
FUNCTION = "SELECT count(*) FROM vercel.oauth.get_openid_configuration()"


@pytest.fixture
def account(sim):
    return {"token": sim.token, **urls_of(sim)}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.duckdb"
    with duckdb.connect(path) as con:
        con.execute("CREATE SCHEMA vercel; CREATE TABLE vercel.mine AS SELECT 1 AS a")
    return path


def databases(con):
    rows = con.execute("SELECT database_name FROM duckdb_databases()").fetchall()
    return {name for (name,) in rows}


# Attached more than once


def test_attaching_again_gives_what_is_attached(attached, account):
    con = attached.plain()
    first = vercel_sql.attach(con, **account)
    assert vercel_sql.attach(con, **account) is first
    with con.cursor() as cursor:
        assert vercel_sql.attach(cursor, **account) is first
        assert cursor.execute(COUNT).fetchone() == (31,)
        vercel_sql.detach(cursor)
    assert "vercel" not in databases(con)
    with pytest.raises(vercel_sql.InterfaceError, match="nothing called vercel"):
        vercel_sql.detach(con)


def test_connections_of_one_file_share_what_is_attached(account, tmp_path):
    path = tmp_path / "pooled.duckdb"
    with duckdb.connect(path) as one, duckdb.connect(path) as two:
        first = vercel_sql.attach(one, **account)
        assert vercel_sql.attach(two, **account) is first
        for query in (COUNT, MOMENTS):
            assert two.execute(query).fetchone() == one.execute(query).fetchone() == (31,)
        vercel_sql.detach(two)
        assert "vercel" not in databases(one)


def test_the_connection_that_was_attached_first_may_go(account, tmp_path):
    """DuckDB crashed here, on a function whose connection was closed."""
    path = tmp_path / "pooled.duckdb"
    one, two = duckdb.connect(path), duckdb.connect(path)
    first = vercel_sql.attach(one, **account)
    one.close()
    gc.collect()
    assert two.execute(FUNCTION).fetchone() == (1,)
    with duckdb.connect(path) as three:
        assert vercel_sql.attach(three, **account) is first
        for query in (COUNT, MOMENTS, FUNCTION):
            assert two.execute(query).fetchone() == three.execute(query).fetchone()
        vercel_sql.detach(two)
        assert "vercel" not in databases(three)
        # Its functions could not be taken out, and are not in the way of new ones.
        assert vercel_sql.attach(three, **account) is not first
        for query in (COUNT, MOMENTS, FUNCTION):
            assert two.execute(query).fetchone() == three.execute(query).fetchone()
        vercel_sql.detach(three)
    two.close()


@pytest.mark.parametrize("database", [":memory:", "some.duckdb"])
@pytest.mark.parametrize("ends", [duckdb.DuckDBPyConnection.close, lambda con: None])
def test_nothing_is_left_of_what_nobody_detached(account, tmp_path, monkeypatch, database, ends):
    monkeypatch.chdir(tmp_path)

    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    handles = []
    for _ in range(6):
        con = duckdb.connect(database)
        gone = weakref.ref(vercel_sql.attach(con, **account))
        assert con.execute(COUNT).fetchone() == (31,)
        ends(con)
        del con
        gc.collect()
        assert gone() is None
        handles.append(open_files())
    # The simulated account, in this process too, closes its end of a connection a moment later.
    end = time.monotonic() + 10
    while open_files() > handles[1] and time.monotonic() < end:
        time.sleep(0.05)
    assert open_files() <= handles[1]
    if database != ":memory:":
        program = f"import duckdb; duckdb.connect({database!r}).execute('CREATE TABLE t (a INT)')"
        subprocess.run([sys.executable, "-c", program], check=True, timeout=100)


def test_threads_may_attach_at_once(account, tmp_path):
    path = tmp_path / "pooled.duckdb"
    found, barrier = [], threading.Barrier(4)

    def work():
        with duckdb.connect(path) as con:
            barrier.wait(60)
            found.append(vercel_sql.attach(con, **account))
            barrier.wait(60)
            found.append(con.execute(COUNT).fetchone())
            barrier.wait(60)

    with duckdb.connect(path) as kept:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(100)
        assert found.count((31,)) == 4
        assert len({id(each) for each in found if each != (31,)}) == 1
        vercel_sql.detach(kept)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"token": "vcp_anotherTokenOfSomebodyElse"}, "token"),
        ({"api_url": "http://127.0.0.1:9"}, "api_url"),
        ({"writes": True, "secrets_file": "…"}, "writes and secrets_file"),
        ({"max_writes": 1}, "max_writes"),
        ({"max_wait": 1}, "max_wait"),
        ({"strict": True}, "strict"),
    ],
)
def test_other_terms_are_refused_and_named(attached, account, sim, tmp_path, options, named):
    con = attached(sim)
    if "secrets_file" in options:
        options = {**options, "secrets_file": tmp_path / "secrets"}
    with pytest.raises(vercel_sql.InterfaceError, match=f"another value of {named}:") as caught:
        vercel_sql.attach(con, **{**account, **options})
    assert sim.token not in str(caught.value)
    assert con.execute(COUNT).fetchone() == (31,)
    vercel_sql.attach(con, name="other", **account)
    vercel_sql.detach(con, "other")


def test_a_database_of_connect_says_that_the_tables_are_there(account, tmp_path):
    path = tmp_path / "shared.duckdb"
    with vercel_sql.connect(database=path, **account) as con, duckdb.connect(path) as native:
        con.execute(COUNT)
        with pytest.raises(vercel_sql.InterfaceError, match="has Vercel's tables already"):
            vercel_sql.attach(native, **account)
        assert native.execute(COUNT).fetchone() == (31,)
    with duckdb.connect(path) as native:
        vercel_sql.attach(native, **account)
        with pytest.raises(vercel_sql.InterfaceError, match="has Vercel's tables already"):
            vercel_sql.connect(database=path, **account)
        vercel_sql.detach(native)


# Read-only databases, settings and names


def test_attach_takes_a_read_only_database(account, file):
    with duckdb.connect(file, read_only=True) as con:
        vercel_sql.attach(con, name="v", **account)
        for query in (COUNT, MOMENTS, FUNCTION):
            assert con.execute(query.replace("vercel.", "v.")).fetchone() is not None
        assert con.execute("FROM vercel.mine").fetchall() == [(1,)]
        vercel_sql.detach(con, "v")


def test_a_schema_called_vercel_is_not_made_ambiguous(account, file):
    with duckdb.connect(file) as con:
        with pytest.raises(vercel_sql.InterfaceError, match=r"schema called vercel.* name="):
            vercel_sql.attach(con, **account)
        with pytest.raises(vercel_sql.InterfaceError, match=r"schema called vercel.* name="):
            vercel_sql.connect(database=file, **account)
        assert con.execute("FROM vercel.mine").fetchall() == [(1,)]


def test_connect_opens_a_file_to_read_it(account, file, connect):
    db = connect(database=file, name="v", database_read_only=True)
    with duckdb.connect(file, read_only=True):
        query = "SELECT a, count(*) FROM vercel.mine, v.authentication.user_tokens GROUP BY a"
        assert db.execute(query).fetchall() == [(1, 31)]
        with pytest.raises(vercel_sql.ProgrammingError, match="read-only"):
            db.execute("CREATE TABLE t (a INT)")
        db.execute("CREATE TEMP TABLE t AS SELECT id FROM v.authentication.user_tokens")
        # Vercel itself may be written to: that is what read_only= is for.
        assert db.execute("DELETE FROM v.authentication.user_tokens WHERE id = 'x'").rowcount == 0
    with pytest.raises(vercel_sql.Error):
        connect(database=file.with_name("missing.duckdb"), database_read_only=True)


def test_connect_takes_duckdbs_settings(connect):
    optimizer = "common_subexpressions"
    db = connect(config={"threads": 1, "disabled_optimizers": optimizer})
    query = "SELECT current_setting('threads'), current_setting('disabled_optimizers')"
    ((threads, optimizers),) = db.execute(query).fetchall()
    assert threads == 1
    assert optimizer in optimizers
    with pytest.raises(vercel_sql.ProgrammingError, match="nonsense"):
        connect(config={"nonsense": 1})


@pytest.mark.parametrize("name", ["acme", "my account", 'a"b.c', "VERCEL", "select"])
def test_the_whole_dialect_works_under_another_name(connect, sent, name):
    db = connect(name=name)
    table = f'"{name.replace(chr(34), chr(34) * 2)}".authentication.user_tokens'
    insert = f"INSERT INTO {table} (name) SELECT 'new' RETURNING bearerToken, id"
    assert db.execute(f"EXPLAIN {insert}").fetchall()[0][1] == "POST"
    ((_, id_),) = db.execute(insert).fetchall()
    assert db.execute(f"SELECT count(*) FROM {table} WHERE id = ?", [id_]).fetchone() == (1,)
    assert db.execute(f"EXEC {table}.get_auth_token @tokenId = ?", [id_]).fetchone() is not None
    assert "create_auth_token" in str(db.execute(f"SHOW METHODS IN {table}").fetchall())
    assert db.execute(f"DELETE FROM {table} WHERE id = ?", [id_]).rowcount == 1
    assert [r.method for r in sent() if r.method != "GET"] == ["POST", "DELETE"]


@pytest.mark.parametrize("name", ["", "temp", "memory", "system", "main"])
def test_a_name_that_can_not_be_is_an_error(connect, attached, account, name):
    with pytest.raises((vercel_sql.InterfaceError, vercel_sql.ParameterError), match="name"):
        connect(name=name)
    with pytest.raises((vercel_sql.InterfaceError, vercel_sql.ParameterError), match="name"):
        vercel_sql.attach(attached.plain(), name=name, **account)
