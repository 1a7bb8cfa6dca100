"""A query in another database's dialect: the error says how DuckDB writes it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import vercel_sql


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("SELECT TOP 5 name FROM vercel.authentication.user_tokens", "LIMIT 5"),
        ("SELECT name FROM vercel.authentication.user_tokens LIMIT 5, 10", "LIMIT 10 OFFSET 5"),
        ("SELECT name FROM t WHERE name RLIKE '^a'", "REGEXP_MATCHES(name, '^a')"),
    ],
)
def test_the_error_says_how_duckdb_writes_it(db, query, hint):
    with pytest.raises(vercel_sql.ProgrammingError, match="Parser Error") as caught:
        db.execute(query)
    assert hint in str(caught.value).partition("DuckDB writes it so: ")[2]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 FROM",
        "SELEC 1",
        "DELETE FROM t LIMIT 1",
        "SELECT TOP 5 active FROM vercel.oauth.introspection WHERE token = 'aSecretOfSomebody'",
    ],
)
def test_no_hint_where_it_is_no_other_dialect_or_has_a_secret(db, query):
    with pytest.raises(vercel_sql.ProgrammingError) as caught:
        db.execute(query)
    assert "writes it so" not in str(caught.value)
    assert "aSecretOfSomebody" not in str(caught.value)


def test_sqlglot_is_loaded_for_nothing_else():
    script = """
import sys, vercel_sql
con = vercel_sql.connect("vcp_x" * 6)
con.execute("SHOW METHODS IN vercel.authentication.user_tokens").fetchall()
try:
    con.execute("SELECT nothing")
except vercel_sql.Error:
    pass
assert "sqlglot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=100)
