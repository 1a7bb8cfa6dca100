"""The live tables inside a plain DuckDB connection: names, threads, several accounts, detach."""

from __future__ import annotations

import threading

import duckdb
import pytest

import vercel_sql

LIVE = "vercel.authentication.user_tokens"


def test_use_makes_the_short_name_work(con):
    con.execute("USE vercel.authentication")
    assert con.execute("SELECT count(*) FROM user_tokens").fetchone() == (31,)
    con.execute("USE memory")


def test_attaching_leaves_the_search_path_alone(attached, sim):
    con = attached.plain()
    con.execute("CREATE SCHEMA mine")
    con.execute("USE memory.mine")
    attached(sim, con)
    con.execute("CREATE TABLE here AS SELECT 1 AS x")
    assert con.execute("SELECT x FROM memory.mine.here").fetchone() == (1,)


def test_columns_have_the_names_and_types_of_the_manifest(con):
    described = {row[0]: row[1] for row in con.execute(f"DESCRIBE {LIVE}").fetchall()}
    assert list(described)[:8] == [
        "id", "name", "activeAt", "createdAt", "expiresAt", "origin", "scopes", "type",
    ]  # fmt: skip
    assert list(described)[8:] == [
        "prefix", "suffix", "revokedAt", "leakedAt", "leakedUrl",
        "token", "tokenId", "additional_fields",
    ]  # fmt: skip
    assert {described[name] for name in ("activeAt", "createdAt", "expiresAt")} == {"BIGINT"}
    assert described["additional_fields"] == "JSON"
    assert described["token"].startswith("STRUCT(id VARCHAR")
    sudo = "STRUCT(origin VARCHAR, verifiedAt BIGINT, expiresAt BIGINT)"
    assert sudo.replace(" ", "") in described["scopes"].replace('"', "").replace(" ", "")


def test_tables_and_columns_are_described(con):
    query = (
        "SELECT comment FROM duckdb_views() "
        "WHERE database_name = 'vercel' AND schema_name = ? AND view_name = 'user_tokens'"
    )
    for schema in ("authentication", "audit"):
        assert con.execute(query, [schema]).fetchone()[0]
        without = con.execute(
            "SELECT column_name FROM duckdb_columns() WHERE database_name = 'vercel' "
            "AND schema_name = ? AND table_name = 'user_tokens' AND comment IS NULL",
            [schema],
        ).fetchall()
        assert without == []


@pytest.mark.parametrize(
    "write",
    [
        f"INSERT INTO {LIVE} (name) VALUES ('x')",
        f"DELETE FROM {LIVE} WHERE true",
        f"UPDATE {LIVE} SET name = 'x'",
        f"DROP TABLE {LIVE}",
    ],
)
def test_a_plain_connection_writes_nothing(con, sim, write):
    with pytest.raises(duckdb.Error):
        con.execute(write)
    assert sim.requests() == []


def test_no_external_access_is_needed(con):
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")
    assert con.execute(f"SELECT count(*) FROM {LIVE}").fetchone() == (31,)


def test_cursors_in_two_threads_at_once(simulate, attached):
    con = attached(simulate(450))
    gate, counts = threading.Barrier(2), []

    def work(query: str) -> None:
        with con.cursor() as cursor:
            gate.wait(10)
            counts.append(len(cursor.execute(query).fetchall()))

    queries = [f"SELECT * FROM {LIVE}", f"SELECT a.id FROM {LIVE} a JOIN {LIVE} b USING (id)"]
    threads = [threading.Thread(target=work, args=[query]) for query in queries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert counts == [451, 451]


def test_the_first_requests_of_several_threads_share_one_connection_pool(simulate, attached):
    """The pool is made at the first request; made twice, one would never be closed."""
    sim = simulate(30)
    ids = [token.id for token in sim.state.tokens()[:8]]
    for _ in range(5):
        con = attached(sim)
        marks = ", ".join("?" for _ in ids)
        rows = con.execute(f"SELECT id FROM {LIVE} WHERE id IN ({marks})", ids).fetchall()
        assert len(rows) == 8
        vercel_sql.detach(con)


def test_an_interrupt_ends_a_listing_between_two_pages(simulate, attached):
    sim = simulate(1000, latency_ms=50)
    con = attached(sim)
    failures = []

    def work() -> None:
        try:
            con.execute(f"SELECT count(name) FROM {LIVE}").fetchall()
        except duckdb.Error as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(500):
        if len(sim.requests()) >= 2:
            break
        threading.Event().wait(0.01)
    con.interrupt()
    thread.join(30)
    assert isinstance(failures[0], duckdb.InterruptException)
    assert len(sim.requests()) < 11
    assert con.execute(f"SELECT id FROM {LIVE} LIMIT 1").fetchall()


def test_a_second_account_has_a_catalog_of_its_own(simulate, attached):
    mine, other = simulate(3), simulate(5, seed=8)
    con = attached(other, attached(mine), name="other account")
    count = f"SELECT count(*) FROM {LIVE}"
    assert con.execute(count).fetchone() == (4,)
    there = '"other account".authentication.user_tokens'
    assert con.execute(f"SELECT count(*) FROM {there}").fetchone() == (6,)
    joined = f"SELECT count(*) FROM {LIVE} JOIN {there} USING (id)"
    assert con.execute(joined).fetchone() == (0,)
    vercel_sql.detach(con, "other account")
    assert con.execute(count).fetchone() == (4,)


def test_a_name_that_is_taken_is_refused(attached, sim):
    con = attached.plain()
    con.execute("ATTACH ':memory:' AS vercel")
    with pytest.raises(vercel_sql.errors.InterfaceError, match="vercel already"):
        vercel_sql.attach(con, sim.token, api_url=sim.url)
    con.execute("DETACH vercel")


def test_detach_takes_everything_out(attached, sim, tmp_path):
    con = attached.plain()
    before = _things(con)
    attached(sim, con, writes=True, secrets_file=tmp_path / "secrets")
    assert _things(con) != before
    vercel_sql.detach(con)
    assert _things(con) == before
    with pytest.raises(vercel_sql.errors.InterfaceError, match="nothing called vercel"):
        vercel_sql.detach(con)
    attached(sim, con)
    assert con.execute(f"SELECT count(*) FROM {LIVE}").fetchone() == (31,)


def _things(con) -> set[tuple]:
    functions = "SELECT database_name, schema_name, function_name FROM duckdb_functions()"
    views = "SELECT database_name, schema_name, view_name FROM duckdb_views()"
    databases = "SELECT database_name, NULL, NULL FROM duckdb_databases()"
    return set(con.execute(f"{functions} UNION ALL {views} UNION ALL {databases}").fetchall())


def test_a_connection_that_stands_in_the_catalog_is_not_detached(con):
    con.execute("USE vercel.authentication")
    with pytest.raises(vercel_sql.errors.InterfaceError, match="USE another database"):
        vercel_sql.detach(con)
    con.execute("USE memory")
    assert con.execute(f"SELECT count(*) FROM {LIVE}").fetchone() == (31,)


def test_a_transaction_of_the_user_s_is_left_as_it_was(sim):
    with duckdb.connect() as con:
        url = {"api_url": sim.url}
        con.execute("CREATE TABLE mine (n INT); BEGIN; INSERT INTO mine VALUES (1)")
        with pytest.raises(vercel_sql.InterfaceError, match=r"attach\(\) can't run inside BEGIN"):
            vercel_sql.attach(con, sim.token, **url)
        assert con.execute("FROM mine").fetchall() == [(1,)]
        con.execute("COMMIT")
        attached = vercel_sql.attach(con, sim.token, **url)
        con.execute("BEGIN; INSERT INTO mine VALUES (2)")
        assert vercel_sql.attach(con, sim.token, **url) is attached
        with pytest.raises(vercel_sql.InterfaceError, match=r"detach\(\) can't run inside BEGIN"):
            vercel_sql.detach(con)
        with pytest.raises(vercel_sql.InterfaceError, match="nothing called other"):
            vercel_sql.detach(con, "other")
        con.execute("COMMIT")
        assert con.execute("FROM mine").fetchall() == [(1,), (2,)]
        with pytest.raises(duckdb.Error):
            con.execute("BEGIN; SELECT error('')").fetchall()
        with pytest.raises(vercel_sql.InterfaceError, match="BEGIN"):
            vercel_sql.attach(con, sim.token, name="other", **url)
        con.execute("ROLLBACK")
        vercel_sql.detach(con)


def test_a_connection_that_is_closed_is_an_error_of_ours(sim):
    con = duckdb.connect()
    con.close()
    with pytest.raises(vercel_sql.InterfaceError, match="the connection is closed"):
        vercel_sql.attach(con, sim.token, api_url=sim.url)
    with pytest.raises(vercel_sql.InterfaceError, match="the connection is closed"):
        vercel_sql.detach(con)


def test_without_a_token_the_error_says_where_it_was_sought(attached, sim):
    con = attached(sim, token=None)
    with pytest.raises(duckdb.Error, match=r"the argument token, then .*VERCEL_TOKEN"):
        con.execute(f"SELECT * FROM {LIVE}").fetchall()
    assert sim.requests() == []


def test_token_and_url_come_from_the_environment(attached, sim, monkeypatch):
    monkeypatch.setenv("VERCEL_TOKEN", sim.token)
    monkeypatch.setenv("VERCEL_API_URL", sim.url)
    con = attached(sim, token=None, api_url=None)
    assert con.execute(f"SELECT count(*) FROM {LIVE}").fetchone() == (31,)


def test_an_unknown_service_is_an_error_that_leaves_nothing_behind(sim):
    con = duckdb.connect()
    with pytest.raises(vercel_sql.ParameterError, match="no service 'nope'; there are auth"):
        vercel_sql.attach(con, sim.token, api_url=sim.url, services=["user", "nope"])
    names = con.execute("SELECT database_name FROM duckdb_databases()").fetchall()
    assert ("vercel",) not in names
    con.close()
