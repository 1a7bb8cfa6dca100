"""What DuckDB says of a statement, in plans and errors, holds no secret of the statement."""

from __future__ import annotations

import json

import pytest

import vercel_sql

INTROSPECTION = "vercel.oauth.introspection"
SECRET = "Zq7-Xw9-Kj4-Vb2-Ym6-Ht8-Pd1-Lf3-Rg5-Nc0-Qz7wX9kJ4vB2yM6hT8pD1"


def pieces_in(text):
    return [SECRET[at : at + 6] for at in range(len(SECRET) - 5) if SECRET[at : at + 6] in text]


@pytest.mark.parametrize(
    "explain",
    [
        "EXPLAIN",
        "EXPLAIN ANALYZE",
        "EXPLAIN (FORMAT JSON)",
        "EXPLAIN (ANALYZE, FORMAT JSON)",
        "EXPLAIN (FORMAT HTML)",
        "EXPLAIN (FORMAT GRAPHVIZ)",
    ],
)
@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        (f"SELECT active FROM {INTROSPECTION} WHERE token = '{SECRET}'", None),
        (f"SELECT active FROM {INTROSPECTION} WHERE token = $t", {"t": SECRET}),
        (f"SELECT active FROM {INTROSPECTION} WHERE token IN ('{SECRET}', 'other')", None),
    ],
)
def test_no_plan_shows_a_secret(db, explain, query, parameters):
    cursor = db.execute(f"{explain} {query}", parameters)
    assert [column[0] for column in cursor.description] == ["explain_key", "explain_value"]
    text = "\n".join(value for _, value in cursor.fetchall())
    assert "[secret]" in text
    assert pieces_in(text) == []


def test_a_masked_plan_in_json_stays_json(db):
    query = f"SELECT active FROM {INTROSPECTION} WHERE token = '{SECRET}'"
    ((_, text),) = db.execute(f"EXPLAIN (FORMAT JSON) {query}").fetchall()
    assert "[secret]" in json.dumps(json.loads(text))


def test_a_plan_without_secrets_is_as_it_was(db):
    import duckdb

    query = "EXPLAIN SELECT 42 AS answer"
    assert db.execute(query).fetchall() == duckdb.sql(query).fetchall()


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        (f"SELECT nix FROM {INTROSPECTION} WHERE token = '{SECRET}'", None),
        (
            f"SELECT active FROM {INTROSPECTION} WHERE token = '{SECRET}' AND {'1=1 AND ' * 9}nix",
            None,
        ),
        (
            f"SELECT active FROM {INTROSPECTION} WHERE {'1=1 AND ' * 5}token = '{SECRET}' AND nix",
            None,
        ),
        (f"SELECT active FROM {INTROSPECTION} WHERE token = '{SECRET}", None),
        (f"SELECT active FROM {INTROSPECTION} WHERE token = '{SECRET}'::INT::VARCHAR", None),
        (f"SELECT active FROM {INTROSPECTION} WHERE token = $t::INT::VARCHAR", {"t": SECRET}),
        (f"SELECT error(token) FROM {INTROSPECTION} WHERE token = '{SECRET}'", None),
        (f"INSERT INTO vercel.oauth.tokens (client_id, code, nix) SELECT 'a', '{SECRET}', 1", None),
        (f"DELETE FROM vercel.oauth.tokens WHERE token = '{SECRET}' AND nix = 1", None),
        (f"EXEC vercel.oauth.introspection.introspect_token @token = ('{SECRET}'::INT)", None),
        (f"EXEC vercel.oauth.introspection.introspect_token @tokn = '{SECRET}'", None),
        (
            f'EXEC vercel.oauth.introspection.introspect_token @@json = \'{{"token": "{SECRET}\'',
            None,
        ),
        (f"CREATE SECRET s (TYPE nix, TOKEN '{SECRET}')", None),
        (f"SET VARIABLE token = '{SECRET}' + nix", None),
    ],
)
def test_no_error_cites_a_secret_of_its_statement(db, statement, parameters):
    with pytest.raises(vercel_sql.Error) as caught:
        db.execute(statement, parameters).fetchall()
    error = caught.value
    told = f"{error} {error!r} {error.args} {error.__context__} {error.__cause__}"
    assert pieces_in(told) == []
