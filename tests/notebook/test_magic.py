"""%vercel and %%vercel in IPython: what they give, show and save."""

from __future__ import annotations

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import vercel_sql
from vercel_sql.notebook import Rows

TABLE = "vercel.authentication.user_tokens"


def test_a_line_a_cell_and_an_assignment(run):
    assert run(f"%vercel SELECT count(*) FROM {TABLE}").value.fetchall() == [(31,)]
    cell = f"%%vercel\nSELECT id FROM {TABLE}\n-- a comment; with a semicolon\nWHERE name = 'x';\n"
    assert run(cell).value.fetchall() == []
    run("rows = %vercel SELECT 1 AS a; -- that is all")
    assert run("rows.fetchall()").value == [(1,)]


@pytest.mark.parametrize(
    ("kind", "type_"),
    [
        ("table", Rows),
        ("pandas", pd.DataFrame),
        ("polars", pl.DataFrame),
        ("arrow", pa.Table),
        ("relation", duckdb.DuckDBPyRelation),
    ],
)
def test_a_result_is_what_was_asked_for_and_can_be_named_again(run, kind, type_):
    ran = run(f"%vercel --as {kind} --save kept SELECT id, createdAt, scopes FROM {TABLE}")
    assert isinstance(ran.value, type_)
    assert run("kept").value is ran.value
    query = (
        f"SELECT count(*) FROM kept JOIN {TABLE} USING (id, createdAt) WHERE len(kept.scopes) > 0"
    )
    assert run(f"%vercel {query}").value.fetchall() == [(31,)]


def test_a_relation_requests_nothing_when_it_is_looked_at(run, sent):
    value = run(f"%vercel --as relation SELECT name FROM {TABLE}").value
    before = len(sent())
    assert len(value.fetchall()) == 31
    assert "name" in repr(value)
    assert len(sent()) == before


def test_the_kinds_agree(run):
    query = (
        "SELECT 1 AS a, 2 AS a, 12345678901234567890123::HUGEINT AS h, '[1]'::JSON AS j, NULL AS n,"
        " TIMESTAMPTZ '2026-01-02 03:04:05+00' AS t, {'x': [1.5]} AS s, 'é' AS e"
    )
    rows = run(f"%vercel {query}").value
    assert rows.columns == ["a", "a", "h", "j", "n", "t", "s", "e"]
    with vercel_sql.connect("vcp_notOfAnyAccountAtAll0001") as con:
        assert rows.df().equals(con.sql(query).df())
    assert [str(value) for value in rows.fetchall()[0][:4]] == [
        *("1", "2", "12345678901234567890123", "[1]")
    ]
    assert rows.arrow().num_rows == len(rows) == 1
    assert run("%vercel --as polars SELECT 1 AS a, [2] AS b").value.rows() == [(1, [2])]
    ran = run("%vercel --as polars SELECT 1 AS a, 2 AS a")
    assert "can't be converted to polars" in ran.out
    assert len(ran.out.splitlines()) == 1


def test_all_statements_of_a_cell_run_and_the_last_is_given(run, sent):
    ran = run("%%vercel --save kept\nSELECT 'one' AS a; SET VARIABLE x = 2;\nSELECT 3 AS b")
    assert [text for text in ran.shown if "one" in text] == ran.shown != []
    assert ran.value.fetchall() == run("kept").value.fetchall() == [(3,)]
    assert run("%vercel SELECT getvariable('x')").value.fetchall() == [(2,)]
    assert run("%vercel CREATE TABLE t (a INTEGER)").value is None
    assert not sent()


def test_quiet_shows_nothing_and_saves(run):
    ran = run("%%vercel --quiet --save kept --as arrow\nSELECT 1; SELECT 2 AS b")
    assert (ran.value, ran.shown, ran.out) == (None, [], "")
    assert run("kept").value.to_pylist() == [{"b": 2}]


def test_the_whole_dialect(run, ids, exists):
    shown = run(f"%vercel EXPLAIN DELETE FROM {TABLE} WHERE id = '{ids[0]}'").value
    assert "DELETE" in repr(shown)
    assert exists(ids[0])
    assert run(
        f"%vercel DELETE FROM {TABLE} WHERE id = '{ids[0]}' RETURNING id"
    ).value.fetchall() == [(ids[0],)]
    assert not exists(ids[0])
    assert run("%vercel SHOW SERVICES IN vercel").value.columns
    assert run(f"%vercel DESCRIBE {TABLE}").value.columns
    assert run(f"%vercel SUMMARIZE SELECT name FROM {TABLE}").value.columns


def test_how_many_writes_a_statement_may_send(run, ids, exists):
    three = f"DELETE FROM {TABLE} WHERE id IN ({', '.join(map(repr, ids[:3]))})"
    ran = run(f"%vercel --max-writes 2 {three}")
    assert isinstance(ran.error, vercel_sql.errors.TooManyWritesError)
    assert "3 writes, and max_writes allows 2" in ran.out
    assert "%vercel --max-writes N" in ran.out
    assert all(map(exists, ids[:3]))
    # It is for that cell alone.
    assert run(f"%vercel {three}").value.fetchall() == [(3,)]
    assert "--max-writes takes an integer" in run("%vercel --max-writes some SELECT 1").out


def test_how_long_a_statement_may_wait(run, sent):
    forty = f"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range(40) t(i)"
    ran = run(f"%vercel --max-wait 60 {forty}")
    assert isinstance(ran.error, vercel_sql.errors.WaitTooLongError)
    assert "max_wait allows 60 s. Nothing was sent (here: %vercel --max-wait SECONDS)" in ran.out
    assert sent("POST") == []
    assert "--max-wait takes an integer" in run("%vercel --max-wait some SELECT 1").out


def test_a_deletion_that_fails_in_the_middle_shows_what_is_gone(run, sim, ids, exists):
    sim.faults(kind="status", status=403, method="DELETE", after=12)
    ran = run(f"%vercel DELETE FROM {TABLE} WHERE id IN (SELECT unnest($wanted))", wanted=ids)
    assert isinstance(ran.error, vercel_sql.PartialWriteError)
    gone = [id_ for id_ in ids if not exists(id_)]
    assert run("_vercel_1.df().id.tolist()").value == gone == list(ran.error.done)
    assert f"{len(gone)} of 30 were carried out; their rows are in _vercel_1" in ran.out
    assert f"Not started: {len(ran.error.not_started)} (" in ran.out


def test_it_says_which_account_is_used(run, sim):
    out = run("%vercel").out
    assert out == f"ada-example (ada@example.com) at {sim.url}, by VERCEL_TOKEN\n"
    assert sim.token not in out


def test_another_connection_is_used_from_now_on(run, simulate):
    other = simulate(3)
    con = vercel_sql.connect(other.token, api_url=other.url)
    assert run("%vercel --connection con", con=con).error is None
    assert run(f"%vercel SELECT count(*) FROM {TABLE}").value.fetchall() == [(4,)]
    for text, value in (("doesn't exist", None), ("is a DuckDBPyConnection", con.duckdb)):
        variables = {} if value is None else {"nope": value}
        ran = run("%vercel --connection nope SELECT 1", **variables)
        assert isinstance(ran.error, vercel_sql.InterfaceError)
        assert text in ran.out
    con.close()


def test_without_a_token_it_says_what_to_do(run, monkeypatch):
    monkeypatch.delenv("VERCEL_TOKEN")
    ran = run(f"%vercel SELECT * FROM {TABLE}")
    assert isinstance(ran.error, vercel_sql.MissingTokenError)
    assert "VERCEL_TOKEN" in ran.out
    assert "%vercel --connection" in ran.out
    assert run("%vercel SELECT 1 AS a").value.fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--sav x SELECT 1", "Did you mean --save?"),
        ("--as excel SELECT 1", "--as takes table, relation, pandas, polars or arrow"),
        ("--save 1x SELECT 1", "--save takes the name of a variable"),
        ("--save", "--save takes the name of a variable"),
        ("--quiet=yes SELECT 1", "--quiet takes no value"),
        ("SELECT 1 --save x", "options come before the SQL"),
        ("--save x", "there is no statement"),
        ("--save x CREATE TABLE t (a INTEGER)", "it ran, but returned no rows to save as x"),
        ("SELECT 1 --save=x", "options come before the SQL"),
    ],
)
def test_wrong_use_is_one_line(run, line, said):
    ran = run(f"%vercel {line}")
    assert isinstance(ran.error, vercel_sql.InterfaceError)
    assert said in ran.out
    assert len(ran.out.splitlines()) == 1


def test_a_comment_is_no_option(run):
    assert run("%vercel -- a comment").error is not None
    assert run("%%vercel -- a comment\n--save x\nSELECT 1 AS a").value.fetchall() == [(1,)]
    assert run("%vercel SELECT '--save x' AS a").value.fetchall() == [("--save x",)]
    assert run("%%vercel --as=arrow\nSELECT ' --save x' AS a").value.to_pylist() == [
        {"a": " --save x"}
    ]


def test_errors_are_short_and_stay_what_they_are(run, sim):
    sim.faults(kind="status", status=403, method="GET", times=None)
    ran = run(f"%%vercel\nSELECT 1;\nSELECT * FROM {TABLE}")
    assert isinstance(ran.error, vercel_sql.APIError)
    assert ran.error.status == 403
    assert ran.out.startswith("ForbiddenError: in the statement at 3:1: ")
    assert len(ran.out.splitlines()) == 1
    ran = run("%vercel SELECT nothere")
    assert isinstance(ran.error, vercel_sql.ProgrammingError)
    for python in ("Traceback", ".py"):
        assert python not in ran.out


def test_importing_the_package_does_not_import_ipython(python):
    modules = python(
        "import sys, vercel_sql; print([m for m in ('IPython', 'duckdb') if m in sys.modules])"
    )
    assert modules == "[]\n"


def test_what_cant_be_read_is_null_and_an_error_where_it_is_strict(run, sim):
    token = sim.state.tokens()[3]
    token.plant("name", b'"\\ud83d"')
    query = f"SELECT name FROM {TABLE} WHERE id = '{token.id}'"
    with pytest.warns(vercel_sql.DataWarning, match=f"id {token.id}: name"):
        assert run(f"%vercel {query}").value.fetchall() == [(None,)]
    ran = run(f"%vercel --strict {query}")
    assert isinstance(ran.error, vercel_sql.DataError)
    assert run(f"%vercel {query}").error is None, "it is for that cell alone"
