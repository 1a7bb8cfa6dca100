"""Tokens as a table: INSERT chooses its method, DELETE revokes, EXPLAIN hides what is secret."""

from __future__ import annotations

import json

import pytest

import vercel_sql

T = "vercel.oauth.tokens"
TOKEN = "/login/oauth/token"


def grants(requests):
    return [dict(request.form).get("grant_type") for request in requests]


def test_insert_chooses_its_method_by_its_columns(db, sign_in, sent, public):
    begun = sign_in()
    values = {"c": public.client_id, "code": begun.code, "v": begun.verifier}
    row = db.execute(
        f"INSERT INTO {T} (data__client_id, code, code_verifier, data__redirect_uri) "
        "SELECT $c, $code, $v, $r",
        {**values, "r": begun.redirect_uri},
    ).fetchone()
    insert = f"INSERT INTO {T} (data__refresh_token, client_id) VALUES (?, ?)"
    db.execute(insert, [row[5], public.client_id])
    assert grants(sent()) == ["authorization_code", "refresh_token"]


def test_insert_by_name_chooses_too(db, sign_in, sent, public):
    begun = sign_in()
    values = begun.values()
    source = ", ".join(f"${name} AS {name}" for name in values)
    first = db.execute(f"INSERT INTO {T} BY NAME SELECT {source}", values).fetchone()
    db.execute(
        f"INSERT INTO {T} BY NAME SELECT $r AS refresh_token, $c AS client_id",
        {"r": first[5], "c": public.client_id},
    )
    assert grants(sent()) == ["authorization_code", "refresh_token"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("client_id, code, redirect_uri", "code_verifier is missing; required: client_id, code,"),
        ("refresh_token", "client_id is missing; required: client_id, refresh_token; optional"),
        (
            "client_id, code, refresh_token",
            "there is no 'code'; required: client_id, refresh_token",
        ),
        ("client_id, refresh_tokn", "there is no 'refresh_tokn'"),
        ("grant_type", "there is no 'grant_type'"),
    ],
)
def test_columns_that_make_no_exchange(columns, message, db, sent):
    places = ", ".join("'x'" for _ in columns.split(","))
    with pytest.raises(vercel_sql.ParameterError, match=message):
        db.execute(f"INSERT INTO {T} ({columns}) SELECT {places}")
    assert sent() == []


def test_returning_may_not_lose_a_token(db, sent):
    values = "(client_id, refresh_token) SELECT 'c', 'r'"
    with pytest.raises(vercel_sql.ParameterError, match="must have id_token, refresh_token"):
        db.execute(f"INSERT INTO {T} {values} RETURNING access_token")
    assert sent() == []


def test_the_secrets_file_never_has_an_id_token(connect, sign_in, tmp_path):
    saved = tmp_path / "secrets"
    begun = sign_in()
    values = begun.values()
    places = ", ".join(f"${name}" for name in values)
    db = connect(secrets_file=saved)
    statement = f"INSERT INTO {T} ({', '.join(values)}) SELECT {places}"
    row = db.execute(f"{statement} RETURNING id_token, access_token, scope", values).fetchone()
    (line,) = saved.read_text().splitlines()
    kept = json.loads(line)
    assert kept.keys() == {
        *("at", "resource", "method", "create", "checksum"),
        *("access_token", "token_type", "expires_in", "scope", "refresh_token"),
    }
    assert row[0] not in line
    assert kept["access_token"] == row[1]


def test_exec_revokes_too(db, sign_in, sent, public):
    token = sign_in().exchange()["access_token"]
    sent()
    rows = db.execute(
        f"EXEC {T}.revoke_token @token = $t, @client_id = $c", {"t": token, "c": public.client_id}
    )
    assert [column[0] for column in rows.description] == ["additional_fields"]
    assert rows.fetchall() == [(None,)]
    (request,) = sent()
    assert dict(request.form)["token"] == token


@pytest.mark.parametrize(
    "condition",
    [
        "token = $t AND client_id = $c",
        "(client_id = $c) AND ($t = token)",
        "(token = $t AND client_id = $c)",
        "tokens.token = $t AND vercel.oauth.tokens.client_id = $c",
        "TOKEN == {{ t }} AND \"client_id\" = '{{ c }}'",
    ],
)
def test_ways_to_name_what_is_revoked(condition, db, sent, public):
    values = {"t": "some token", "c": public.client_id}
    assert db.execute(f"DELETE FROM {T} WHERE {condition}", values).rowcount == 1
    (request,) = sent()
    assert dict(request.form) == {"token": "some token", "client_id": public.client_id}


@pytest.mark.parametrize(
    "condition",
    [
        "true",
        "token = 'a' OR client_id = 'b'",
        "token = 'a' AND client_id = 'b' OR true",
        "token = 'a' AND (client_id = 'b' OR true)",
        "NOT (token = 'a' AND client_id = 'b')",
        "token IN ('a', 'b') AND client_id = 'c'",
        "token = 'a' || 'b' AND client_id = 'c'",
        "token = (SELECT 'a') AND client_id = 'c'",
        "token = 'a' AND client_id = NULL",
        "token <> 'a' AND client_id = 'c'",
        "token = 'a' AND token = 'b' AND client_id = 'c'",
        "token BETWEEN 'a' AND 'b'",
    ],
)
def test_a_table_that_cannot_be_read_is_not_searched(condition, db, sent):
    with pytest.raises(vercel_sql.ProgrammingError, match="this table can't be read"):
        db.execute(f"DELETE FROM {T} WHERE {condition}")
    assert sent() == []


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (f"DELETE FROM {T}", "has no WHERE"),
        (f"DELETE FROM {T} WHERE token = 'a'", "client_id is missing"),
        (f"DELETE FROM {T} WHERE token = 'a' AND client = 'b'", "client_id"),
        (f"DELETE FROM {T} USING (SELECT 1) WHERE token = 'a' AND client_id = 'b'", "can't be"),
        (f"DELETE FROM {T} WHERE token = 'a' AND client_id = 'b' RETURNING token", "no RETURNING"),
        (f"SELECT * FROM {T}", "has no SELECT: .* INSERT .exchange_code., .* DELETE .revoke_token"),
        (f"SELECT count(*) FROM {T} WHERE token = 'a'", "has no SELECT"),
        ("FROM vercel.oauth.sign_in", "has no SELECT: .* EXEC vercel.oauth.sign_in.authorize_url"),
        ("FROM vercel.integrations.sso_tokens", "has no SELECT"),
        ("FROM vercel.oauth.introspection", "it takes WHERE token = '…'"),
        ("FROM vercel.oauth.introspection WHERE token > 'a'", "it takes WHERE token = '…'"),
        ("FROM vercel.oauth.introspection WHERE token = 'a' OR active", "it takes WHERE token"),
        ("INSERT INTO vercel.oauth.introspection (token) SELECT 'a'", "is not possible"),
        ("DELETE FROM vercel.oauth.userinfo WHERE sub = 'a'", "is not possible"),
        (f"BEGIN; INSERT INTO {T} (client_id, refresh_token) SELECT 'a', 'b'", "BEGIN"),
    ],
)
def test_what_is_not_possible_is_said(statement, message, db, sent):
    with pytest.raises(vercel_sql.Error, match=message):
        db.execute(statement).fetchall()
    assert sent() == []


SECRETS = {
    "client_secret": "s3cr3t of the app",
    "code": "c0de of the sign-in",
    "code_verifier": "v3rifier of the sign-in",
    "refresh_token": "vcr_r3fr3shT0ken",
    "token": "vca_t0k3nToBeRevoked",
}
WRITES = {
    "exchange": f"INSERT INTO {T} (client_id, client_secret, code, code_verifier, redirect_uri) "
    "SELECT 'cl_1', $client_secret, $code, $code_verifier, 'https://app.example'",
    "refresh": f"INSERT INTO {T} (client_id, refresh_token) SELECT 'cl_1', $refresh_token",
    "revoke": f"DELETE FROM {T} WHERE token = $token AND client_id = 'cl_1'",
    "basic": f"DELETE FROM {T} WHERE token = $token AND client_id = 'cl_1' "
    "AND client_secret = $client_secret",
    "exec": f"EXEC {T}.revoke_token @token = $token, @client_id = 'cl_1'",
    "integration": "INSERT INTO vercel.integrations.access_tokens "
    "(client_id, client_secret, code, redirect_uri) "
    "SELECT 'oac_1', $client_secret, $code, 'https://app.example'",
    "sso": "INSERT INTO vercel.integrations.sso_tokens (client_id, client_secret, code, state) "
    "SELECT 'oac_1', $client_secret, $code, 'some state'",
}


@pytest.mark.parametrize("write", WRITES)
def test_explain_is_what_is_sent_and_hides_what_is_secret(write, connect, sim, sent):
    statement = WRITES[write]
    values = {name: value for name, value in SECRETS.items() if f"${name}" in statement}
    db = connect(read_only=False)
    rows = db.execute(f"EXPLAIN {statement}", values).fetchall()
    assert sent() == []
    ((_, method, path, query, body, effect, _, _),) = rows
    shown = json.loads(body)
    assert not any(secret in str(rows) for secret in [*SECRETS.values(), "some state"])
    with pytest.raises(vercel_sql.OperationalError):
        db.execute(statement, values)
    (request,) = sent()
    assert (request.method, request.path, effect) == (method, path, "write")
    assert query is None
    received = request.body if request.form is None else dict(request.form)
    masked = {
        name: "[secret]" if value in [*SECRETS.values(), "some state"] else value
        for name, value in received.items()
    }
    assert shown == masked
    basic = request.headers.get("authorization", "").startswith("Basic ")
    assert basic is (write == "basic")


def test_explain_of_an_introspection_hides_the_token(db, sent):
    token = "vca_" + "t0k3n" * 12
    for query, values in (
        ("FROM vercel.oauth.introspection WHERE token = $t", {"t": token}),
        (f"FROM vercel.oauth.introspection WHERE token = '{token}'", None),
        (f"FROM vercel.oauth.introspection WHERE token IN ('{token}', 'another')", None),
        (f"FROM vercel.oauth.introspect_token('{token}')", None),
    ):
        rows = db.execute(f"EXPLAIN {query}", values).fetchall()
        assert "t0k3nt0k3n" not in str(rows).replace("\n", "")
        line = 'POST /login/oauth/token/introspect with {"token": "[secret]"}'
        assert line in dict(rows)["vercel_requests"]
    assert sent() == []


def test_looking_around(db, sent):
    def dicts(statement):
        cursor = db.execute(statement)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    http = {row["method"]: row["http"] for row in dicts("SHOW METHODS IN vercel.oauth.sign_in")}
    assert http["authorize_url"] == "procedure: GET /.well-known/openid-configuration"
    assert http["client_assertion"] == "procedure: GET /.well-known/openid-configuration"
    assert http["verify_id_token"] == (
        "procedure: GET /.well-known/openid-configuration, GET {jwks_uri}"
    )
    methods = {row["method"]: row for row in dicts(f"SHOW EXTENDED METHODS IN {T}")}
    assert methods["exchange_code"]["http"] == "POST {token_endpoint}"
    assert methods["refresh_tokens"]["required"] == "data__client_id, data__refresh_token"
    assert methods["revoke_token"]["auth"] == "basic"
    assert methods["exchange_code"]["auth"] == "none"
    (userinfo,) = dicts("SHOW EXTENDED METHODS IN vercel.oauth.userinfo")
    assert userinfo["auth"] == "bearer token, or the one that is given"
    described = {
        row["name"]: row for row in dicts("DESCRIBE METHOD vercel.oauth.sign_in.verify_id_token")
    }
    assert (described["id_token"]["secret"], described["id_token"]["location"]) == ("yes", None)
    assert "location" in dicts(f"DESCRIBE METHOD {T}.revoke_token")[0]
    assert sent() == []


def test_each_insert_has_a_template(db, sent):
    exchange, refresh = (row[0] for row in db.execute(f"SHOW INSERT INTO {T}").fetchall())
    assert "code_verifier" in exchange
    assert "data__refresh_token" in refresh
    values = {"client_id": "cl_1", "refresh_token": "r"}
    values |= dict.fromkeys(("client_secret", "client_assertion"))
    with pytest.raises(vercel_sql.OperationalError, match=r"\(POST [^ ]+, 4\d\d"):
        db.execute(refresh, values)
    assert grants(sent()) == ["refresh_token"]
