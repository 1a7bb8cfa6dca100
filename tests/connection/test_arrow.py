"""Cursors as Arrow streams: other libraries take results with names and types whole."""

from __future__ import annotations

import sys

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import vercel_sql

AUDIT = "SELECT * FROM vercel.audit.user_tokens ORDER BY id"
FEW = "SELECT 1 AS a, 'x' AS b, NULL::TIMESTAMPTZ AS c, {'d': [1, 2]} AS e"
SCHEMA = pa.schema(
    [
        ("a", pa.int32()),
        ("b", pa.string()),
        ("c", pa.timestamp("us", "Etc/UTC")),
        ("e", pa.struct([("d", pa.list_(pa.int32()))])),
    ]
)


@pytest.fixture
def utc(connect):
    db = connect()
    db.execute("SET TimeZone = 'Etc/UTC'")
    return db


def test_pyarrow_takes_a_cursor(utc):
    assert pa.table(utc.execute(FEW)).schema == SCHEMA
    assert pa.RecordBatchReader.from_stream(utc.execute(FEW)).read_all().schema == SCHEMA
    assert pa.table(utc.execute(AUDIT)).num_rows == 31


def test_polars_takes_a_cursor_and_reads_from_a_connection(utc):
    native = pl.DataFrame(utc.execute(AUDIT).arrow())
    for frame in (
        pl.DataFrame(utc.execute(AUDIT)),
        utc.execute(AUDIT).pl(),
        pl.read_database(AUDIT, utc),
        pl.read_database(AUDIT, utc.cursor()),
    ):
        assert frame.schema == native.schema
        assert frame.drop("active_at").equals(native.drop("active_at"))
    assert native.schema["revoked_at"] == pl.Datetime("us", "Etc/UTC")
    assert isinstance(native.schema["scopes"], pl.List)


def test_pandas_takes_a_cursor(utc):
    frame = pd.DataFrame.from_arrow(utc.execute(AUDIT))
    assert list(frame.columns) == [column[0] for column in utc.execute(AUDIT).description]
    assert str(frame["revoked_at"].dtype) == "datetime64[us, Etc/UTC]"
    assert len(frame) == 31


@pytest.mark.filterwarnings("ignore:pandas only supports SQLAlchemy")
def test_pandas_reads_from_a_connection(utc):
    query = "SELECT id, created_at FROM vercel.audit.user_tokens WHERE origin = ?"
    frame = pd.read_sql(query, utc, params=["saml"])
    assert list(frame.columns) == ["id", "created_at"]


def test_duckdb_takes_a_cursor_more_than_once(utc):
    with duckdb.connect() as other:
        rows = utc.execute("SELECT 1 AS a, 'x' AS b")
        assert other.from_arrow(rows).fetchall() == [(1, "x")]
        assert other.sql("FROM rows").fetchall() == [(1, "x")]
        assert other.sql("SELECT count(*) FROM rows r1, rows r2").fetchall() == [(1,)]


def test_results_of_our_statements_are_streams_too(utc):
    made = pa.table(
        utc.execute(
            "INSERT INTO vercel.authentication.user_tokens (name) SELECT 'a' "
            "RETURNING bearerToken, id"
        )
    )
    assert made.schema.names == ["bearerToken", "id"]
    assert made.num_rows == 1
    shown = pa.table(utc.execute("SHOW SERVICES IN vercel"))
    assert shown.schema.names == ["service", "description", "resources"]


def test_the_names_that_duckdbs_own_cursors_have(utc):
    for name in ("arrow", "to_arrow_table", "fetch_arrow_table"):
        assert getattr(utc.execute(FEW), name)().schema == SCHEMA
    for name in ("to_arrow_reader", "fetch_record_batch"):
        reader = getattr(utc.execute("SELECT i AS a FROM range(10) t(i)"), name)(3)
        assert [len(batch) for batch in reader] == [3, 3, 3, 1]
    for name in ("df", "fetchdf", "fetch_df"):
        assert list(getattr(utc.execute(FEW), name)().columns) == ["a", "b", "c", "e"]


def test_columns_of_one_name_stay(utc):
    assert pa.table(utc.execute("SELECT 1 AS a, 2 AS a")).schema.names == ["a", "a"]


def test_what_has_no_rows_is_no_stream(utc):
    for statement in ("CREATE TABLE t (a INT)", "SET threads = 1"):
        with pytest.raises(vercel_sql.ProgrammingError, match="no result to fetch"):
            pa.table(utc.execute(statement))
    cursor = utc.execute(FEW)
    cursor.close()
    with pytest.raises(vercel_sql.InterfaceError, match="closed"):
        pa.table(cursor)


@pytest.mark.parametrize("give", ["arrow", "df", "pl"])
def test_rows_are_whole_or_an_error(utc, give):
    cursor = utc.execute("SELECT i FROM range(5) t(i)")
    getattr(cursor, give)()
    with pytest.raises(vercel_sql.ProgrammingError, match="fetched already"):
        getattr(cursor, give)()
    cursor = utc.execute("SELECT i FROM range(5) t(i)")
    assert cursor.fetchone() == (0,)
    with pytest.raises(vercel_sql.ProgrammingError, match="fetched already"):
        getattr(cursor, give)()
    assert cursor.fetchall() == [(1,), (2,), (3,), (4,)]


def test_an_error_of_the_api_is_an_error_of_the_stream(utc, sim):
    sim.faults(kind="status", status=403, method="GET", times=None)
    with pytest.raises(vercel_sql.APIError):
        pa.table(utc.execute(AUDIT))


@pytest.mark.parametrize(("library", "give"), [("polars", "pl"), ("pandas", "df")])
def test_a_library_that_is_missing_is_named(utc, monkeypatch, library, give):
    monkeypatch.setitem(sys.modules, library, None)
    cursor = utc.execute(FEW)
    with pytest.raises(vercel_sql.InterfaceError, match=f"{library} is missing: install it"):
        getattr(cursor, give)()
    assert cursor.arrow().num_rows == 1
