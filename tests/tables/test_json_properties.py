"""Any JSON that the API may send arrives exactly, or is a clear error: texts, through a door."""

from __future__ import annotations

import json
import re
from contextlib import suppress

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ..fuzz import reference

LIVE = "vercel.authentication.user_tokens"
PAGE = '{"tokens":[{"id":"a","name":%s,"new":%s}],"pagination":{"count":1,"next":null}}'

# Texts of JSON rather than values, so that 1.0, 1E2, escapes and keys that stand twice occur.
STRINGS = st.tuples(st.text(max_size=8), st.booleans()).map(
    lambda drawn: json.dumps(drawn[0], ensure_ascii=drawn[1])
)
NUMBERS = st.one_of(
    st.integers().map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?", fullmatch=True),
    st.sampled_from(["NaN", "Infinity", "-Infinity", "01", "1.", ".5", "1e9999999999999999999"]),
)
SCALARS = st.one_of(STRINGS, NUMBERS, st.sampled_from(["true", "false", "null", "nul", ""]))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda parts: f"[{','.join(parts)}]"),
        st.lists(st.tuples(STRINGS, inner), max_size=4).map(
            lambda members: "{" + ", ".join(f"{key}: {value}" for key, value in members) + "}"
        ),
    ),
    max_leaves=12,
)


def is_sound(body):
    """Whether there is exactly one way to read the body, by a reader of the tests' own."""
    try:
        return reference.is_plain(reference.load(body.encode("utf-8", "surrogatepass")))
    except (reference.NotExact, RecursionError):
        return False


@pytest.fixture
def strict(attached, sim):
    """A connection that makes errors of what can't be decoded."""
    return attached(sim, strict=True)


@given(st.one_of(STRINGS, VALUES), VALUES)
def test_json_is_exact_or_an_error_that_says_where(con, strict, sim, name, new):
    body = PAGE % (name, new)
    raw = body.encode("utf-8", "surrogatepass")
    sim.clear_faults()
    sim.faults(kind="body", body=raw, times=None)
    query = f"SELECT name, additional_fields FROM {LIVE}"
    sound = is_sound(body)
    if not sound or not (name == "null" or name.startswith('"')):
        with pytest.raises(duckdb.Error) as raised:
            strict.execute(query).fetchall()
        assert re.search(r"GET /v6/user/tokens|user_tokens: id a: ", str(raised.value))
        with suppress(duckdb.Error):
            ((got, rest),) = con.execute(query).fetchall()
            if not is_sound(f'{{"name":{name}}}') or not name.startswith(('"', "null")):
                assert got is None
                assert "name" in json.loads(rest)
        return
    ((got, rest),) = con.execute(query).fetchall()
    assert got == json.loads(name)
    sent = reference.load(new.encode())
    assert reference.leaves(reference.load(rest.encode())) == reference.leaves(
        reference.Object([("new", sent)])
    )


@given(STRINGS, VALUES)
def test_what_exec_gives_is_exact(db, sim, name, new):
    body = '{"tokens":[{"id":"a","name":%s,"new":%s}],"pagination":{"count":1,"next":null},"x":%s}'
    body = body % (name, new, new)
    if not is_sound(body):
        return
    sim.clear_faults()
    sim.faults(kind="body", body=body.encode(), times=None)
    row = db.execute(f"EXEC {LIVE}._list_auth_tokens").fetchone()
    columns = [column[0] for column in db.execute(f"EXEC {LIVE}._list_auth_tokens").description]
    rest = reference.load(dict(zip(columns, row, strict=True))["additional_fields"].encode())
    sent = reference.load(new.encode())
    assert reference.leaves(rest.member("x")) == reference.leaves(sent)
