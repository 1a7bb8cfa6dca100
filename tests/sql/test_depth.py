"""However deep or long a statement is: it is read in one pass, and nothing overflows."""

import pytest

from vercel_sql.errors import SQLSyntaxError
from vercel_sql.sql import Parameters, check, parse

MANY = 20_000


def only(sql):
    (statement,) = parse(sql)
    return statement


def test_a_predicate_in_many_parentheses():
    statement = only(f"DELETE FROM t WHERE {'(' * MANY}id = 'a'{')' * MANY}")
    assert statement.constant_match().values == ("a",)
    assert statement.constant_equalities() == {"id": "a"}
    assert only(f"DELETE FROM t WHERE {'(' * MANY}").constant_match() is None
    assert only(f"DELETE FROM t WHERE {'()' * MANY}").constant_match() is None


@pytest.mark.parametrize(
    ("before", "after", "is_null"),
    [
        ("(", ")", True),
        ("", "::INT", True),
        ("CAST(", " AS INT)", False),  # too deep to be called a constant
        ("(", ")::INT", False),
        ("(", "", False),
    ],
)
def test_a_null_in_many_casts(before, after, is_null):
    statement = only(f"INSERT INTO t SELECT {before * MANY}NULL{after * MANY}")
    nulls = statement.literal_nulls()
    assert bool(nulls and nulls.at(0)) is is_null


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1;" * MANY,
        "/*" * MANY + "*/" * MANY + "SELECT 1",
        "SELECT " + "{{ a b }} ".join(["'"] * 2) * MANY,
        "EXEC a.b " + ", ".join(f"@a{n} = {{{{ v{n} }}}}" for n in range(MANY)),
        "EXEC a.b @@json = '{" + ",".join(f'"k{n}": "{{{{ v{n} }}}}"' for n in range(MANY)) + "}'",
        "INSERT INTO t VALUES " + ",".join(["(NULL, $x)"] * MANY),
        "EXPLAIN " * MANY + "DELETE FROM t WHERE id = 'a'",
        "SELECT " + "[" * MANY,
    ],
    ids=lambda sql: sql[:20],
)
def test_many_of_anything(sql):
    statements = parse(sql)
    names = {need.name for statement in statements for need in statement.needs()}
    check(statements, Parameters(dict.fromkeys(names, 1)))


def test_json_that_is_nested_too_deeply():
    with pytest.raises(SQLSyntaxError, match="nested too deeply"):
        parse(f"EXEC a.b @@json = '{'[' * MANY}{']' * MANY}'")
