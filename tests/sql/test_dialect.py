"""Tokens are DuckDB's, and their offsets are true."""

import pytest

from vercel_sql.sql.tokens import Kind, tokenize


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$1,$2", ["$", "1", ",", "$", "2"]),
        ("a$b", ["a$b"]),
        ("$a$ ' $b$ -- $a$ x", ["$a$ ' $b$ -- $a$", "x"]),
        ("x$$ ; y$$", ["x$$", ";", "y$$"]),
        ("?::INT", ["?", "::", "INT"]),
        ("CALL f(1)", ["CALL", "f", "(", "1", ")"]),
        ("EXPLAIN ANALYZE SHOW x", ["EXPLAIN", "ANALYZE", "SHOW", "x"]),
        ("{{- x -}}", ["{", "{", "-", "x", "-", "}", "}"]),
        ("{#1}", ["{", "#", "1", "}"]),
        ("{% x %}", ["{", "%", "x", "%", "}"]),
        ("user-defined", ["user", "-", "defined"]),
        ("a -|-- c\n b", ["a", "-", "|", "b"]),
        ("a /* /* */ */ b", ["a", "b"]),
        ("a //* c */ b", ["a", "/", "b"]),
        ("E'\\'' 'x\\'", ["E'\\''", "'x\\'"]),
        ('"a"";" `b``;`', ['"a"";"', "`b``;`"]),
        ("@@json=@-5", ["@", "@", "json", "=", "@", "-", "5"]),
        ("\ufeffSELECT\u200b1", ["SELECT", "1"]),
        ("'日本' 😀 x", ["'日本'", "😀", "x"]),
        ("group /* c */ by", ["group /* c */ by"]),
    ],
)
def test_tokens(text, expected):
    lexemes = tokenize(text)
    assert [lexeme.raw for lexeme in lexemes] == expected
    assert all(text[lexeme.start : lexeme.end] == lexeme.raw for lexeme in lexemes)


def test_values_are_without_their_quotes():
    values = [lexeme.value for lexeme in tokenize("'it''s' $t$a'b$t$ \"q\"\"\" `b` 1_0 wOrd")]
    assert values == ["it's", "a'b", 'q"', "b", "1_0", "wOrd"]


def test_words_are_known_whatever_their_case_and_blanks():
    assert [lexeme.upper for lexeme in tokenize('sElect\ngroup  \n by "Select"')] == [
        "SELECT",
        "GROUP BY",
        "",
    ]


def test_a_prefix_makes_another_kind_of_string():
    kinds = [lexeme.kind for lexeme in tokenize("X'00' b'1' E'e' U&'u' IN'a' DATE'2026-01-01'")]
    assert kinds.count(Kind.PREFIXED) == 4
    assert kinds.count(Kind.STRING) == 2
