"""Placeholders and parameters from end to end: bound as values, and none too many or too few."""

import pytest

import vercel_sql

T = "vercel.authentication.user_tokens"


@pytest.mark.parametrize(
    ("placeholder", "parameters"),
    [
        ("$x", {"x": "v"}),
        ("$X", {"x": "v"}),
        (":x", {"X": "v"}),
        ("?", ["v"]),
        ("?", ("v",)),
        ("$1", ["v"]),
        ("?1", ["v"]),
        ("'{{ x }}'", {"x": "v"}),
        ("{{ x }}", {"x": "v"}),
        ("{{x}}", {"x": "v"}),
    ],
)
def test_every_form_in_every_kind_of_statement(db, sent, placeholder, parameters):
    assert db.execute(f"SELECT {placeholder}", parameters).fetchall() == [("v",)]
    db.execute(f"INSERT INTO {T} (name) VALUES ({placeholder})", parameters)
    db.execute(f"DELETE FROM {T} WHERE id = {placeholder}", parameters)
    db.execute(f"DELETE FROM {T} WHERE name = {placeholder}", parameters)
    db.execute(f"EXEC {T}.email_login @email = {placeholder} || '@b.c'", parameters)
    assert [r.body for r in sent("POST")] == [{"name": "v"}, {"email": "v@b.c"}]
    assert sent("DELETE")[0].path == "/v3/user/tokens/v"
    assert len(sent("DELETE")) == 2


def test_the_same_name_in_every_clause(db, ids):
    cursor = db.execute(
        f"WITH l(id) AS (SELECT $id) DELETE FROM {T} AS t USING (SELECT $id AS id) u "
        "WHERE t.id = $id AND u.id IN (FROM l) RETURNING t.id = $id AS same",
        {"id": ids[0]},
    )
    assert cursor.fetchall() == [(True,)]


def test_numbers_count_through_the_whole_script(db):
    assert db.execute("SELECT ?; SELECT ?, ?", [1, 2, 3]).fetchall() == [(2, 3)]


def test_a_type_before_a_placeholder(db):
    row = db.execute("SELECT DATE '{{ d }}', INTERVAL '{{ n }}' DAY", {"d": "2030-01-01", "n": "2"})
    assert [str(value) for value in row.fetchone()] == ["2030-01-01", "2 days, 0:00:00"]


@pytest.mark.parametrize(
    ("script", "parameters", "words"),
    [
        ("SELECT $x", None, r"\$x"),
        ("SELECT $x", {}, r"\$x"),
        ("SELECT {{ x }}, $y", {"y": 1}, "{{ x }} has no value"),
        ("SELECT ?, ?", [1], "more values"),
        ("SELECT ?", [1, 2], "Value 2 of the 2"),
        ("SELECT $expires", {"expires": 1, "expriesAt": 2}, r"expriesAt.*Did you mean \$expires"),
        ("SELECT 1", {"x": 1}, "No placeholder uses the parameter x"),
        ("SELECT 1", [1], "used by no"),
        ("SELECT $x, ?", {"x": 1}, "by position or by name"),
        ("SELECT 'a {{ x }}'", {"x": 1}, "beside other text"),
        ("SELECT $x", {"x": 1, "X": 2}, "the same one"),
        ("SELECT $x", "one string", "not one string"),
    ],
)
def test_what_does_not_fit_is_found_before_anything_runs(db, sent, script, parameters, words):
    first = f"INSERT INTO {T} (name) VALUES ('a'); CREATE TABLE ran (i INT); "
    with pytest.raises(vercel_sql.ParameterError, match=words):
        db.execute(first + script, parameters)
    assert sent() == []
    assert db.execute("SELECT count(*) FROM duckdb_tables()").fetchone() == (0,)


def test_what_looks_like_a_placeholder_in_text_is_text(db):
    text = "'$x ? :y {z} {{ not-a-name }}'"
    assert db.execute(f"SELECT {text}").fetchone() == (text.strip("'"),)
    assert db.execute("SELECT {'a': 1}.a, [1, 2][1:1], 1::INT").fetchone() == (1, [1], 1)


def test_values_of_many_types_arrive_as_they_are(db):
    values = [None, True, 5, 2**70, 1.5, "it's", b"\0x", [1, 2], {"a": "b"}]
    row = db.execute(f"SELECT {', '.join('?' * len(values))}", values).fetchone()
    assert list(row) == values
