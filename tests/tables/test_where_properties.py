"""A WHERE clause with any value, written or bound, gives the rows of a plain copy."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vercel_sql

LIVE = "vercel.authentication.user_tokens"
T0 = 1_700_000_000_000
NAMES = [
    "ci",
    "CI",
    "it's",
    "",
    " ",
    "日本",
    "a\x00b",
    "50%",
    "a_b",
    "\\",
    "{{ x }}",
    "\U0001f600",
    None,
]

TEXTS = st.one_of(
    st.sampled_from([name for name in NAMES if name is not None]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.sampled_from(["current", "tok-3", "tok-4", "nobody", "tok_3", "%"]),
)
NUMBERS = st.one_of(
    st.integers(T0 - 3, T0 + 16),
    st.integers(-(2**65), 2**65),
    st.floats(),
    st.sampled_from([Decimal(T0) + Decimal("0.5"), Decimal(T0), True, None, float(T0)]),
)
VALUES = st.one_of(TEXTS, NUMBERS, st.just(datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)))
FORMS = st.sampled_from(
    [
        "{c} = $a", "{c} <> $a", "{c} < $a", "{c} >= $a", "$a = {c}", "NOT ({c} = $a)",
        "{c} IN ($a, $b)", "{c} NOT IN ($a, $b)", "{c} BETWEEN $a AND $b",
        "{c} IS DISTINCT FROM $a",
        "{c} = $a OR {c} = $b", "{c} = $a AND {d} = $b", "{c} LIKE $a", "{c} = $a OR {d} IS NULL",
        "coalesce({c}, $b) = $a", "{c} = ANY (SELECT $a)", "({c}, {d}) = ($a, $b)",
        "CASE WHEN {c} = $a THEN {d} = $b END",
    ]
)  # fmt: skip
COLUMNS = st.sampled_from(["id", "tokenId", "name", "createdAt", "expiresAt", "token.name"])


@pytest.fixture
def tables(db, sim):
    """A connection with a few odd tokens, and a plain copy of them as `plain`."""
    for n, name in enumerate(NAMES):
        expires = None if n % 3 else T0 + n
        fields = {"id": f"tok-{n}", "name": name, "createdAt": T0 + n, "expiresAt": expires}
        sim.state.add_token(fields)
    sim.state.touch = lambda token: None
    db.execute(f"CREATE TABLE plain AS SELECT * FROM {LIVE}")
    return db


def rows(db, table, where, parameters):
    """The rows, or the kind of error that DuckDB has for the clause."""
    asked = {name: value for name, value in parameters.items() if f"${name}" in where}
    query = f"SELECT t.id, t.name, t.createdAt FROM {table} t WHERE {where} ORDER BY ALL"
    try:
        return db.execute(query, asked).fetchall()
    except vercel_sql.Error as error:
        return type(error)


def literal(value):
    """A value as SQL, or None where it is not as easily written."""
    if isinstance(value, str):
        return None if "\x00" in value or "{{" in value else "'" + value.replace("'", "''") + "'"
    return str(value) if isinstance(value, int | Decimal) else None


@given(FORMS, COLUMNS, COLUMNS, VALUES, VALUES)
def test_rows_are_those_of_a_plain_copy(tables, form, column, other, a, b):
    where = form.format(c=f"t.{column}", d=f"t.{other}")
    if "current" in (a, b) and "tokenId" in (column, other):
        return  # which stands for the calling token: what it gives is no column's value
    expected = rows(tables, "plain", where, {"a": a, "b": b})
    assert rows(tables, LIVE, where, {"a": a, "b": b}) == expected
    written = literal(a), literal(b)
    if None not in written:
        where = where.replace("$a", written[0]).replace("$b", written[1])
        assert rows(tables, LIVE, where, {}) == rows(tables, "plain", where, {})
