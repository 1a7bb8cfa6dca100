"""SHOW, DESCRIBE and EXPLAIN: which are ours and which DuckDB's."""

import pytest

from vercel_sql.errors import SQLSyntaxError
from vercel_sql.sql import Delete, Describe, Exec, Explain, Insert, Native, Show, parse


@pytest.mark.parametrize(
    ("sql", "kind", "name", "extended"),
    [
        ("SHOW SERVICES IN vercel", "services", ("vercel",), False),
        (
            "show resources in vercel.authentication",
            "resources",
            ("vercel", "authentication"),
            False,
        ),
        ("SHOW METHODS IN v.a.t", "methods", ("v", "a", "t"), False),
        ("SHOW EXTENDED METHODS IN v.a.t", "methods", ("v", "a", "t"), True),
        ('SHOW INSERT INTO v."A".t', "insert_into", ("v", "A", "t"), False),
    ],
)
def test_show(sql, kind, name, extended):
    (statement,) = parse(sql)
    assert isinstance(statement, Show)
    assert (statement.kind, statement.name.parts, statement.extended) == (kind, name, extended)


@pytest.mark.parametrize("sql", ["SHOW METHODS IN", "SHOW SERVICES IN a b", "SHOW INSERT INTO 'a'"])
def test_a_show_of_ours_that_is_malformed(sql):
    with pytest.raises(SQLSyntaxError, match="Expected"):
        parse(sql)


@pytest.mark.parametrize(
    ("sql", "name", "extended", "method"),
    [
        ("DESCRIBE v.a.t", ("v", "a", "t"), False, False),
        ("DESC EXTENDED v.a.t", ("v", "a", "t"), True, False),
        ("DESCRIBE METHOD v.a.t.m", ("v", "a", "t", "m"), False, True),
        ("DESCRIBE EXTENDED METHOD v.m", ("v", "m"), True, True),
        ("DESCRIBE extended", ("extended",), False, False),
        ("DESCRIBE method", ("method",), False, False),
        ("DESCRIBE method.x", ("method", "x"), False, False),
        ("DESCRIBE EXTENDED method", ("method",), True, False),
        ("DESCRIBE EXTENDED method.x", ("method", "x"), True, False),
    ],
)
def test_describe(sql, name, extended, method):
    (statement,) = parse(sql)
    assert isinstance(statement, Describe)
    found = (statement.name.parts, statement.extended, statement.method)
    assert found == (name, extended, method)


@pytest.mark.parametrize(
    "sql",
    [
        "SHOW TABLES",
        "SHOW services",
        "SHOW ALL TABLES",
        "SHOW",
        "SHOW methods.x",
        "DESCRIBE",
        "DESCRIBE SELECT 1",
        "DESCRIBE 'x.csv'",
        "DESCRIBE TABLE x y",
        "EXPLAIN",
    ],
)
def test_the_rest_is_duckdbs(sql):
    (statement,) = parse(sql)
    assert isinstance(statement, Native)


@pytest.mark.parametrize(
    ("sql", "inner", "options", "analyze"),
    [
        ("EXPLAIN SELECT 1", Native, "", False),
        ("EXPLAIN (SELECT 1)", Native, "", False),
        ("EXPLAIN (FROM x) UNION FROM y", Native, "", False),
        ("EXPLAIN ANALYZE DELETE FROM t", Delete, "", True),
        ("EXPLAIN (FORMAT JSON) INSERT INTO t VALUES (1)", Insert, "(FORMAT JSON)", False),
        ("EXPLAIN (ANALYZE, FORMAT JSON) EXEC a.b", Exec, "(ANALYZE, FORMAT JSON)", True),
        ("EXPLAIN ANALYZE (FORMAT JSON) EXEC a.b @x = 1", Exec, "(FORMAT JSON)", True),
        ("EXPLAIN WITH a AS (SELECT 1) DELETE FROM t", Delete, "", False),
        ("EXPLAIN EXPLAIN SELECT 1", Native, "", False),
    ],
)
def test_explain(sql, inner, options, analyze):
    (statement,) = parse(sql)
    assert isinstance(statement, Explain)
    assert type(statement.inner) is inner
    assert (statement.options_text, statement.analyze) == (options, analyze)
    assert sql.endswith(statement.inner.text)


def test_explain_asks_for_what_its_statement_asks_for():
    (statement,) = parse("EXPLAIN EXEC a.b @x = '{{ x }}'")
    assert [(need.name, need.optional) for need in statement.needs()] == [("x", True)]
