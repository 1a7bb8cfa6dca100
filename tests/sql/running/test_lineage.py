"""Which columns of a RETURNING are secret: those that are made from one, whatever they show."""

from __future__ import annotations

import pytest

from vercel_sql.sql.returning import secret_columns
from vercel_sql.sql.syntax_tree import selected

T = "vercel.authentication.user_tokens"


@pytest.mark.parametrize(
    ("clause", "secret"),
    [
        ("bearerToken, id", {"bearerToken"}),
        ("bearerToken AS made, name", {"made"}),
        ("bearerToken, upper(bearerToken) AS loud, id", {"bearerToken", "loud"}),
        ("bearerToken, reverse(BEARERTOKEN) AS back", {"bearerToken", "back"}),
        ("bearerToken, left(bearerToken, 1) AS first", {"bearerToken", "first"}),
        ("bearerToken, 'x' || substr(bearerToken, 2) AS tail", {"bearerToken", "tail"}),
        ("bearerToken AS t, md5(t) AS hash, id", {"t", "hash"}),
        ("bearerToken, {'deep': [bearerToken]} AS box", {"bearerToken", "box"}),
        ("bearerToken, (SELECT lower(bearerToken)) AS sub", {"bearerToken", "sub"}),
        ("bearerToken, user_tokens AS whole, user_tokens.id AS own", {"bearerToken", "whole"}),
        ("bearerToken, to_json(user_tokens) AS whole", {"bearerToken", "whole"}),
        ("bearerToken, bearerToken.upper() AS loud", {"bearerToken", "loud"}),
        ("loud: upper(bearerToken), bearerToken", {"loud", "bearerToken"}),
        (
            "bearerToken, list_transform([bearerToken], lambda x: x || 1) AS l",
            {"bearerToken", "l"},
        ),
        ("bearerToken, CASE WHEN id > '' THEN bearerToken END AS c", {"bearerToken", "c"}),
        ("bearerToken, $v || name AS n, length(name) AS l", {"bearerToken"}),
        ("*", {"bearerToken"}),
        ("user_tokens.*", {"bearerToken"}),
        ("COLUMNS('bearer.*|id')", {"bearerToken"}),
        ("* EXCLUDE (bearerToken), bearerToken AS made", {"made"}),
        ("bearerToken, * EXCLUDE (bearerToken, token)", {"bearerToken"}),
    ],
)
def test_what_is_made_from_a_secret_is_one(db, clause, secret):
    parameters = {"v": "a"} if "$v" in clause else None
    cursor = db.execute(f"INSERT INTO {T} (name) SELECT 'x' RETURNING {clause}", parameters)
    assert cursor.secret_columns == secret
    assert len(cursor.fetchall()) == 1


@pytest.mark.parametrize(
    "clause",
    [
        "bearerToken, upper(COLUMNS('bearer.*|id'))",
        "bearerToken, * REPLACE (reverse(bearerToken) AS name)",
        "bearerToken, COLUMNS('bearer.*') AS other",
    ],
)
def test_where_nobody_knows_all_are_secret(db, clause):
    cursor = db.execute(f"INSERT INTO {T} (name) SELECT 'x' RETURNING {clause}")
    assert cursor.secret_columns == {column[0] for column in cursor.description}


def test_a_clause_that_can_not_be_read():
    assert secret_columns(selected("a ??? b"), "t", ["one", "two"], {"s"}) == {"one", "two"}
    assert secret_columns(selected("a, b"), "t", ["one"], {"s"}) == {"one"}
