"""The judge before any text at all: it passes or is refused, soon, and as DuckDB reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vercel_sql.server.judge import Judge, Refusal

# --- names of CTEs: what the judge takes for a CTE must be one for DuckDB

NAMES = st.sampled_from(["hidden", "Hidden", "other"])


def nested(queries: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    ctes = st.tuples(NAMES, st.sampled_from(["", "MATERIALIZED"]), queries).map(
        lambda p: f"{p[0]}(m) AS {p[1]} ({p[2]})"
    )
    recursive = st.tuples(NAMES, queries, st.sampled_from(["UNION", "UNION ALL"]), queries).map(
        lambda p: f"{p[0]}(m) AS (({p[1]}) {p[2]} ({p[3]}))"
    )
    keyed = st.tuples(NAMES, queries, queries).map(
        lambda p: f"{p[0]}(m) USING KEY (m) AS (({p[1]}) UNION ({p[2]}))"
    )
    with_clause = st.one_of(
        st.lists(ctes, min_size=1, max_size=2).map(lambda c: "WITH " + ", ".join(c)),
        st.lists(recursive | keyed | ctes, min_size=1, max_size=2).map(
            lambda c: "WITH RECURSIVE " + ", ".join(c)
        ),
    )
    return st.one_of(
        st.tuples(with_clause, queries).map(" ".join),
        st.tuples(queries, queries).map(lambda p: f"({p[0]}) UNION ALL ({p[1]})"),
        queries.map(lambda q: f"SELECT m FROM ({q}) AS t(m)"),
        queries.map(lambda q: f"SELECT 'x' AS m WHERE EXISTS ({q})"),
        st.tuples(queries, queries).map(
            lambda p: f"SELECT (SELECT m FROM ({p[0]}) AS t(m) LIMIT 1) AS m FROM ({p[1]}) AS u"
        ),
        st.tuples(queries, queries).map(
            lambda p: f"SELECT v.m FROM ({p[0]}) AS u(m), LATERAL ({p[1]}) AS v(m)"
        ),
    )


QUERIES = st.recursive(
    NAMES.map(lambda name: f"SELECT m FROM {name}") | st.just("SELECT 'x' AS m"),
    nested,
    max_leaves=6,
)


@pytest.fixture(scope="module")
def hiding() -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB with tables that clients may not read."""
    with duckdb.connect() as con:
        for name in ("hidden", "other"):
            con.execute(f"CREATE TABLE {name} AS SELECT 'hidden' AS m")
        yield con


@given(text=QUERIES)
@example(
    "WITH RECURSIVE hidden(m) AS (SELECT m FROM hidden UNION SELECT m FROM hidden) FROM hidden"
)
@example("WITH hidden(m) AS (SELECT 'x') SELECT * FROM (WITH hidden AS (FROM hidden) FROM hidden)")
def test_a_cte_is_seen_no_further_than_duckdb_sees_it(
    judge: Judge, hiding: duckdb.DuckDBPyConnection, text: str
) -> None:
    try:
        judge.check(text)
    except Refusal:
        return
    try:
        plan = hiding.execute(f"EXPLAIN (FORMAT json) {text}").fetchall()
    except duckdb.Error:
        return
    assert not re.search(r"SEQ_SCAN|Table:", str(plan), re.IGNORECASE)


# --- any text at all

_WORDS = """SELECT FROM WITH AS ( ) [ ] { } , ; . :: -> ->> ' " $$ /* */ -- * 1 a 'a' "a" read_text
authentication.user_tokens JOIN ON WHERE UNION ALL VALUES PIVOT UNPIVOT DESCRIBE SUMMARIZE SHOW
CASE WHEN THEN END NOT NULL IN LATERAL RECURSIVE range(1) count(*) OVER x: lambda EXPLAIN COPY SET
CALL ORDER BY LIMIT GROUP USING KEY := => = E' U&' \\ """
WORDS = [*_WORDS.split(), "\0", "\n", "\ufeff", "\u200b", "\u00a0", "\u212a", "\U0001f680"]
TEXTS = st.text(max_size=200) | st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join)


@given(TEXTS)
@example("\ud800")
@example("SELECT '\ud800'")
def test_any_text_passes_or_is_refused(judge: Judge, text: str) -> None:
    with suppress(Refusal):
        judge.check(text)


DEEP = {
    "parentheses": ("SELECT ", "(", "1", ")"),
    "NOT": ("SELECT ", "NOT ", "true", ""),
    "minus": ("SELECT ", "- ", "1", ""),
    "lists": ("SELECT ", "[", "1", "]"),
    "structs": ("SELECT ", "{a:", "1", "}"),
    "plus": ("SELECT ", "1+", "1", ""),
    "AND": ("SELECT a ", "AND a ", "", ""),
    "AND and OR": ("SELECT a ", "AND b OR a ", "", ""),
    "subqueries": ("SELECT ", "(SELECT ", "1", ")"),
    "FROM": ("SELECT * FROM ", "(FROM ", "x", ")"),
    "tables": ("SELECT * FROM x", ",x", "", ""),
    "joins": ("SELECT * FROM ", "(", "x", " JOIN x USING(a))"),
    "casts": ("SELECT 1", "::INT", "", ""),
    "UNION": ("SELECT 1", " UNION ALL SELECT 1", "", ""),
    "UNION in parentheses": ("", "(", "SELECT 1", " UNION ALL SELECT 1)"),
    "arrows": ("SELECT a", "->'b'", "", ""),
    "calls": ("SELECT a", ".f()", "", ""),
    "dots": ("SELECT a", ".b", "", ""),
    "indexes": ("SELECT a", "[1]", "", ""),
    "list types": ("SELECT a::INT", "[]", "", ""),
    "struct types": ("SELECT a::", "STRUCT(a ", "INT", ")"),
    "CASE": ("SELECT ", "CASE WHEN a THEN ", "1", " END"),
    "functions": ("SELECT ", "abs(", "1", ")"),
    "collations": ("SELECT a", " COLLATE b", "", ""),
    "WITH": ("", "WITH a AS (", "SELECT 1", ") SELECT 1"),
    "lambdas": ("SELECT ", "f(x -> ", "1", ")"),
    "EXPLAIN": ("", "EXPLAIN ", "SELECT 1", ""),
    "comments": ("", "/*", "", "*/"),
    "IS NULL": ("SELECT a", " IS NULL", "", ""),
    "BETWEEN": ("SELECT ", "a BETWEEN 1 AND ", "1", ""),
    "windows": ("SELECT ", "sum(", "1", ") OVER ()"),
    "statements": ("", "SELECT 1;", "", ""),
    "what opens": ("SELECT ", "(", "", ""),
    "brackets that open": ("", "[", "", ""),
    "brackets that strings seem to close": ("SELECT ", "(')))',", "1", ""),
    "PIVOT": ("FROM ", "(", "x", ") PIVOT (sum(a) FOR b IN (1))"),
    "time zones": ("SELECT a", " AT TIME ZONE 'x'", "", ""),
    "factorials": ("SELECT a", "!", "", ""),
    "intervals": ("SELECT ", "INTERVAL (", "1", ") DAY"),
    "DESCRIBE": ("FROM ", "(DESCRIBE ", "SELECT 1", ")"),
}


@pytest.mark.parametrize("length", [2_000, 20_000, 99_000, 2_000_000])
@pytest.mark.parametrize("name", DEEP)
def test_a_long_or_deep_text_is_judged_in_time(judge: Judge, name: str, length: int) -> None:
    before, opens, middle, closes = DEEP[name]
    times = (length - len(before) - len(middle)) // (len(opens) + len(closes))
    with suppress(Refusal):
        judge.check(f"{before}{opens * times}{middle}{closes * times}")
