"""The fast way and the exact way of reading a page agree, whatever the JSON says."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vercel_sql.catalog import pages
from vercel_sql.catalog.rows import TableShape
from vercel_sql.errors import AnswerError, DataError
from vercel_sql.http.answers import Answer
from vercel_sql.http.events import STRICT
from vercel_sql.http.requests import build_request
from vercel_sql.manifest import vercel

RESOURCE = vercel().service("authentication").resources["user_tokens"]
SHAPE = TableShape(RESOURCE)
LISTER = RESOURCE.lister
COLUMNS = list(RESOURCE.public_columns)
KNOWN = [column for column in COLUMNS if column.source == "field"]
READ = pages.page_reader(SHAPE, LISTER)


def answer(body: bytes) -> Answer:
    return Answer(build_request(LISTER, {}), 200, {"content-type": "application/json"}, body)


def body_of(rows: list[str]) -> bytes:
    listing = f'{{"tokens":[{",".join(rows)}],"pagination":{{"count":{len(rows)},"next":null}}}}'
    return listing.encode()


def outcome(body: bytes, columns: list, exactly: bool, strict: bool = True):
    """The rows as Python values, or that they were refused, for what is in doubt where strict."""
    names = SHAPE.fields_needed(columns)
    want_rest = any(column.source == "rest" for column in columns)
    try:
        page = READ(answer(body))
        if exactly:
            rows = pages.rows_at(page.answer, LISTER.rows)
            fields = pages.exact_fields(SHAPE, page.answer, rows, names, want_rest)
        else:
            fields = pages.field_reader(SHAPE, LISTER, columns)(page)
        if strict:
            STRICT.tell(fields.doubts)
    except (AnswerError, DataError):
        return "refused"
    arrays = {name: array.to_pylist() for name, array in fields.arrays.items()}
    return arrays, None if fields.rest is None else fields.rest.to_pylist()


# JSON text rather than values, so that 1.0, 1e3 and keys that stand twice occur.

TEXT = st.one_of(st.text(max_size=6), st.sampled_from(["id", "tokens", "\x00", "next", '"id":']))
NUMBERS = st.one_of(
    st.integers(-(2**66), 2**66).map(str),
    st.sampled_from(["0", "-0", "1.0", "1.5", "1e3", "1E-1", "9007199254740993", "1e400", "2.50"]),
    st.sampled_from([str(2**63 - 1), str(2**63), str(-(2**63)), "01", "NaN", "Infinity", "+1"]),
)
SCALARS = st.one_of(
    st.sampled_from(["null", "true", "false"]),
    NUMBERS,
    TEXT.map(json.dumps),
    TEXT.map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from(['"\\ud800"', '"\\ud83d\\ude00"', '"\\u0069d"']),
)


def objects(values: dict, unknown: bool, twice: bool):
    """JSON objects of some keys; a key may stand twice, and others may be there."""
    pairs = [st.tuples(st.just(key), value) for key, value in values.items()]
    if unknown:
        pairs.append(st.tuples(st.sampled_from(["new", "", "ID", "odd key"]), VALUES))
    members = st.lists(st.one_of(pairs), max_size=6, unique_by=None if twice else lambda p: p[0])
    return members.map(_object)


def _object(members: list) -> str:
    return "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in members) + "}"


def lists(values):
    return st.lists(values, max_size=3).map(lambda parts: "[" + ",".join(parts) + "]")


VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        lists(inner),
        st.lists(st.tuples(TEXT, inner), max_size=3, unique_by=lambda p: p[0]).map(_object),
    ),
    max_leaves=5,
)
RIGHT_INTEGER = st.integers(-(2**63), 2**63 - 1).map(str)
RIGHT_TEXT = TEXT.map(json.dumps)


def tokens(*, odd: bool, unknown: bool, twice: bool):
    """Tokens as JSON text; ``odd`` ones may have any JSON in any field."""
    number = st.one_of(RIGHT_INTEGER, SCALARS) if odd else st.one_of(RIGHT_INTEGER, st.just("null"))
    text = st.one_of(RIGHT_TEXT, VALUES) if odd else st.one_of(RIGHT_TEXT, st.just("null"))
    sudo = objects({"origin": text, "expiresAt": number}, unknown, twice)
    sudo = st.one_of(sudo, st.just("null"))
    scope = objects({"type": text, "createdAt": number, "sudo": sudo}, unknown, twice)
    scopes = lists(st.one_of(scope, VALUES if odd else st.just("null")))
    fields = {"name": text, "expiresAt": number, "leakedAt": number, "scopes": scopes}
    if twice:
        fields["id"] = text
    token = objects(fields, unknown, twice)
    return st.tuples(RIGHT_TEXT, token).map(
        lambda pair: f'{{"id":{pair[0]}' + ("," if pair[1] != "{}" else "") + pair[1][1:]
    )


@given(st.lists(tokens(odd=False, unknown=False, twice=False), max_size=3))
def test_right_rows_are_read_the_same_way_and_never_refused(rows):
    body = body_of(rows)
    assert outcome(body, KNOWN, exactly=False) == outcome(body, KNOWN, exactly=True) != "refused"


@given(st.lists(tokens(odd=True, unknown=True, twice=True), max_size=3))
def test_all_columns_of_odd_rows_are_read_the_same_way_or_refused_by_both(rows):
    body = body_of(rows)
    for strict in (True, False):
        fast, exact = (outcome(body, COLUMNS, each, strict) for each in (False, True))
        assert fast == exact
    assert fast == "refused" or len(fast[1]) == len(rows), "a row is a row"


@given(
    st.lists(tokens(odd=True, unknown=True, twice=True), max_size=3),
    st.lists(st.sampled_from(KNOWN), max_size=3, unique_by=lambda column: column.name),
)
def test_some_columns_of_odd_rows_are_right_or_refused(rows, columns):
    """The exact way also looks at unknown fields; the fast way only at what was asked for."""
    body = body_of(rows)
    fast, exact = (outcome(body, columns, exactly) for exactly in (False, True))
    assert fast == exact or exact == "refused"
    if fast != "refused":
        for row, values in enumerate(zip(*fast[0].values(), strict=True)):
            assert _distinctly(rows[row], dict(zip(fast[0], values, strict=True)))


def _distinctly(row: str, values: dict) -> bool:
    """Whether none of the fields that were read stands twice in the row."""
    names = [name for name, _ in json.loads(row, object_pairs_hook=lambda pairs: pairs)]
    return all(names.count(name) <= 1 for name in values)


@pytest.mark.parametrize("columns", [KNOWN, COLUMNS, KNOWN[:1]], ids=["known", "all", "key"])
@pytest.mark.parametrize("raw", [b"\xff", b"\xed\xa0\x80", b"\xc3", b"\xc0\x80"])
def test_invalid_utf8_is_null(raw, columns):
    body = body_of(['{"id":"a","name":"?"}']).replace(b"?", raw)
    assert (outcome(body, columns, exactly=False) == "refused") == (columns != KNOWN[:1])
    arrays, rest = outcome(body, columns, exactly=False, strict=False)
    assert arrays["id"] == ["a"]
    assert arrays.get("name", [None]) == [None]
    spelled = "".join(f"\\\\x{byte:02x}" for byte in raw)
    assert rest in (None, [f'{{"name":"{spelled}"}}'])


@given(st.lists(tokens(odd=True, unknown=True, twice=True), max_size=3))
def test_a_list_and_a_get_decode_alike(rows):
    body = body_of(rows)
    listed = outcome(body, COLUMNS, exactly=False, strict=False)
    if listed == "refused":
        return
    for number, row in enumerate(rows):
        get = b'{"token":%b}' % row.encode()
        given = Answer(build_request(RESOURCE.getter, {"tokenId": "a"}), 200, {}, get)
        found = pages.rows_at(given, RESOURCE.getter.rows)
        names = SHAPE.fields_needed(COLUMNS)
        fields = pages.exact_fields(SHAPE, given, found, names, True)
        assert {n: a.to_pylist() for n, a in fields.arrays.items()} == {
            n: [values[number]] for n, values in listed[0].items()
        }
        assert fields.rest.to_pylist() == [listed[1][number]]


def test_a_large_number_of_digits_is_refused_where_it_is_shown():
    body = body_of(['{"id":"a","new":' + "9" * 5000 + "}"])
    assert outcome(body, COLUMNS, exactly=False) == "refused"
    assert outcome(body, KNOWN, exactly=False) != "refused"
