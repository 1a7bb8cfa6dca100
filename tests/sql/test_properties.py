"""Statements made from the dialect's grammar: ours parse to what they say, wherever blanks are."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vercel_sql
from vercel_sql.errors import SQLSyntaxError
from vercel_sql.sql import Delete, Describe, Exec, Explain, Insert, Native, Show, parse

POSITION = re.compile(r"\b\d+:\d+\b")
TABLE = "vercel.authentication.user_tokens"

BLANKS = [" ", "  ", "\n", "\t", "\r\n", "\u00a0", " /* ; ' /* $$ */ \" */ ", " -- it's; {{ x }}\n"]
GAP = st.sampled_from(BLANKS)
WORDS = st.sampled_from(["a", "id", "tokenId", "user_tokens", "name", "data__name", "Straße"])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ODD = st.sampled_from(["'", '"', ";", "--", "/*", "$$", "{{", "{{ x y }}", "RETURNING", "\\", "@"])
TEXTS = st.one_of(TEXT, st.lists(st.one_of(TEXT, ODD), max_size=4).map("".join))


def as_string(text):
    return "'" + text.replace("'", "''") + "'"


def as_name(text):
    return '"' + text.replace('"', '""') + '"'


NAMES = st.one_of(
    WORDS.map(lambda word: (word, word)),
    TEXTS.filter(bool).map(lambda text: (as_name(text), text)),
)
STRINGS = TEXTS.filter(lambda text: not re.search(r"{{\s*\w+\s*}}", text)).map(as_string)
EXPRESSIONS = st.recursive(
    st.one_of(
        STRINGS, st.sampled_from(["1", "NULL", "$x", "{{ y }}", "'{{ z }}'", "-1.5e3", "t.a"])
    ),
    lambda inner: st.one_of(
        inner.map(lambda e: f"({e})"),
        inner.map(lambda e: f"lower({e})"),
        inner.map(lambda e: f"CAST({e} AS TEXT)"),
        st.lists(inner, min_size=1, max_size=3).map(lambda es: f"[{', '.join(es)}]"),
        inner.map(lambda e: f"(SELECT {e} FROM u WHERE true RETURNING 1)"),
        st.tuples(inner, inner).map(" || ".join),
    ),
    max_leaves=4,
)
LISTS = st.lists(EXPRESSIONS, min_size=1, max_size=3).map(", ".join)


@dataclass
class Made:
    """A statement and what it says.

    Attributes:
        text: the statement.
        kind: what it has to be read as.
        says: its attributes, names and parts as texts.
    """

    text: str
    kind: type
    says: dict


@st.composite
def spelled(draw, *pieces):
    """Pieces with blanks and comments between them, and words in any case."""
    text = ""
    for piece in pieces:
        if piece is None:
            continue
        if piece.isupper() and piece.isalpha():
            piece = draw(st.sampled_from([piece, piece.lower(), piece.title()]))
        text += (draw(GAP) if text else "") + piece
    return text


@st.composite
def dotted(draw):
    """A qualified name, and its parts."""
    names = draw(st.lists(NAMES, min_size=1, max_size=3))
    return ".".join(written for written, _ in names), tuple(value for _, value in names)


def maybe(strategy):
    return st.one_of(st.none(), strategy)


@st.composite
def inserts(draw):
    target, parts = draw(dotted())
    columns = draw(maybe(st.lists(NAMES, min_size=1, max_size=3)))
    source = draw(st.one_of(LISTS.map("SELECT {}".format), LISTS.map("VALUES ({})".format)))
    returning = draw(maybe(LISTS))
    shown = columns and "(" + ", ".join(written for written, _ in columns) + ")"
    words = ["INSERT", "INTO", target, shown, source]
    text = draw(spelled(*words, *(["RETURNING", returning] if returning else [])))
    names = columns and tuple(value for _, value in columns)
    says = {"target": parts, "columns": names, "source": source, "returning": returning}
    return Made(text, Insert, says)


@st.composite
def deletes(draw):
    target, parts = draw(dotted())
    where, returning = draw(maybe(EXPRESSIONS)), draw(maybe(LISTS))
    using = draw(maybe(st.sampled_from(["u", "(SELECT 1 AS WHERE_) u", "a JOIN b ON (a.x = b.x)"])))
    words = ["DELETE", "FROM", target]
    for word, clause in (("USING", using), ("WHERE", where), ("RETURNING", returning)):
        words += [word, clause] if clause else []
    says = {"target": parts, "using": using, "where": where, "returning": returning}
    return Made(draw(spelled(*words)), Delete, says)


@st.composite
def execs(draw):
    target, parts = draw(dotted())
    names = draw(st.lists(NAMES, max_size=3, unique_by=lambda name: name[1].lower()))
    arguments = [(written, value, draw(EXPRESSIONS)) for written, value in names]
    text = draw(spelled("EXEC", target))
    for number, (written, _, value) in enumerate(arguments):
        text += draw(st.sampled_from([",", ",\n", " -- it's\n"])) if number else " "
        text += draw(spelled(f"@{written}", "=", value))
    said = tuple((value, expression) for _, value, expression in arguments)
    return Made(text, Exec, {"name": parts, "arguments": said})


@st.composite
def looks(draw):
    target, parts = draw(dotted())
    words, kind, says = draw(
        st.sampled_from(
            [
                (["SHOW", "METHODS", "IN"], Show, {"kind": "methods"}),
                (["SHOW", "EXTENDED", "INSERT", "INTO"], Show, {"kind": "insert_into"}),
                (["DESCRIBE"], Describe, {"method": False}),
                (["DESC", "EXTENDED"], Describe, {"extended": True}),
                (["DESCRIBE", "METHOD"], Describe, {"method": True}),
            ]
        )
    )
    return Made(draw(spelled(*words, target)), kind, {"name": parts, **says})


@st.composite
def explained(draw):
    inner = draw(st.one_of(inserts(), deletes(), execs()))
    words = draw(st.sampled_from([["EXPLAIN"], ["EXPLAIN", "ANALYZE"]]))
    return Made(draw(spelled(*words, inner.text)), Explain, {"inner": inner})


OURS = st.one_of(inserts(), deletes(), execs(), looks(), explained())
NATIVES = LISTS.map(lambda text: Made(f"SELECT {text}", Native, {"text": f"SELECT {text}"}))


def said(statement, name):
    """A part of a statement, as `Made` has it."""
    part = getattr(statement, name)
    if name in ("target", "name"):
        return part.parts
    if name == "arguments":
        return tuple((each.name, each.value.text) for each in part)
    return getattr(part, "text", part)


def hold(statement, made):
    assert type(statement) is made.kind
    assert statement.text == made.text
    for name, value in made.says.items():
        if name == "inner":
            hold(statement.inner, value)
        else:
            assert said(statement, name) == value
    assert getattr(statement, "malformed", None) is None


@given(st.lists(st.one_of(OURS, NATIVES), min_size=1, max_size=4), GAP, st.data())
def test_a_script_is_read_as_what_it_says(script, gap, data):
    between = data.draw(st.sampled_from([f"{gap};", f";{gap}", f";{gap};\n"]))
    statements = parse(f"{gap}{between.join(made.text for made in script)}{gap}")
    assert len(statements) == len(script)
    for statement, made in zip(statements, script, strict=True):
        hold(statement, made)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), TEXTS, st.floats(-1e9, 1e9)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(TEXTS, JSON, max_size=4), st.booleans())
def test_the_json_of_exec_is_exact(value, dollars):
    text = json.dumps(value, ensure_ascii=dollars)
    if re.search(r"{{\s*\w+\s*}}", text):
        return
    shown = f"$json${text}$json$" if dollars and "$json$" not in text else as_string(text)
    (statement,) = parse(f"EXEC a.b.c @@json = {shown}")
    assert statement.json.resolve() == value


# What is malformed

BROKEN_EXECS = st.sampled_from(
    [
        "EXEC",
        "EXEC {table}.",
        "EXEC {table}.email_login email = {value}",
        "EXEC {table}.email_login @email {value}",
        "EXEC {table}.email_login @email =",
        "EXEC {table}.email_login @email = {value},",
        "EXEC {table}.email_login @email = {value}, tokenName = {value}",
        "EXEC {table}.email_login @email = {value}, @EMAIL = {value}",
        "EXEC {table}.email_login @email = {value} @@json = '{{}}'",
        "EXEC {table}.email_login @@json = '{{}}', @email = {value}",
        "EXEC {table}.email_login @@json = '{{}}' || {value}",
        "EXEC {table}.email_login @@json = '[{{}}]'",
        "EXEC {table}.email_login @@json = '{{\"email\": NaN}}'",
        'EXEC {table}.email_login @@json = \'{{"email": 1, "email": 2}}\'',
        "EXEC {table}.email_login @@jsn = '{{}}'",
        "EXEC {table}.email_login (@email = {value})",
    ]
)
BROKEN_WRITES = st.sampled_from(
    [
        "INSERT INTO {table}",
        "INSERT INTO {table} (name)",
        "INSERT INTO {table} (name) RETURNING bearerToken",
        "INSERT INTO {table} (name) SELECT {value} RETURNING",
        "INSERT INTO {table} (name) OVERRIDING SYSTEM VALUE SELECT {value}",
        "DELETE FROM {table} WHERE",
        "DELETE FROM {table} WHERE RETURNING id",
        "DELETE FROM {table} USING WHERE id = {value}",
        "DELETE FROM {table} AS t u WHERE id = {value}",
        "DELETE FROM {table} LIMIT 1",
        "DELETE FROM {table} WHERE id = {value} RETURNING",
        "SHOW METHODS IN",
        "SHOW METHODS IN {table} {value}",
        "SHOW INSERT INTO {value}",
    ]
)


@given(st.one_of(BROKEN_EXECS, BROKEN_WRITES), STRINGS, GAP, st.booleans())
def test_what_is_malformed_says_where_and_sends_nothing(db, sent, form, value, gap, explain):
    text = form.format(table=TABLE, value=value)
    script = f"SELECT 1;{gap}{'EXPLAIN ' if explain else ''}{text}"
    before = len(sent())
    with pytest.raises(SQLSyntaxError) as raised:
        db.execute(script)
    assert POSITION.search(str(raised.value))
    assert len(value) < 6 or value[1:-1] not in str(raised.value), "a value may be a secret"
    assert len(sent()) == before


TOKENS = [
    "SELECT", "FROM", "WHERE", "INSERT", "INTO", "DELETE", "VALUES", "EXEC", "SHOW", "METHODS",
    "IN", "RETURNING", "EXPLAIN", "DESCRIBE", "WITH", "AS", "AND", "USING", "NULL", "id", "name",
    "(", ")", "[", "]", "{", "}", ",", ";", "=", "@", "@@json", ".", "$$", "$x", "?", "::", "*",
    "1", TABLE, f"{TABLE}.email_login", "'{}'", "'a'", "'", '"', "--", "/*", "*/", "\x00", "\udc80",
]  # fmt: skip


@given(st.lists(st.sampled_from(TOKENS), max_size=12), st.sampled_from(["", " "]))
def test_no_heap_of_tokens_ends_in_a_bare_traceback(db, tokens, gap):
    with suppress(vercel_sql.Error):
        db.execute(gap.join(tokens))
