"""What a write gave is never lost to what comes after it, and no COPY leaves a part of a list."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import vercel_sql
from vercel_sql import errors

T = "vercel.authentication.user_tokens"
INSERT = f"INSERT INTO {T} (name) SELECT 'made' RETURNING bearerToken"


@pytest.fixture
def account(simulate):
    """An account of several pages."""
    return simulate(250)


@pytest.fixture
def con(account):
    with vercel_sql.connect(account.token, api_url=account.url, attempts=1) as connection:
        yield connection


def made(account):
    """The secret of the one token that the tests make."""
    (secret,) = [t.bearer for t in account.state.tokens() if t["name"] == "made"]
    return secret


def contents(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


COPIES = {
    "a query": f"COPY (FROM {T}) TO '{{to}}/x.csv'",
    "a table": f"COPY {T} TO '{{to}}/x.csv' (HEADER false)",
    "columns": f"COPY {T} (id, \"name\") TO '{{to}}/x.json'",
    "a view of one's own": "COPY mine TO '{to}/x.parquet' (FORMAT parquet)",
    "partitions": f"COPY (SELECT id, origin AS o FROM {T}) TO '{{to}}/d' (PARTITION_BY (o))",
    "files of each thread": f"COPY {T} TO '{{to}}/d' (FORMAT csv, PER_THREAD_OUTPUT)",
    "a query with WITH": (
        f"COPY (WITH a AS (FROM {T}) SELECT id AS i, name AS i FROM a ORDER BY 1 -- all\n)\n"
        "TO '{to}/x.csv' (DELIMITER ';')"
    ),
    "with EXPLAIN ANALYZE": f"EXPLAIN ANALYZE COPY (FROM {T}) TO '{{to}}/x.csv'",
}


@pytest.mark.parametrize("name", COPIES)
def test_a_listing_that_fails_leaves_files_as_they_were(account, con, tmp_path, name):
    con.execute(f"CREATE TEMP VIEW mine AS FROM {T}")
    copy = COPIES[name].format(to=tmp_path)
    for old in (False, True):
        if old:
            for file in ("x.csv", "x.json", "x.parquet"):
                (tmp_path / file).write_text("old")
        before = contents(tmp_path)
        account.faults(kind="status", method="GET", status=500, after=1)
        with pytest.raises(errors.ServerError):
            con.execute(copy)
        assert contents(tmp_path) == before
        account.clear_faults()
    con.execute(copy)
    assert contents(tmp_path) != before


def test_what_is_copied_is_what_duckdb_copies(con, tmp_path):
    """The same bytes as of a table that DuckDB has itself: names, types, order and options."""
    con.execute(f"CREATE TABLE own AS FROM {T}")
    for number, (source, options) in enumerate(
        [
            ("(SELECT id, name, createdAt, origin FROM {})", ""),
            ("{} (name, id)", "(FORMAT json, ARRAY true)"),
            ("(SELECT id, id, type, expiresAt FROM {} WHERE name <> $skipped)", "(HEADER)"),
            (
                "(FROM {} SELECT id, name ORDER BY name DESC, id LIMIT 7)",
                "(DELIMITER '\t', QUOTE '~')",
            ),
            (
                "(FROM (PIVOT (SELECT origin, id FROM {}) ON origin USING count(*)) ORDER BY ALL)",
                "",
            ),
        ]
    ):
        values = {"skipped": "none"} if "$skipped" in source else None
        for table in (T, "own"):
            target = f"{tmp_path}/{number}-{table}.csv"
            con.execute(f"COPY {source.format(table)} TO '{target}' {options}", values)
        ours, theirs = (Path(f"{tmp_path}/{number}-{table}.csv") for table in (T, "own"))
        assert ours.read_bytes() == theirs.read_bytes(), source


def test_copies_of_nothing_live_and_errors_of_their_own(con, tmp_path):
    con.execute(f"SELECT id FROM {T} LIMIT 1").fetchall()
    (tmp_path / "in.csv").write_text("a\n1\n2\n")
    con.execute(f"CREATE TABLE t (a INT); COPY t FROM '{tmp_path}/in.csv'")
    con.execute(f"COPY t TO '{tmp_path}/out.csv'")
    assert (tmp_path / "out.csv").read_text() == "a\n1\n2\n"
    for wrong in ("(INSERT INTO t VALUES (3) RETURNING a)", "(SELEC 1)", "nowhere", "(FROM t) TO"):
        with pytest.raises(errors.ProgrammingError):
            con.execute(f"COPY {wrong} TO '{tmp_path}/wrong.csv'")
    with pytest.raises(errors.OperationalError):
        con.execute(f"COPY t TO '{tmp_path}/none/out.csv'")
    assert sorted(contents(tmp_path)) == ["in.csv", "out.csv"]
    assert con.execute("FROM t").fetchall() == [(1,), (2,)]


@pytest.mark.parametrize("method", ["fetchone", "fetchall", "df"])
def test_rows_that_can_not_be_given_are_in_the_error(account, con, method):
    """A value that DuckDB has and Python has not."""
    cursor = con.execute(f"{INSERT}, INTERVAL 3000000 YEAR AS long")
    with pytest.raises(errors.PartialWriteError) as raised:
        getattr(cursor, method)()
    assert raised.value.table.column("bearerToken").to_pylist() == [made(account)]
    assert made(account) not in str(raised.value)


def test_rows_that_were_set_aside_and_can_not_be_given(account, con):
    cursor = con.execute(f"{INSERT}, INTERVAL 3000000 YEAR AS long")
    con.execute("SELECT 1")
    with pytest.raises(errors.PartialWriteError) as raised:
        cursor.fetchall()
    assert raised.value.table.column("bearerToken").to_pylist() == [made(account)]


@pytest.mark.parametrize(("method", "library"), [("df", "pandas"), ("pl", "polars")])
def test_a_library_that_is_missing_takes_no_rows(account, con, monkeypatch, method, library):
    cursor = con.execute(INSERT)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, library, None)
        with pytest.raises(errors.InterfaceError, match=f"{library} is missing"):
            getattr(cursor, method)()
    assert cursor.fetchall() == [(made(account),)]


@pytest.mark.parametrize(
    "expression", ["CAST(name AS INT)", "error(name || bearerToken)", "CAST(1 / 0 AS INT)"]
)
def test_a_returning_that_fails_on_the_row(account, con, expression):
    when = f"CASE WHEN name = 'made' THEN {expression} END"
    with pytest.raises(errors.PartialWriteError) as raised:
        con.execute(f"{INSERT}, {when} AS x").fetchall()
    assert raised.value.table.column("bearerToken").to_pylist() == [made(account)]
    assert made(account) not in str(raised.value)


def test_a_database_that_is_only_read_takes_a_write_to_the_api(account, tmp_path):
    with vercel_sql.connect(account.token, api_url=account.url, database=tmp_path / "d.db") as con:
        con.execute("CREATE TABLE t (a INT)")
    (tmp_path / "d.db").chmod(0o400)
    with vercel_sql.connect(account.token, api_url=account.url) as con:
        con.execute(f"ATTACH '{tmp_path}/d.db' AS d (READ_ONLY); USE d")
        assert con.execute(INSERT).fetchall() == [(made(account),)]
