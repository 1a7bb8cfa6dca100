"""What fuzzing found is kept as cases, and each still holds; and the rules do notice breaches."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vercel_sql.catalog import pages, rows
from vercel_sql.errors import AnswerError, DataError
from vercel_sql.sql import Fragment
from vercel_sql.sql.syntax_tree import ConstantMatch

from . import answer_decoder, sql_parser
from .oracles import SECRET, Violation, attempt

CASES = Path(__file__).parent / "cases"
TARGETS = {"answer_decoder": answer_decoder, "sql_parser": sql_parser}
KEPT = sorted(path for name in TARGETS for path in (CASES / name).iterdir())


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_kept_case_holds(path):
    TARGETS[path.parent.name].run(path.read_bytes())


def test_each_door_of_the_decoder_has_a_letter():
    assert all(len(letter) == 1 for letter in answer_decoder.DOORS)
    assert {path.parent.name for path in KEPT} == set(TARGETS)


def fail_with(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RecursionError("too deep"), "a bare RecursionError"),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "no"), "a bare UnicodeEncodeError"),
        (DataError(f"the value {SECRET} is no number"), "the secret is in an error"),
        (DataError(""), "an error without words"),
        (DataError("x" * 20_000), "an error of 20000 characters"),
    ],
)
def test_a_bad_end_is_noticed(error, words):
    with pytest.raises(Violation, match=words):
        attempt(fail_with(error))


def test_a_secret_in_the_cause_of_an_error_is_noticed():
    error = AnswerError("it can't be read")
    error.__cause__ = ValueError(SECRET)
    with pytest.raises(Violation, match="the secret"):
        attempt(fail_with(error))


PAGE = b'l{"tokens":[{"id":"a","createdAt":%s}],"pagination":{"count":1,"next":null}}'


def test_a_value_that_is_rounded_is_noticed(monkeypatch):
    monkeypatch.setattr(rows, "_integer", lambda value: int(float(value)))
    monkeypatch.setattr(pages, "_fast_reader", lambda *_: lambda _page: None)
    listings = answer_decoder.listings
    listings._listing.cache_clear()
    try:
        with pytest.raises(Violation, match="createdAt is not what was sent"):
            answer_decoder.run(PAGE % b"9007199254740993")
    finally:
        listings._listing.cache_clear()


def test_a_page_that_is_refused_for_nothing_is_noticed(monkeypatch):
    monkeypatch.setattr(pages, "_may_occur_twice", lambda *_: True)
    for decoder in ("pages.decode_json", "answers.decode_json", "answers.decode_tolerantly"):
        room = "catalog" if decoder.startswith("pages") else "http"
        monkeypatch.setattr(f"vercel_sql.{room}.{decoder}", fail_with_value)
    with pytest.raises(Violation, match="refused"):
        answer_decoder.run(PAGE % b"1.0")


def fail_with_value(_body, *_more, **_options):
    raise ValueError("no")


def test_a_secret_that_is_lost_is_noticed(monkeypatch):
    monkeypatch.setattr("vercel_sql.http.answers.Answer.secrets", lambda _self: {})
    body = {"bearerToken": "vcp_shownThisOnce", "token": {"id": "a", "createdAt": "soon"}}
    with pytest.raises(Violation, match="bearerToken was lost"):
        answer_decoder.run(b"c" + json.dumps(body).encode())


def test_a_value_that_is_pasted_is_noticed(monkeypatch):
    def pasted(self, parameters):
        return self.text.replace("$x", f"'{parameters['x']}'"), {}

    monkeypatch.setattr(Fragment, "bind", pasted)
    monkeypatch.setattr(sql_parser, "VALUES", (SECRET,))
    with pytest.raises(Violation, match="pasted"):
        sql_parser.run(b"SELECT $x")


def test_a_delete_of_other_rows_is_noticed(monkeypatch):
    def careless(where, qualifiers, values):
        return [ConstantMatch("id", ("a",), equality=True)]

    monkeypatch.setattr("vercel_sql.sql.syntax_tree.matches", careless)
    with pytest.raises(Violation, match="chooses other rows"):
        sql_parser.run(b"DELETE FROM vercel.authentication.user_tokens WHERE id = 'a' OR true")
