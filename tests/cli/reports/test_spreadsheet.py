"""CSV that is opened in a spreadsheet: nothing that somebody wrote becomes a formula."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vercel_sql.cli.reports.rows import without_formulas
from vercel_sql.render import render

from .made import result

FORMULAS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # noqa: RUF001


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(1)", "'@SUM(1)"),
        ("＝1", "'＝1"),  # noqa: RUF001
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("\nx", "'\nx"),
        ("  =1", "'  =1"),
        ('"=1', "'\"=1"),
        ("a;=1", "a;'=1"),
        ("a\n=1", "a\n'=1"),
        ("a-b, c=d", "a-b, c=d"),
        ("'=1", "'=1"),
        ("", ""),
    ],
)
def test_what_is_guarded(text, safe):
    table = without_formulas(pa.table({"name": [text, None]}))
    assert table["name"].to_pylist() == [safe, None]


def test_names_of_columns_are_guarded():
    assert without_formulas(result('SELECT 1 AS "=a", 2 AS b')).column_names == ["'=a", "b"]


def test_what_is_no_text_stays_what_it_is():
    table = result(
        "SELECT -5 AS n, -1.5::DECIMAL(3, 1) AS d, true AS b, DATE '2026-01-02' AS day,"
        " TIMESTAMPTZ '2026-01-02 03:04:05+00' AS t, NULL::BIGINT AS nothing"
    )
    assert without_formulas(table).equals(table)


@pytest.mark.parametrize(
    ("value", "safe"),
    [
        ("['a;=1', 'b']", "a;'=1"),
        ("{'k': 'a;=1'}", "a;'=1"),
        ("MAP {'a;=1': 1}", "a;'=1"),
        ("""'{"a": ";=1"}'::JSON""", """{"a": ";'=1"}"""),
        ("'=1'::BLOB", "'=1"),
        ("'=1'::ENUM('=1')", "'=1"),
    ],
)
def test_nested_and_other_types_that_hold_text(value, safe):
    (text,) = without_formulas(result(f"SELECT {value} AS v"))["v"].to_pylist()
    assert safe in text
    assert not text.startswith(FORMULAS)


hostile = st.text(st.sampled_from("=+-@＝;,\t\r\n\"' ab|"), max_size=12)  # noqa: RUF001


# Many texts at a time, since each example opens databases.
@settings(max_examples=15)
@given(st.lists(hostile, min_size=60, max_size=60), hostile)
@example(["a", 'x;"=1'], "n")
@example(["a", "x\n\n=1"], "n")
@example(["a", "x;\t=1"], "=n")
def test_no_reader_finds_a_field_that_is_a_formula(texts, name):
    """Whatever a spreadsheet takes for the separator: a comma, a semicolon, or a tab."""
    table = pa.table({"id": ["1"] * len(texts), name + "x": texts, "n": [-1] * len(texts)})
    out = io.StringIO()
    render(without_formulas(table), "csv", out, width=None)
    for separator in ",;\t":
        for row in csv.reader(io.StringIO(out.getvalue(), newline=""), delimiter=separator):
            for field in row:
                bare = field.lstrip(' "')
                assert not bare.startswith(FORMULAS) or bare == "-1", (separator, row)


def test_times_keep_their_moment():
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    table = without_formulas(result("SELECT TIMESTAMPTZ '2026-01-02 03:04:05+00' AS t, '=1' AS x"))
    assert table["t"].to_pylist() == [moment]
