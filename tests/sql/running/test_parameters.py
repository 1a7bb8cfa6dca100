"""Placeholders and parameters from end to end: bound as values, and none too many or too few."""

import collections
import datetime
import decimal
import pathlib
import uuid

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import vercel_sql

T = "vercel.authentication.user_tokens"


@pytest.mark.parametrize(
    ("placeholder", "parameters"),
    [
        ("$x", {"x": "v"}),
        ("$X", {"x": "v"}),
        (":x", {"X": "v"}),
        ("?", ["v"]),
        ("?", ("v",)),
        ("$1", ["v"]),
        ("?1", ["v"]),
        ("'{{ x }}'", {"x": "v"}),
        ("{{ x }}", {"x": "v"}),
        ("{{x}}", {"x": "v"}),
    ],
)
def test_every_form_in_every_kind_of_statement(db, sent, placeholder, parameters):
    assert db.execute(f"SELECT {placeholder}", parameters).fetchall() == [("v",)]
    db.execute(f"INSERT INTO {T} (name) VALUES ({placeholder})", parameters)
    db.execute(f"DELETE FROM {T} WHERE id = {placeholder}", parameters)
    db.execute(f"DELETE FROM {T} WHERE name = {placeholder}", parameters)
    db.execute(f"EXEC {T}.email_login @email = {placeholder} || '@b.c'", parameters)
    assert [r.body for r in sent("POST")] == [{"name": "v"}, {"email": "v@b.c"}]
    assert sent("DELETE")[0].path == "/v3/user/tokens/v"
    assert len(sent("DELETE")) == 2


def test_the_same_name_in_every_clause(db, ids):
    cursor = db.execute(
        f"WITH l(id) AS (SELECT $id) DELETE FROM {T} AS t USING (SELECT $id AS id) u "
        "WHERE t.id = $id AND u.id IN (FROM l) RETURNING t.id = $id AS same",
        {"id": ids[0]},
    )
    assert cursor.fetchall() == [(True,)]


def test_numbers_count_through_the_whole_script(db):
    assert db.execute("SELECT ?; SELECT ?, ?", [1, 2, 3]).fetchall() == [(2, 3)]


def test_a_type_before_a_placeholder(db):
    row = db.execute("SELECT DATE '{{ d }}', INTERVAL '{{ n }}' DAY", {"d": "2030-01-01", "n": "2"})
    assert [str(value) for value in row.fetchone()] == ["2030-01-01", "2 days, 0:00:00"]


@pytest.mark.parametrize(
    ("script", "parameters", "words"),
    [
        ("SELECT $x", None, r"\$x"),
        ("SELECT $x", {}, r"\$x"),
        ("SELECT {{ x }}, $y", {"y": 1}, "{{ x }} has no value"),
        ("SELECT ?, ?", [1], "more values"),
        ("SELECT ?", [1, 2], "Value 2 of the 2"),
        ("SELECT $expires", {"expires": 1, "expriesAt": 2}, r"expriesAt.*Did you mean \$expires"),
        ("SELECT 1", {"x": 1}, "No placeholder uses the parameter x"),
        ("SELECT 1", [1], "used by no"),
        ("SELECT $x, ?", {"x": 1}, "by position or by name"),
        ("SELECT 'a {{ x }}'", {"x": 1}, "beside other text"),
        ("SELECT $x", {"x": 1, "X": 2}, "the same one"),
        ("SELECT $x", "one string", "not one string"),
    ],
)
def test_what_does_not_fit_is_found_before_anything_runs(db, sent, script, parameters, words):
    first = f"INSERT INTO {T} (name) VALUES ('a'); CREATE TABLE ran (i INT); "
    with pytest.raises(vercel_sql.ParameterError, match=words):
        db.execute(first + script, parameters)
    assert sent() == []
    assert db.execute("SELECT count(*) FROM duckdb_tables()").fetchone() == (0,)


def test_what_looks_like_a_placeholder_in_text_is_text(db):
    text = "'$x ? :y {z} {{ not-a-name }}'"
    assert db.execute(f"SELECT {text}").fetchone() == (text.strip("'"),)
    assert db.execute("SELECT {'a': 1}.a, [1, 2][1:1], 1::INT").fetchone() == (1, [1], 1)


def test_values_of_many_types_arrive_as_they_are(db):
    values = [None, True, 5, 2**70, 1.5, "it's", b"\0x", [1, 2], {"a": "b"}]
    row = db.execute(f"SELECT {', '.join('?' * len(values))}", values).fetchone()
    assert list(row) == values


MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("value", "bound"),
    [
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.float32(1.5), 1.5),
        (np.str_("a"), "a"),
        (np.datetime64("2026-01-02T03:04:05"), MOMENT),
        (np.datetime64("2026-01-02T03:04:05", "ns"), MOMENT),
        (np.datetime64("NaT"), None),
        (np.timedelta64(2, "s"), datetime.timedelta(seconds=2)),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array(["2026-01-02T03:04:05"], "datetime64[ns]"), [MOMENT]),
        (pd.NA, None),
        (pd.NaT, None),
        (pd.Timestamp(MOMENT), MOMENT),
        (pd.Timedelta(2, "s"), datetime.timedelta(seconds=2)),
        (pd.Series(["a", pd.NA], dtype="string"), ["a", None]),
        (pd.Series([MOMENT, None]), [MOMENT, None]),
        (pd.Index([1, 2]), [1, 2]),
        (pl.Series([1, None]), [1, None]),
        (pa.array([1, None]), [1, None]),
        (pa.chunked_array([[1], [2]]), [1, 2]),
        (pa.scalar(5), 5),
        ([np.int64(1), None], [1, None]),
        ({"a": np.int64(1), "b": [pd.NA]}, {"a": 1, "b": [None]}),
        ({7}, [7]),
        (frozenset([7]), [7]),
        (range(2), [0, 1]),
        ({"a": 1}.keys(), ["a"]),
        ({"a": 1}.values(), [1]),
        (collections.deque([1, 2]), [1, 2]),
        ((1, 2), [1, 2]),
        (memoryview(b"x"), b"x"),
        (decimal.Decimal("1.50"), decimal.Decimal("1.50")),
        (uuid.UUID(int=1), uuid.UUID(int=1)),
        (datetime.date(2026, 1, 2), datetime.date(2026, 1, 2)),
        (datetime.time(1, 2), datetime.time(1, 2)),
    ],
)
def test_values_of_libraries_arrive_by_place_and_by_name(db, value, bound):
    assert db.execute("SELECT ?, $2", [value, value]).fetchone() == (bound, bound)
    assert db.sql("SELECT $v, :v, {{ v }}", {"v": value}).fetchone() == (bound,) * 3


def test_a_column_chooses_tokens(db, ids):
    query = f"SELECT id FROM {T} WHERE id = ANY(?)"
    for column in (pd.Series(ids[:3]), pl.Series(ids[:3]), np.array(ids[:3]), set(ids[:3])):
        assert {row[0] for row in db.execute(query, [column]).fetchall()} == set(ids[:3])


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"a": [1]}),
        pl.DataFrame({"a": [1]}),
        pl.LazyFrame({"a": [1]}),
        pa.table({"a": [1]}),
    ],
)
def test_a_table_is_no_value_and_the_error_says_what_to_write(db, table):
    with pytest.raises(vercel_sql.ParameterError, match="Name it in the statement: FROM frame"):
        db.execute("FROM $frame", {"frame": table})


@pytest.mark.parametrize("value", [object(), 1 + 2j, pathlib.Path("x"), np.sum, pytest])
def test_what_has_no_value_is_named_by_its_type(db, value):
    words = f"'p' is a {type(value).__name__}, which can't be a value in SQL"
    with pytest.raises(vercel_sql.ParameterError, match=words):
        db.execute("SELECT $p", {"p": value})
    with pytest.raises(vercel_sql.ParameterError, match="which can't be a value"):
        db.execute("SELECT $p", {"p": [{"a": value}]})
