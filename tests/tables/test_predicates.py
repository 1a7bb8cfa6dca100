"""Pushed predicates: read back as trees, and the keys that they leave possible."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vercel_sql.catalog.predicates import Call, Field, Literal, candidates, parse_expression

LIVE = "vercel.authentication.user_tokens"
A, B = pc.field("a"), pc.field("b")
NULL = pa.scalar(None, pa.bool_())


def possible(expression: pc.Expression, column: str = "a"):
    found = candidates(parse_expression(expression), column)
    return found if found is None else set(found)


@pytest.mark.parametrize(
    ("expression", "tree"),
    [
        (A == "x", Call("equal", (Field("a"), Literal("x")), {})),
        (pc.field("a", "b") == 1, Call("equal", (Field("a", ("b",)), Literal(1)), {})),
        (A & ~B, Call("and_kleene", (Field("a"), Call("invert", (Field("b"),), {})), {})),
        (pc.scalar(True), Literal(True)),
        (pc.field("it's: 'odd'") == "", Call("equal", (Field("it's: 'odd'"), Literal("")), {})),
        (A == "two\nlines: 'x'", Call("equal", (Field("a"), Literal("two\nlines: 'x'")), {})),
    ],
)
def test_an_expression_is_read_back(expression, tree):
    assert parse_expression(expression) == tree


@pytest.mark.parametrize(
    ("expression", "keys"),
    [
        (A == "x", {"x"}),
        (pa.scalar(None, pa.string()) == A, set()),
        (A.isin(["x", "y"]), {"x", "y"}),
        (A.isin(["x", None]), None),
        (pc.if_else(A.is_valid(), A.isin(["x"]), NULL), {"x"}),
        ((A == "x") | (A == "y"), {"x", "y"}),
        ((A == "x") & (A == "y"), set()),
        ((A == "x") & (B == "y"), {"x"}),
        (A.isin(["x", "y"]) & (A != "x"), {"x", "y"}),
        ((A >= "x") & (A <= "x"), {"x"}),
        ((A >= "x") & (A <= "x") & (B == "z"), {"x"}),
        ((A == "x") | (B == "y"), None),
        ((A >= "x") & (A <= "y"), None),
        ((A > "x") & (A < "x"), None),
        (~(A == "x"), None),
        (~(A != "x"), None),
        (A != "x", None),
        (B == "x", None),
        (A.is_null(), None),
        (A.cast(pa.int64()) == 5, None),
        (pc.field("a", "inner") == "x", None),
        (pc.if_else(B == "q", A == "x", True), None),
        (pc.if_else(B == "q", True, NULL), None),
        (pc.coalesce(A == "x", True), None),
        (pc.field("line\nbreak") == "x", None),
        (pc.scalar(True), None),
    ],
)
def test_the_keys_that_a_predicate_leaves(expression, keys):
    assert possible(expression) == keys


@pytest.mark.parametrize(
    ("where", "keys"),
    [
        ("id = 'x'", {"x"}),
        ("'x' = id", {"x"}),
        ("id IN ('x', 'y')", {"x", "y"}),
        ("id = 'x' AND name LIKE 'a%'", {"x"}),
        ("id IN ('x', 'y') AND expiresAt IS NOT NULL", {"x", "y"}),
        ("id >= 'x' AND id <= 'x'", {"x"}),
        ("id LIKE 'x'", {"x"}),
        ("id > 'x'", None),
        ("id LIKE 'x%'", None),
        ("id = 'x' OR name = 'y'", None),
        ("name = 'x'", None),
    ],
)
def test_what_duckdb_pushes_is_understood(con, scans, where, keys):
    con.execute(f"SELECT name FROM {LIVE} WHERE {where}").fetchall()
    (pushed,) = scans
    assert pushed is None or parse_expression(pushed) is not None
    found = None if pushed is None else possible(pushed, "authentication.user_tokens.id")
    assert found == keys


@pytest.mark.parametrize("join", ["JOIN", "SEMI JOIN"])
def test_a_join_with_one_key_gives_its_row(con, sim, join):
    wanted = sim.state.tokens()[4].id
    con.execute("CREATE TABLE one AS SELECT ? AS token_id", [wanted])
    query = f"SELECT id FROM {LIVE} t {join} one ON one.token_id = t.id"
    assert con.execute(query).fetchall() == [(wanted,)]


# Soundness: a row for which the predicate is true has its key among the candidates.

TEXTS = st.sampled_from(["", "x", "y", "z", "it's", "current", None])
SETS = st.lists(TEXTS, max_size=3)


def _leaf(column: pc.Expression) -> st.SearchStrategy[pc.Expression]:
    text = TEXTS.map(lambda value: pa.scalar(value, pa.string()))
    return st.one_of(
        text.map(lambda value: column == value),
        text.map(lambda value: column != value),
        text.map(lambda value: column >= value),
        text.map(lambda value: column <= value),
        text.map(lambda value: column > value),
        SETS.map(lambda values: column.isin(pa.array(values, pa.string()))),
        st.just(column.is_null()),
        st.just(column.is_valid()),
    )


def _inner(children: st.SearchStrategy[pc.Expression]) -> st.SearchStrategy[pc.Expression]:
    return st.one_of(
        st.tuples(children, children).map(lambda pair: pair[0] & pair[1]),
        st.tuples(children, children).map(lambda pair: pair[0] | pair[1]),
        children.map(lambda child: ~child),
        children.map(lambda child: pc.if_else(A.is_valid(), child, NULL)),
        children.map(lambda child: pc.if_else(B.is_valid(), NULL, child)),
        st.tuples(children, children).map(lambda pair: pc.coalesce(*pair)),
    )


LEAVES = st.one_of(_leaf(A), _leaf(B))
SHALLOW = _inner(LEAVES)
PREDICATES = st.one_of(LEAVES, SHALLOW, _inner(SHALLOW), st.recursive(LEAVES, _inner))
ROWS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=12)


@given(PREDICATES, ROWS)
def test_no_row_is_lost(predicate, rows):
    columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    batch = pa.RecordBatch.from_arrays(columns, names=["a", "b"])
    kept = batch.filter(predicate).to_pylist()
    for name in ("a", "b"):
        keys = possible(predicate, name)
        assert keys is None or {row[name] for row in kept} <= keys
