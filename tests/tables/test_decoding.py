"""Vercel's JSON as columns: a value is exactly what was sent, or an error that names it."""

from __future__ import annotations

import json

import duckdb
import pytest

import vercel_sql

LIVE = "vercel.authentication.user_tokens"
LIST = "/v6/user/tokens"
PAGE = '{"tokens":[%s],"pagination":{"count":%d,"next":null,"prev":1}}'


def answer(sim, *rows: str) -> None:
    """Lets the next listing give these rows, each as JSON text."""
    sim.faults(kind="body", path=LIST, body=PAGE % (",".join(rows), len(rows)), times=None)


@pytest.fixture
def strict(attached, sim):
    """A connection that makes errors of what can't be decoded."""
    return attached(sim, strict=True)


def one(con, expression: str):
    return con.execute(f"SELECT {expression} FROM {LIVE}").fetchone()[0]


# Integers


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("1", 1),
        ("0", 0),
        ("-0", 0),
        ("1.0", 1),
        ("0e22", 0),
        ("1e3", 1000),
        ("1.5E1", 15),
        ("10e-1", 1),
        ("9007199254740993", 2**53 + 1),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("9223372036854775807.0", 2**63 - 1),
        ("null", None),
    ],
)
def test_an_integer_is_exact(con, sim, sent, kept):
    answer(sim, f'{{"id":"a","expiresAt":{sent},"activeAt":5}}')
    assert one(con, "expiresAt") == kept
    assert one(con, "token.expiresAt") == kept
    assert con.execute(f"SELECT id FROM {LIVE} WHERE expiresAt = ?", [kept]).fetchall() == (
        [] if kept is None else [("a",)]
    )


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ("1.5", "is a fraction in Vercel's answer, where an integer belongs"),
        ("1e-1", "is a fraction"),
        ("1e400", "where an integer belongs"),
        ("9223372036854775808", "more than 64 bits"),
        ("-9223372036854775809", "more than 64 bits"),
        ('"1"', "is text in Vercel's answer, where an integer belongs"),
        ("true", "is a boolean"),
        ("[1]", "is a list"),
        ("{}", "is an object"),
    ],
)
@pytest.mark.parametrize("query", ["SELECT expiresAt FROM {}", "SELECT token FROM {}"])
def test_what_is_no_integer_is_an_error_that_names_token_and_field(strict, sim, sent, words, query):
    answer(sim, '{"id":"good","expiresAt":1}', f'{{"id":"tok_1","expiresAt":{sent}}}')
    with pytest.raises(duckdb.Error) as raised:
        strict.execute(query.format(LIVE)).fetchall()
    assert f"user_tokens: id tok_1: expiresAt {words}" in str(raised.value) or (
        words in str(raised.value) and "id tok_1: expiresAt" in str(raised.value)
    )


@pytest.mark.parametrize(
    ("row", "where"),
    [
        ('{"id":"t","name":5}', "id t: name is a number in Vercel's answer, where text belongs"),
        ('{"id":"t","name":{"a":1}}', "id t: name is an object"),
        ('{"id":"t","name":false}', "id t: name is a boolean"),
        ('{"id":"t","scopes":{}}', "id t: scopes is an object in Vercel's answer, where a list"),
        ('{"id":"t","scopes":[{},1]}', "id t: scopes[2] is a number"),
        ('{"id":"t","scopes":[{"sudo":[]}]}', "id t: scopes[1].sudo is a list"),
        ('{"id":"t","scopes":[{"createdAt":"x"}]}', "id t: scopes[1].createdAt is text"),
        ('{"id":"t","scopes":[{"sudo":{"expiresAt":1.5}}]}', "id t: scopes[1].sudo.expiresAt is a"),
    ],
)
def test_a_wrong_type_anywhere_is_named(strict, sim, row, where):
    answer(sim, row)
    with pytest.raises(duckdb.Error) as raised:
        strict.execute(f"SELECT * FROM {LIVE}").fetchall()
    assert where in str(raised.value)


def test_a_wrong_type_in_a_single_token_is_named(strict, sim):
    sim.faults(kind="body", body='{"token":{"id":"t","activeAt":"soon"}}')
    with pytest.raises(duckdb.Error, match="id t: activeAt is text"):
        strict.execute(f"SELECT * FROM {LIVE} WHERE id = 't'").fetchall()


def test_a_column_that_nobody_asks_for_spoils_nothing(con, sim):
    answer(sim, '{"id":"t","name":"n","activeAt":1.5}')
    assert con.execute(f"SELECT id, name FROM {LIVE}").fetchall() == [("t", "n")]
    assert one(con, "count(*)") == 1


def test_missing_and_null_are_null(con, sim):
    answer(sim, '{"id":"a"}', '{"id":"b","name":null,"scopes":null,"createdAt":null}')
    rows = con.execute(f"SELECT * EXCLUDE (id, tokenId, token) FROM {LIVE}").fetchall()
    assert rows == [(None,) * 13] * 2
    tokens = con.execute(f"SELECT token FROM {LIVE}").fetchall()
    assert [{k: v for k, v in token.items() if v is not None} for (token,) in tokens] == [
        {"id": "a"},
        {"id": "b"},
    ]


# Text


@pytest.mark.parametrize(
    "text",
    ["", " ", "日本\U0001f600", "a\nb\tc", "\x00", 'q"\\/', "x" * 2_000_000, "\u2028", "\ufeff"],
    ids=lambda text: ascii(text[:8]),
)
@pytest.mark.parametrize("escaped", [True, False])
def test_text_is_exact(con, sim, text, escaped):
    answer(sim, json.dumps({"id": "a", "name": text}, ensure_ascii=escaped))
    assert one(con, "name") == text


# What the manifest does not know


def test_unknown_fields_are_kept_where_they_stood_and_as_they_were(con, sim):
    answer(
        sim,
        '{"id":"a","risk":{"score":1.10,"big":123456789012345678901234567890,"no":null},'
        '"scopes":[{"type":"user"},{"type":"team","limit":18446744073709551616,'
        '"sudo":{"origin":"totp","device":"k"}}],"huge":1e400,"e":"\\u00e9"}',
        '{"id":"b"}',
    )
    (first,), (second,) = con.execute(f"SELECT additional_fields FROM {LIVE}").fetchall()
    assert second is None
    assert first == (
        '{"risk":{"score":1.10,"big":123456789012345678901234567890,"no":null},'
        '"scopes":[{},{"limit":18446744073709551616,"sudo":{"device":"k"}}],"huge":1E+400,"e":"é"}'
    )
    assert one(con, "additional_fields->>'$.scopes[1].limit'") == "18446744073709551616"
    assert one(con, "scopes[2].type") == "team"


def test_unknown_fields_of_a_single_token(con, sim):
    body = '{"token":{"id":"t","n":1.10,"scopes":[{"x":1}]},"beside":1}'
    sim.faults(kind="body", body=body, times=None)
    rows = con.execute(f"SELECT additional_fields FROM {LIVE} WHERE id = 't'").fetchall()
    assert rows == [('{"n":1.10,"scopes":[{"x":1}]}',)]


@pytest.mark.parametrize(
    "row",
    [
        '{"id":"a","x":1,"x":2}',
        '{"id":"a","x":{"y":1,"y":2}}',
        '{"id":"a","scopes":[{"x":1,"x":2}]}',
    ],
)
def test_an_unknown_key_that_stands_twice_is_not_dropped(strict, sim, row):
    answer(sim, row)
    with pytest.raises(duckdb.Error, match="stands twice"):
        strict.execute(f"SELECT * FROM {LIVE}").fetchall()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('{"id":"a","name":"x","name":"y"}', "id a: name stands twice"),
        ('{"id":"a","id":"b"}', "id stands twice"),
        ('{"id":"a","expiresAt":NaN}', "id a: expiresAt is NaN, which is not a JSON number"),
        ('{"id":"a","expiresAt":-Infinity}', "id a: expiresAt is -Infinity"),
        ('{"id":"a","name":"\\ud800"}', "id a: name holds half a surrogate pair"),
        ('{"id":"a","x":' + "[" * 100_000 + "]" * 100_000 + "}", "x is nested too deeply"),
        ('{"name":"a"}', "id null: id is missing"),
        ('{"id":5}', "id 5: id is a number"),
        ('{"id":null}', "id null: id is missing"),
    ],
)
def test_a_row_that_cant_be_decoded_is_a_row_or_a_strict_error(con, attached, sim, row, words):
    answer(sim, row)
    with pytest.warns(vercel_sql.DataWarning, match=words):
        assert len(con.execute(f"SELECT * FROM {LIVE}").fetchall()) == 1
    strict = attached(sim, name="strict", strict=True)
    with pytest.raises(duckdb.Error, match=words):
        strict.execute(f"SELECT * FROM {LIVE.replace('vercel', 'strict')}").fetchall()


# Answers that are no listing


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (PAGE % ('{"id":"a"},', 1), "can't be used"),
        (PAGE % ('{"id":"a"}', 1) + "{}", "can't be used"),
        (PAGE % ('{"id":"a"}', 2), "says that it has 2 rows and has 1"),
        (PAGE % ('{"id":"a"}', 0), "says that it has 0 rows and has 1"),
        (PAGE % ("", 3), "says that it has 3 rows and has 0"),
        (PAGE % ("5", 1), "can't be used"),
        (PAGE % ("null", 1), "can't be used"),
        (PAGE % ("[]", 1), "can't be used"),
        ('{"tokens":[{"id":"a"}]}', "pagination"),
        ('{"tokens":[{"id":"a"}],"pagination":{"count":1}}', "next"),
        ('{"tokens":[{"id":"a"}],"pagination":{"next":null}}', "count"),
        ('{"tokens":[{"id":"a"}],"pagination":{"count":1,"next":1.5}}', "next"),
        ('{"tokens":[{"id":"a"}],"pagination":{"count":1,"next":true}}', "next"),
        ('{"tokens":null,"pagination":{"count":0,"next":null}}', "tokens"),
        ('{"pagination":{"count":0,"next":null}}', "tokens"),
        ('{"tokens":[{"id":"a"}],"tokens":[],"pagination":{"count":0,"next":null}}', "twice"),
        (
            '{"tokens":[{"id":"a"}],"pagination":{"count":1,"next":5},'
            '"pagination":{"count":1,"next":null}}',
            "'pagination' stands twice",
        ),
        ("[]", "can't be used"),
        ("", "can't be used"),
        ("null", "can't be used"),
    ],
)
@pytest.mark.parametrize("columns", ["*", "count(name)"])
def test_no_listing_is_never_an_empty_table(con, sim, body, words, columns):
    sim.faults(kind="body", body=body)
    query = f"SELECT {columns} FROM {LIVE}"
    with pytest.raises(duckdb.Error) as raised:
        con.execute(query).fetchall()
    assert words in str(raised.value)
    assert "(GET /v6/user/tokens" in str(raised.value)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "garbage_body"}, "can't be used"),
        ({"kind": "garbage_body", "html": True}, "a proxy or the login page of a network"),
        ({"kind": "cut_body", "times": None}, "got no answer"),
    ],
)
def test_spoilt_answers_are_errors(con, sim, fault, words, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    sim.faults(fault)
    with pytest.raises(duckdb.Error) as raised:
        con.execute(f"SELECT * FROM {LIVE}").fetchall()
    assert words in str(raised.value)


@pytest.mark.parametrize(
    "body", ['{"token":[]}', '{"token":null}', "{}", "[]", '{"token":[{"id":"t"},{"id":"t"}]}']
)
@pytest.mark.parametrize("where", ["id = 't'", "tokenId = 'current'"])
def test_a_get_without_its_token_is_an_error(con, sim, body, where):
    sim.faults(kind="body", body=body)
    with pytest.raises(duckdb.Error, match=r"\(GET /v5/user/tokens/"):
        con.execute(f"SELECT * FROM {LIVE} WHERE {where}").fetchall()


# Listings that do not end as they should


def test_a_repeated_cursor_is_an_error(simulate, attached):
    sim = simulate(250)
    con = attached(sim)
    sim.faults(kind="repeat_cursor", times=None)
    with pytest.raises(duckdb.Error, match="could not list everything"):
        con.execute(f"SELECT id FROM {LIVE}").fetchall()
    assert len(sim.requests()) <= 4


def test_a_page_that_brings_nothing_new_is_an_error(con, sim):
    page = '{"tokens":[{"id":"a"}],"pagination":{"count":1,"next":%d}}'
    sim.faults(*({"kind": "body", "body": page % n} for n in range(9)))
    with pytest.raises(duckdb.Error, match="brought no new row"):
        con.execute(f"SELECT id FROM {LIVE}").fetchall()


def test_an_empty_page_that_promises_more_is_an_error(con, sim):
    sim.faults(kind="body", body='{"tokens":[],"pagination":{"count":0,"next":7}}', times=None)
    with pytest.raises(duckdb.Error, match="brought no new row"):
        con.execute(f"SELECT id FROM {LIVE}").fetchall()


def test_an_account_without_tokens_is_an_empty_table(con, sim):
    answer(sim)
    assert con.execute(f"SELECT * FROM {LIVE}").fetchall() == []


def test_an_error_on_a_later_page_is_no_short_table(simulate, attached, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    sim = simulate(350)
    con = attached(sim)
    sim.faults(kind="status", status=500, after=2, times=None)
    with pytest.raises(duckdb.Error, match="500 internal_server_error"):
        con.execute(f"SELECT id FROM {LIVE}").fetchall()


def test_string_cursors_are_sent_back_as_they_came(con, sim):
    first = '{"tokens":[{"id":"a"}],"pagination":{"count":1,"next":"c/+ &é"}}'
    sim.faults({"kind": "body", "body": first}, {"kind": "body", "body": PAGE % ('{"id":"b"}', 1)})
    assert con.execute(f"SELECT id FROM {LIVE}").fetchall() == [("a",), ("b",)]
    assert dict(sim.requests()[1].query)["until"] == "c/+ &é"
