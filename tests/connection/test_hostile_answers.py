"""Whatever an answer holds, each door gives an exact value or a clear error; no secret is lost."""

from __future__ import annotations

import json
import re

import pytest

import vercel_sql

from ..fuzz import reference

TABLE = "vercel.authentication.user_tokens"
BEARER = "vcp_shownOnlyThisOnce0042"
BEGINS = re.compile(
    r"(EXEC |INSERT INTO |DELETE FROM )?vercel\.authentication\.user_tokens"
    r"|(the answer can't be used|this is the answer to another request): .* \((GET|POST|DELETE) /"
)

VALUES = {
    "nested 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "objects nested 100,000 deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "nested and never closed": b"[" * 100_000,
    "NaN": b"NaN",
    "an infinity": b"-Infinity",
    "a key twice": b'{"a":1,"a":2}',
    "no UTF-8": b'"\xff\xfe"',
    "half a character": b'"\\ud800"',
    "half a character in UTF-8": b'"\xed\xa0\x80"',
    "an integer of 100,000 digits": b"9" * 100_000,
    "an integer of 70 bits": str(2**70).encode(),
    "a number beyond a DOUBLE": b"1e400",
    "a number beyond all bounds": b"1e99999999999999999999",
    "a fraction of 3,000 digits": b"0." + b"3" * 3000,
    "a number": b"5",
    "a boolean": b"true",
    "a list": b"[1]",
    "an object": b'{"type":{"type":{}}}',
    "a list of lists": b"[[[]]]",
    "a text of a million characters": b'"' + b"x" * 1_000_000 + b'"',
    "a text of control characters": json.dumps("\x00\x1b[2J\x9b\u202e").encode(),
    "no JSON": b"<html>",
    "nothing": b"",
}

ROW = b'{"id":"tok_1","name":"n","activeAt":1,"createdAt":1,"scopes":null,"%s":%s}'
PAGE = b'{"tokens":[%s],"pagination":{"count":1,"next":null},"%s":%s}'
DOORS = {
    "list": (f"SELECT * FROM {TABLE}", lambda row, extra: PAGE % (row, b"x", b"1")),
    "get": (
        f"SELECT * FROM {TABLE} WHERE id = 'tok_1'",
        lambda row, extra: b'{"token":%s}' % row,
    ),
    "current": (
        f"SELECT * FROM {TABLE} WHERE tokenId = 'current'",
        lambda row, extra: b'{"token":%s}' % row,
    ),
    "create": (
        f"INSERT INTO {TABLE} (name) VALUES ('n')",
        lambda row, extra: b'{"bearerToken":"%s","token":%s}' % (BEARER.encode(), row),
    ),
    "delete": (
        f"DELETE FROM {TABLE} WHERE id = 'tok_1'",
        lambda row, extra: b'{"tokenId":%s}' % extra,
    ),
    "exec": (
        f"EXEC {TABLE}._list_auth_tokens",
        lambda row, extra: PAGE % (row, b"testingToken", extra),
    ),
    "login": (
        f"EXEC {TABLE}.email_login @email = 'a@b.c'",
        lambda row, extra: b'{"token":"%s","securityCode":%s}' % (BEARER.encode(), extra),
    ),
}
SECRET_DOORS = ("create", "login")
FIELDS = ("name", "createdAt", "scopes", "expiresAt", "fromTheFuture")


def outcome(db, sql):
    """The rows as they came, those that an error carries among them, and the error's text."""
    try:
        return db.execute(sql).fetchall(), None
    except vercel_sql.PartialWriteError as error:
        return error.rows, str(error)
    except vercel_sql.Error as error:
        return [], str(error)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("door", DOORS)
def test_a_hostile_value_is_exact_or_a_clear_error(db, sim, door, value):
    sql, body = DOORS[door]
    for number, field in enumerate(FIELDS):
        bearer = f"{BEARER}{number}"
        row = ROW.replace(b'"%s":null,' % field.encode(), b"") % (field.encode(), value)
        sim.clear_faults()
        answer = body(row, value).replace(BEARER.encode(), bearer.encode())
        if door == "create":  # no row is made twice
            answer = answer.replace(b'"tok_1"', b'"tok_%d"' % number)
        sim.faults(kind="body", body=answer, times=None)
        rows, error = outcome(db, sql)
        if error is not None:
            assert BEGINS.match(error), error
            assert len(error) < 2_000
            assert error.isprintable()
            assert "Traceback" not in error
        if door in SECRET_DOORS:
            assert bearer in repr(rows), "it is shown this once"
        if error is None and field == "fromTheFuture" and door in ("list", "get", "current"):
            (found,) = rows
            rest = next(text for text in found if isinstance(text, str) and "fromTheF" in text)
            try:
                sent = reference.load(b'{"fromTheFuture":%s}' % value)
                is_exact = reference.is_plain(sent)
            except reference.NotExact:
                is_exact = False
            if not is_exact:
                assert json.loads(rest)["fromTheFuture"], "it is spelled out"
                continue
            assert reference.leaves(reference.load(rest.encode())) == reference.leaves(sent)


STAY = ["a/../b", "\x1b[2J", "\u202e", "x" * 5_000, "%2F", "?until=", "a/b", "...", "%2e%2e", " "]
LEAD_ELSEWHERE = ["..", ".", "", "current"]


@pytest.fixture
def deleted_by_name(db, sim, newly_sent):
    """What a DELETE sends, and its error, where a row of the listing has some key."""

    def run(key):
        row = json.dumps({"id": key, "name": "n", "createdAt": 1, "activeAt": 1}).encode()
        sim.faults(kind="body", body=PAGE % (row, b"x", b"1"), path="/v6/user/tokens", times=None)
        assert db.execute(f"SELECT id FROM {TABLE}").fetchall() == [(key,)]
        newly_sent()
        _, error = outcome(db, f"DELETE FROM {TABLE} WHERE name = 'n'")
        return [request for request in newly_sent() if request.method == "DELETE"], error

    return run


@pytest.mark.parametrize("key", STAY)
def test_a_key_with_anything_in_it_stays_a_key(deleted_by_name, key):
    (request,), _ = deleted_by_name(key)
    assert request.path.startswith("/v3/user/tokens/")
    assert request.path.count("/") == 4
    assert request.query == []


@pytest.mark.parametrize("key", LEAD_ELSEWHERE)
def test_a_key_that_would_lead_elsewhere_is_not_deleted(deleted_by_name, key):
    requests, error = deleted_by_name(key)
    assert requests == [], "/v3/user/tokens/.. is the user, and /v3/user/tokens/current the caller"
    assert "can't stand in a path" in error or "takes for the credential" in error


def listing(sim, *pages):
    """Lets the listing give these pages, each as its ids and its cursor."""
    bodies = [
        {"tokens": [{"id": i} for i in ids], "pagination": {"count": len(ids), "next": cursor}}
        for ids, cursor in pages
    ]
    sim.faults(*({"kind": "body", "body": body, "path": "/v6/user/tokens"} for body in bodies))


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ([("a", 9), ("b", 8), ("c", 9), ("d", None)], "a cursor came a second time"),
        ([("a", "x"), ("b", "y"), *[("c", "x")] * 3], "a cursor came a second time"),
        ([("a", 9), ("b", 8), ("c", 10), ("d", None)], "a cursor went back"),
        ([("a", 9), *[("b", 8)] * 2, *[("ab", 7)] * 3], "brought no new row"),
        ([("a", 9), ("", 8), ("c", None)], "brought no new row"),
        ([("a", 9), *[("b", 1.5)] * 3], "next"),
        ([("a", 9), *[("b", [])] * 3], "next"),
        ([("a", 9), *[("b", True)] * 3], "next"),
        ([("a", 2**70)], "until"),
    ],
)
def test_a_cursor_that_leads_nowhere(db, sim, pages, words):
    listing(sim, *pages)
    rows, error = outcome(db, f"SELECT id FROM {TABLE}")
    assert rows == []
    assert words in error
    assert len(sim.requests()) <= len(pages) + 1


def test_a_cursor_may_become_text(db, sim, newly_sent):
    newly_sent()
    # A page that does not begin with the last row of the one before is asked for twice, once.
    listing(sim, ("a", 9), *[("b", "c_8")] * 2, ("c", 7), ("d", None))
    assert db.execute(f"SELECT id FROM {TABLE} ORDER BY id").fetchall() == [(c,) for c in "abcd"]
    assert [dict(r.query).get("until") for r in newly_sent()] == [None, "9", "9", "c_8", "7"]
