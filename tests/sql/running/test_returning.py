"""RETURNING of an INSERT: any expression over what was made, and never a secret that is lost."""

import json
import stat

import pytest

import vercel_sql

TABLE = "vercel.authentication.user_tokens"
INSERT = f"INSERT INTO {TABLE} (name) VALUES ('a'), ('b') RETURNING "


@pytest.mark.parametrize(
    ("returning", "names", "secret"),
    [
        ("bearerToken, token", ["bearerToken", "token"], {"bearerToken"}),
        ("BEARERTOKEN", ["bearerToken"], {"bearerToken"}),
        ('"bearerToken" AS "the secret"', ["the secret"], {"the secret"}),
        ("bearerToken s, name", ["s", "name"], {"s"}),
        ("s: bearerToken", ["s"], {"s"}),
        ("(bearerToken) AS s", ["s"], {"s"}),
        ("user_tokens.bearerToken, user_tokens.id", ["bearerToken", "id"], {"bearerToken"}),
        ("COLUMNS('bearer.*|^id$')", ["bearerToken", "id"], {"bearerToken"}),
        ("bearerToken, upper(name) AS n", ["bearerToken", "n"], {"bearerToken"}),
        ("bearerToken, token.name, token.type", ["bearerToken", "name", "type"], {"bearerToken"}),
        ("bearerToken, bearerToken[:4] AS h", ["bearerToken", "h"], {"bearerToken", "h"}),
        ("bearerToken, [bearerToken] AS l", ["bearerToken", "l"], {"bearerToken", "l"}),
        ("row_number() OVER () AS r, bearerToken", ["r", "bearerToken"], {"bearerToken"}),
        ("bearerToken, (SELECT 42) AS x", ["bearerToken", "x"], {"bearerToken"}),
    ],
)
def test_what_it_may_be(db, authenticates, returning, names, secret):
    cursor = db.execute(INSERT + returning)
    rows = cursor.fetchall()
    assert [column[0] for column in cursor.description] == names
    assert cursor.secret_columns == secret
    bearers = [row[names.index(next(n for n in names if n in secret))] for row in rows]
    assert len(set(bearers)) == 2
    assert all(map(authenticates, bearers))


@pytest.mark.parametrize("star", ["*", "user_tokens.*", "* EXCLUDE (name, scopes)", "token.id, *"])
def test_a_star_has_the_secret_and_the_columns_of_the_token(db, star):
    cursor = db.execute(INSERT + star)
    names = [column[0] for column in cursor.description]
    assert {"bearerToken", "token", "id", "createdAt"} <= set(names)
    assert cursor.secret_columns == {"bearerToken"}


def test_an_alias_of_the_table_qualifies(db):
    cursor = db.execute(
        f"INSERT INTO {TABLE} AS t (name) VALUES ('a') RETURNING t.bearerToken, t.name"
    )
    assert cursor.fetchall()[0][1] == "a"


def test_without_it_secret_and_token_come_all_the_same(db, authenticates):
    cursor = db.execute(f"INSERT INTO {TABLE} (name) VALUES ('a')")
    assert [column[0] for column in cursor.description] == ["bearerToken", "token"]
    assert cursor.secret_columns == {"bearerToken"}
    assert authenticates(cursor.fetchone()[0])


LOSES_THE_SECRET = [
    "name",
    "token",
    "'bearerToken'",
    "name AS bearerToken",
    "upper(bearerToken)",
    "bearerToken || ''",
    "coalesce(bearerToken, name)",
    "coalesce(name, bearerToken)",
    "CASE WHEN name IS NULL THEN bearerToken END",
    "[bearerToken]",
    "{'a': bearerToken}",
    "(SELECT bearerToken)",
    "first_value(bearerToken) OVER ()",
    "bearerToken = 'x'",
    "* EXCLUDE (bearerToken)",
    "* EXCLUDE bearerToken",
    "* REPLACE (name AS bearerToken)",
    "* REPLACE (coalesce(name, bearerToken) AS bearerToken)",
    "COLUMNS('^name$')",
    "COLUMNS(* EXCLUDE (bearerToken))",
    "upper(COLUMNS('bearerToken'))",
]


@pytest.mark.parametrize("returning", LOSES_THE_SECRET)
def test_what_may_lose_the_secret_is_refused_before_the_first_request(db, sent, returning):
    with pytest.raises(
        vercel_sql.ParameterError,
        match=r"bearerToken itself as a column.*\(--save-secrets, secrets_file=\)",
    ):
        db.execute(INSERT + returning)
    assert sent() == []


@pytest.mark.parametrize("returning", LOSES_THE_SECRET)
def test_and_is_fine_where_the_secrets_are_saved(connect, tmp_path, sent, returning):
    file = tmp_path / "secrets"
    db = connect(secrets_file=file)
    assert len(db.execute(INSERT + returning).fetchall()) == 2
    assert len(sent("POST")) == len(file.read_text().splitlines()) == 2


@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize(
    "returning",
    ["min(bearerToken)", "count(*)", "DISTINCT bearerToken", "bearerToken, unnest([1, 2])"],
)
def test_another_number_of_rows_is_refused_before_the_first_request(
    connect, tmp_path, sent, returning, saved
):
    db = connect(secrets_file=tmp_path / "secrets" if saved else None)
    with pytest.raises(vercel_sql.Error, match=r"one row for each|GROUP"):
        db.execute(INSERT + returning)
    assert sent() == []


@pytest.mark.parametrize(
    "returning", ["bearerToken, no_such", "bearerToken WHERE false", "bearerToken, 1 +", "t.name"]
)
def test_what_does_not_fit_is_refused_before_the_first_request(db, sent, returning):
    with pytest.raises(vercel_sql.ProgrammingError):
        db.execute(INSERT + returning)
    assert sent() == []


def test_a_parameter_in_it(db):
    cursor = db.execute(INSERT + "bearerToken, name || $suffix", {"suffix": "!"})
    assert [row[1] for row in cursor.fetchall()] == ["a!", "b!"]


def test_the_secrets_file_has_each_secret_with_what_it_is_for(connect, tmp_path):
    file = tmp_path / "secrets"
    rows = connect(secrets_file=file).execute(INSERT + "bearerToken, id").fetchall()
    saved = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["bearerToken"] for line in saved] == [row[0] for row in rows]
    assert [line["token"]["id"] for line in saved] == [row[1] for row in rows]
    assert {line["resource"] for line in saved} == {"authentication.user_tokens"}
    assert {line["method"] for line in saved} == {"create_auth_token"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_secrets_file_that_others_may_read_is_refused(connect, tmp_path, sent):
    file = tmp_path / "secrets"
    file.touch(mode=0o644)
    file.chmod(0o644)
    with pytest.raises(vercel_sql.OperationalError, match="chmod 600"):
        connect(secrets_file=file)
