"""However deep or long a statement is: it is read in one pass, and nothing overflows."""

import pytest

from vercel_sql.errors import SQLSyntaxError
from vercel_sql.sql import Parameters, check, parse

MANY = 20_000


def only(sql):
    (statement,) = parse(sql)
    return statement


def test_a_predicate_in_many_parentheses():
    statement = only(f"DELETE FROM t WHERE {'(' * 200}id = 'a'{')' * 200}")
    assert statement.constant_match().values == ("a",)
    assert statement.constant_equalities() == {"id": "a"}
    # Deeper ones are for DuckDB to read, which has a limit of its own.
    deeper = only(f"DELETE FROM t WHERE {'(' * MANY}id = 'a'{')' * MANY}")
    assert deeper.constant_match() is None
    assert deeper.constant_equalities() is None
    assert only(f"DELETE FROM t WHERE {'(' * MANY}").constant_match() is None
    assert only(f"DELETE FROM t WHERE {'()' * MANY}").constant_match() is None


@pytest.mark.parametrize(
    ("before", "after", "is_null"),
    [("(", ")", True), ("", "::INT", True), ("CAST(", " AS INT)", True), ("(", "", False)],
)
def test_a_null_in_many_casts(before, after, is_null):
    def is_called_null(times):
        statement = only(f"INSERT INTO t SELECT {before * times}NULL{after * times}")
        nulls = statement.literal_nulls()
        return bool(nulls and nulls.at(0))

    assert is_called_null(150) is is_null
    assert not is_called_null(MANY)


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
