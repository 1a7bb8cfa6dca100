"""A script is split where DuckDB itself splits it."""

import unicodedata
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vercel_sql.errors import Error
from vercel_sql.sql import Native, complete, parse
from vercel_sql.sql.tokens import Kind

CORPUS = Path(__file__).with_name("duckdb_statements.sql").read_text().strip().split("\n\n")
CONNECTION = duckdb.connect()


def count_of_duckdb(script):
    """How many statements DuckDB finds; a PIVOT counts for several on 1.5.5."""
    return len(CONNECTION.extract_statements(script))


def known(statement):
    try:
        return count_of_duckdb(statement)
    except duckdb.Error:
        return 0


COUNTS = {statement: count for statement in CORPUS if (count := known(statement))}
SEPARATORS = [";", " ;\n", ";;", "; -- a comment; with '\n", " /* ; /* $$ */ ' */ ;", "\n;\r\n;\t"]


def test_this_version_of_duckdb_knows_nearly_all_of_the_corpus():
    assert len(CORPUS) > 150
    assert len(COUNTS) > len(CORPUS) - 6


@pytest.mark.parametrize("statement", COUNTS)
def test_each_statement_is_one(statement):
    assert [each.text for each in parse(f"  {statement} ; ")] == [statement]


@given(
    st.lists(
        st.tuples(st.sampled_from(list(COUNTS)), st.sampled_from(SEPARATORS)),
        max_size=6,
        # DuckDB 1.5.5 refuses a script in which two statements give a window the same name.
        unique_by=lambda part: part[0],
    )
)
def test_a_script_splits_as_duckdb_splits_it(parts):
    script = "".join(statement + separator for statement, separator in parts)
    assert [each.text for each in parse(script)] == [statement for statement, _ in parts]
    assert count_of_duckdb(script) == sum(COUNTS[statement] for statement, _ in parts)


@pytest.mark.parametrize("statement", COUNTS)
def test_what_has_no_placeholder_reaches_duckdb_as_it_is_written(statement):
    (parsed,) = parse(statement)
    if not parsed.fragment.placeholders:
        assert parsed.fragment.bind({}) == (statement, {})


@pytest.mark.parametrize("script", ["", "  \n", "-- a comment", "/* one */ ; ; -- two", ";"])
def test_comments_and_semicolons_are_no_statement(script):
    assert parse(script) == []


@pytest.mark.parametrize(
    "script", ["SELECT 'open; SELECT 2", 'SELECT "open', "SELECT 1 /* open", "SELECT $$open", "`"]
)
def test_an_open_quote_leaves_the_whole_text_to_duckdb(script):
    (statement,) = parse(script)
    assert isinstance(statement, Native)
    assert (statement.text, statement.first_keyword, statement.unreadable) == (script, "", True)
    with pytest.raises(duckdb.Error):
        count_of_duckdb(statement.text)


PIECES = ["'", '"', "`", "$", "$a$", "--", "/*", "*/", "//", "\n", "\r", ";", "E", "e'", "\\", "x'"]
PIECES += [
    "{{",
    "}}",
    "{",
    "}",
    "@",
    "@@",
    ":",
    "::",
    ":=",
    "?",
    "??",
    "(",
    ")",
    "[",
    "]",
    ",",
    "=",
]
PIECES += ["1", "0x", "1e", "_", "é", "\xa0", "\ufeff", "\u200b", "\x00", "😀", "-|-", ".", "name"]
PIECES += ["EXEC a.b", " EXPLAIN ", " INSERT INTO ", " VALUES ", " DELETE FROM t ", " WHERE "]
PIECES += [" USING ", " RETURNING ", " WITH a AS ", " SHOW METHODS IN ", " DESCRIBE ", "PREPARE "]
PIECES += ['@@json=\'{"a":', " SELECT NULL ", " ON CONFLICT ", "GROUP BY", " NULL ", "CAST("]


@settings(deadline=1000)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=20).map("".join))
def test_no_text_breaks_the_parser(text):
    try:
        statements = parse(text)
    except Error:
        return
    complete(text)
    for statement in statements:
        assert statement.text in text
        list(statement.needs())
        for clause in ("literal_nulls", "constant_match"):
            getattr(statement, clause, lambda: None)()


LEXICAL = ["'", '"', "$", "$a$", "--", "/*", "*/", "/", "\n", ";", "E'", "\\", "a", " ", "1", "-"]


@given(st.lists(st.sampled_from(LEXICAL), max_size=12).map("".join))
def test_where_duckdb_reads_a_script_quotes_end_where_duckdb_ends_them(noise):
    script = f"SELECT 1 AS x; SELECT {noise} ; SELECT 3"
    try:
        expected = count_of_duckdb(script)
    except duckdb.Error:
        return
    assert len(parse(script)) == expected


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("SELECT 1;", True),
        ("SELECT 1; -- done", True),
        ("SELECT 1 /* done */ ;\n", True),
        ("SELECT $$;$$;", True),
        ("SELECT 1", False),
        ("SELECT ';", False),
        ("SELECT 1; /* ;", False),
        ("SELECT $$;", False),
        ('SELECT ";', False),
        ("SELECT 1 -- ;", False),
        ("SELECT 1; SELECT 2", False),
        ("", False),
    ],
)
def test_complete_tells_a_shell_whether_to_read_on(text, ends):
    assert complete(text) is ends


SPECIAL = [
    character
    for character in map(chr, [*range(1, 0x3100), 0xFEFF, 0xFFFD, 0x1F600, 0xE0001])
    if unicodedata.category(character)[0] in "CZ" or character in "_$#@\\é€日"
]
"""Blanks, controls and invisible characters, and some others."""


def alias_in_duckdb(query):
    """The name of its last column, or None where DuckDB refuses it."""
    try:
        return CONNECTION.execute(query).description[-1][0]
    except duckdb.Error:
        return None


def test_words_and_blanks_are_duckdbs_whatever_the_character():
    refused = 0
    for character in SPECIAL:
        query = f"SELECT 1 AS a{character}b"
        name = alias_in_duckdb(query)
        refused += name is None
        if name is not None:
            (statement,) = parse(query)
            words = [lexeme.raw for lexeme in statement.fragment.lexemes[3:]]
            assert (words == [f"a{character}b"]) == (name == f"a{character}b"), ascii(character)
    assert refused < len(SPECIAL) / 2


def test_dollar_quotes_are_duckdbs_whatever_the_character():
    for character in set(SPECIAL) - {"$"}:
        for tag in (character, f"a{character}b"):
            query = f"SELECT ${tag}$ ; ${tag}$ AS x"
            is_string = alias_in_duckdb(query) == "x"
            assert (len(parse(query)) == 1) == is_string, ascii(tag)


NUMBERS = ["1", "1_0", "1e5", "1.5", ".5", "1e+5", "$1", "$10", "x.1"]
NO_NUMBERS = ["1a", "1_", "1__0", "1e", "1e5a", "0x1F", "0b1", "1é", "a1", "a", "$1a", "$1_"]


@pytest.mark.parametrize("before", [*NUMBERS, *NO_NUMBERS])
def test_a_dollar_quote_may_follow_a_number_and_no_name(before):
    query = f"SELECT {before}$$;$$"
    at = query.index("$$;$$")
    theirs = {
        place for place, kind in duckdb.tokenize(query) if kind == duckdb.token_type.string_const
    }
    ours = [x.start for x in parse(query)[0].fragment.lexemes if x.kind is Kind.DOLLAR]
    assert (at in theirs, at in ours) == (before in NUMBERS,) * 2
