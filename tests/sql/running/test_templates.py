"""Templates of other tools, and our own in the wrong place: never a literal that goes out."""

import json

import pytest

import vercel_sql

T = "vercel.authentication.user_tokens"
FORMS = [
    "{{ .values.name }}",
    "{{ .name }}",
    "{{.name}}",
    "{{ $.Values.name }}",
    "{{ values.name }}",
    "{{- name -}}",
    "{{name|upper}}",
    "{{ quote .name }}",
    "{{ index $.values.name 0 }}",
    "{{ if (eq .name 1) }}",
]
STATEMENTS = [
    f"INSERT INTO {T} (name) VALUES (@)",
    f"INSERT INTO {T} (name) SELECT @",
    f"INSERT INTO {T} (name) VALUES ('a') RETURNING @",
    f"DELETE FROM {T} WHERE id = @",
    f"DELETE FROM {T} WHERE name IN ('a', @)",
    f"EXPLAIN DELETE FROM {T} WHERE id = @",
    f"EXEC {T}.email_login @email = @",
    f"SELECT * FROM {T} WHERE id = @",
    "FROM vercel.authentication.create_auth_token(@)",
    "PREPARE p AS SELECT @",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_template_is_refused_with_the_way_to_write_it(db, sent, statement, form):
    before = f"INSERT INTO {T} (name) VALUES ('first'); "
    for literal in (f"'{form}'", f"'ci {form} 1'", form):
        script = before + "@".join(statement.split("@")[:-1]) + literal
        script += statement.rpartition("@")[2]
        with pytest.raises(vercel_sql.ParameterError, match=r"Write \{\{ name \}\} instead"):
            db.execute(script, {"name": "x"})
    assert sent() == []


def test_in_json(db, sent):
    for form in FORMS:
        text = json.dumps({"email": "a@b.c", "tokenName": form})
        before = len(sent())
        with pytest.raises(vercel_sql.SQLSyntaxError, match=r"write \{\{ name \}\} instead"):
            db.execute(f"EXEC {T}.email_login @@json = '{text}'")
        assert len(sent()) == before
        escaped = text.replace("{{", r"\u007b\u007b")
        db.execute(f"EXEC {T}.email_login @@json = $${escaped}$$")
        assert sent()[-1].body["tokenName"] == form


def test_what_is_only_like_one_is_text(db, sent):
    for text in ("{{}}", "{{ }}", "{ .name }", "{{.*}}", "{{ 1 }}", "{{ not-a-name }}", "}} {{"):
        db.execute(f"INSERT INTO {T} (name) VALUES ('{text}')")
        assert sent("POST")[-1].body == {"name": text}


def test_the_way_that_the_error_tells_makes_it_text(db, sent):
    for form in [*FORMS, "{{ name }}", "ci {{ name }}"]:
        with pytest.raises(vercel_sql.ParameterError, match=r"has no value|E'…'"):
            db.execute(f"INSERT INTO {T} (name) VALUES ('{form}')")
        db.execute(f"INSERT INTO {T} (name) VALUES (E'{form}')")
        assert sent("POST")[-1].body == {"name": form}
        db.execute(f"INSERT INTO {T} (name) SELECT $${form}$$")
        assert sent("POST")[-1].body == {"name": form}
        db.execute(f"INSERT INTO {T} (name) VALUES ($n)", {"n": form})
        assert sent("POST")[-1].body == {"name": form}


def test_a_placeholder_beside_other_text_is_sent_nowhere(db, sent):
    for statement in STATEMENTS[:7]:
        script = "'ci {{ name }}'".join(statement.rsplit("@", 1))
        with pytest.raises(vercel_sql.ParameterError, match="beside other text"):
            db.execute(script)
    assert sent() == []
    # What is DuckDB's alone may hold it.
    db.execute("CREATE TABLE letters AS SELECT 'Dear {{ name }}' AS text")
    db.execute("INSERT INTO letters VALUES ('Hello {{ name }}')")
    assert db.execute("SELECT count(*) FROM letters WHERE text LIKE '% {{ name }}'").fetchall() == [
        (2,)
    ]
