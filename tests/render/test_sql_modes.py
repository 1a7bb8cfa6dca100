"""The modes `insert` and `quote`: what they write runs, and gives the values back."""

import io

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vercel_sql.render import Options, render_mode

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)

OF_EVERY_TYPE = """SELECT
    true AS boolean, 1::TINYINT AS "select", -2::BIGINT AS "a ""b",
    18446744073709551615::UBIGINT AS "Ü",
    170141183460469231731687303715884105727::HUGEINT AS h, 1.10::DECIMAL(20, 2) AS "1d",
    0.1::FLOAT AS f, 'nan'::DOUBLE AS nan, '-inf'::DOUBLE AS inf, 1e300 AS big, 5::BIGNUM AS bn,
    'it''s' AS text, '\\x00a"'::BLOB AS blob, DATE '2026-10-01' AS date,
    'infinity'::DATE AS forever,
    TIME '01:02:03.5' AS time, TIMESTAMP '2026-10-01 01:02:03.000004' AS timestamp,
    TIMESTAMPTZ '2026-10-01 01:00:00+02' AS tz,
    INTERVAL '1 month 2 days 3.5 seconds' AS "interval",
    '123e4567-e89b-12d3-a456-426614174000'::UUID AS uuid, '0101'::BIT AS bit,
    'a'::ENUM('a', 'b') AS enum, ['it''s', NULL, 'a, "b"'] AS list, [1, 2]::INTEGER[2] AS "array",
    {'a': 'x', 'b c': [1.5]} AS struct, MAP {'k': 'v'} AS map, '{"a": [1]}'::JSON AS json,
    NULL::INTEGER AS nothing"""


@pytest.fixture
def con():
    with duckdb.connect(config={"arrow_lossless_conversion": "true"}) as con:
        con.execute("SET TimeZone = 'UTC'")
        yield con


def test_insert_of_every_type_gives_the_row_back(con, shown) -> None:
    con.execute(f"CREATE TABLE source AS {OF_EVERY_TYPE}")
    con.execute('CREATE TABLE "my ""table" AS FROM source WITH NO DATA')

    statements = shown(con.sql("FROM source").to_arrow_table(), "insert", table_name='my "table')
    con.execute(statements)

    assert con.sql('FROM "my ""table" EXCEPT ALL FROM source').fetchall() == []
    assert con.execute('SELECT count(*) FROM "my ""table"').fetchone() == (1,)


def test_insert_names_what_is_no_plain_name_in_quotes(query, shown) -> None:
    table = query('SELECT 1 AS plain_1, 2 AS Caps, 3 AS "order", 4 AS name, 5 AS "1a", 6 AS "é"')

    assert shown(table, "insert", table_name="table") == (
        'INSERT INTO "table"(plain_1,Caps,"order","name","1a","é") VALUES(1,2,3,4,5,6);\n'
    )


def test_a_statement_or_a_row_of_literals_is_one_harmless_line(query, shown) -> None:
    table = query("SELECT 'a' || chr(10) || chr(27) || chr(13) || '''b' AS t")

    text = "concat('a', chr(10), '', chr(27), '', chr(13), '''b')"
    assert shown(table, "insert") == f"INSERT INTO tbl(t) VALUES({text});\n"
    assert shown(table, "quote") == f"'t'\n{text}\n"


def written(table: pa.Table, mode: str) -> str:
    out = io.StringIO()
    render_mode(table, mode, out, width=80, options=Options(headers=False))
    return out.getvalue()


ROWS = st.lists(
    st.tuples(st.none() | TEXT, st.none() | st.floats(), st.none() | st.booleans()), max_size=4
)


def arrow(rows: list[tuple[object, ...]]) -> pa.Table:
    types = [pa.string(), pa.float64(), pa.bool_()]
    columns = [pa.array([row[at] for row in rows], kind) for at, kind in enumerate(types)]
    return pa.table(columns, names=["t", "d", "b"])


@given(rows=ROWS)
def test_inserts_give_the_rows_back_even_from_a_terminal(con, rows) -> None:
    con.execute("CREATE OR REPLACE TABLE tbl (t VARCHAR, d DOUBLE, b BOOLEAN)")

    con.execute(written(arrow(rows), "insert"))

    assert repr(con.sql("FROM tbl").fetchall()) == repr(rows)


@given(rows=ROWS)
def test_quoted_rows_are_the_values_even_from_a_terminal(con, rows) -> None:
    lines = written(arrow(rows), "quote").splitlines()

    read = [
        con.execute(f"SELECT t, d::DOUBLE, b FROM (VALUES ({line})) AS v (t, d, b)").fetchone()
        for line in lines
    ]
    assert repr(read) == repr(rows)
