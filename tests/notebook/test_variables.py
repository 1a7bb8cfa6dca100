"""A notebook's variables in statements: bound as values, and read as tables."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

import vercel_sql

TABLE = "vercel.authentication.user_tokens"
DAY = datetime.datetime(2026, 1, 2, 3, 4, 5)


def test_a_variable_is_bound_as_a_value(run):
    values = [
        *("x", "it's; -- {{ other }}", 1, 1.5, True, None, decimal.Decimal("1.50"), DAY),
        *(DAY.date(), datetime.timedelta(days=2), [1, 2], ["a", None], b"\0x", {"a": 1}),
    ]
    query = "%vercel SELECT [$v, :v, {{ v }}, '{{ v }}', $V] AS a"
    for value in values:
        assert run(query, v=value).value.fetchall() == [([value] * 5,)]


def test_values_of_numpy_and_pandas_are_bound(run):
    for value, bound in [
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.float32(1.5), 1.5),
        (np.datetime64("2026-01-02T03:04:05", "us"), DAY),
        (np.array([1, 2]), [1, 2]),
        (pd.Series(["a", "b"]), ["a", "b"]),
        (pl.Series([1, 2]), [1, 2]),
        ({7}, [7]),
        ((1, 2), [1, 2]),
        (pd.Timestamp("2026-01-02 03:04:05"), DAY),
        (pd.NaT, None),
        (pd.NA, None),
    ]:
        assert run("%vercel SELECT $v AS a", v=value).value.fetchall() == [(bound,)]


def test_ipython_puts_nothing_into_the_text(run):
    assert run("%vercel SELECT '$v {v}' AS a", v="never").value.fetchall() == [("$v {v}",)]
    values = run("%vercel SELECT $$a$$ AS a, {'k': 1} AS b", a="never", k=2).value.fetchall()
    assert values == [("a", {"k": 1})]


def test_a_list_chooses_tokens(run, ids):
    rows = run(f"%vercel SELECT id FROM {TABLE} WHERE id = ANY($some)", some=ids[:3]).value
    assert {row[0] for row in rows.fetchall()} == set(ids[:3])


def test_what_has_no_value_is_named(run):
    ran = run("%vercel SELECT $nothere")
    assert isinstance(ran.error, vercel_sql.ParameterError)
    assert "$nothere" in ran.out
    ran = run("%vercel SELECT $run_ AS a", run_=run)
    assert "can't be a value" in ran.out
    ran = run("%vercel SELECT $frame AS a", frame=pd.DataFrame({"a": [1]}))
    assert "FROM frame" in ran.out


def test_two_variables_that_differ_in_case_only(run):
    run("a, A = 1, 2")
    assert run("%vercel SELECT $A AS x").value.fetchall() == [(2,)]
    assert run("%vercel SELECT $a AS x").value.fetchall() == [(1,)]


def test_a_placeholder_beside_other_text_is_refused(run):
    ran = run("%vercel SELECT 'dear {{ name }}' AS a", name="Ada")
    assert isinstance(ran.error, vercel_sql.ParameterError)
    assert "||" in ran.out
    assert run("%vercel SELECT 'dear {{ nobody }}' AS a").value.fetchall() == [
        ("dear {{ nobody }}",)
    ]


def test_the_notebooks_tables_are_read_by_name(run, ids):
    query = f"SELECT owner FROM owners JOIN {TABLE} USING (id) ORDER BY owner"
    makers = [pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.table, pa.RecordBatch.from_pydict]
    for make in makers:
        owners = make({"id": ids[:2], "owner": ["Ada", "Bob"]})
        assert run(f"%vercel {query}", owners=owners).value.fetchall() == [("Ada",), ("Bob",)]
        # Lent for the statement, and no longer.
        assert run("%vercel SELECT * FROM owners", owners=1).error is not None


def test_what_the_database_has_by_that_name_wins(run, ids):
    frame = pd.DataFrame({"id": ["mine"]})
    run("%vercel CREATE TABLE t AS SELECT 'database' AS id")
    assert run("%vercel FROM t", t=frame).value.fetchall() == [("database",)]
    assert run("%vercel WITH t AS (SELECT 'cte' AS id) FROM t", t=frame).value.fetchall() == [
        ("cte",)
    ]
    assert run("%vercel FROM user_tokens", user_tokens=frame).value.fetchall() == [("mine",)]
    run("%vercel USE vercel.authentication")
    assert len(run("%vercel FROM user_tokens").value) == 31
    assert run("%vercel FROM frame", frame=frame).value.fetchall() == [("mine",)]


def test_tables_go_back_after_an_error_too(run, sim):
    frame = pd.DataFrame({"id": ["mine"]})
    sim.faults(kind="status", status=403, method="GET", times=None)
    assert run(f"%vercel SELECT * FROM frame, {TABLE}", frame=frame).error is not None
    assert run("%vercel SELECT * FROM frame", frame=1).error is not None


def test_a_write_reads_them_as_well(run, sim):
    names = pd.DataFrame({"name": ["from a frame"]})
    assert (
        run(f"%vercel INSERT INTO {TABLE} (name) SELECT name FROM names", names=names).error is None
    )
    assert [token for token in sim.state.tokens() if token["name"] == "from a frame"]
