"""The methods as native functions of DuckDB, those that change something included."""

from __future__ import annotations

import json

import duckdb
import pytest


@pytest.fixture
def con(sim, attached, tmp_path):
    """A plain DuckDB connection with every function in it."""
    sim.clear_requests()
    return attached(sim, oauth_url=sim.url, writes=True, secrets_file=tmp_path / "secrets")


@pytest.fixture
def lines(tmp_path):
    """What was saved to the secrets file."""
    return lambda: [json.loads(line) for line in (tmp_path / "secrets").read_text().splitlines()]


def rows(con, query, **values):
    relation = con.execute(query, values or None)
    names = [column[0] for column in relation.description]
    return [dict(zip(names, row, strict=True)) for row in relation.fetchall()]


EXCHANGE = (
    "FROM vercel.oauth.exchange_code($client_id, $code, $code_verifier, $redirect_uri, $request_id)"
)


def test_exchange_happens_once_for_an_id(con, sign_in, sent, lines):
    values = {**sign_in().values(), "request_id": "first"}
    (first,) = rows(con, EXCHANGE, **values)
    (second,) = rows(con, EXCHANGE, **values)
    assert first == second
    assert [request.path for request in sent()] == ["/login/oauth/token"]
    (line,) = lines()
    assert line["refresh_token"] == first["refresh_token"]
    assert "id_token" not in line
    assert first["id_token"] not in str(line)


def test_refresh_and_revoke(con, sign_in, sent, lines, public):
    tokens = sign_in().exchange()
    sent()
    query = "FROM vercel.oauth.refresh_tokens($c, $t, 'refresh')"
    (row,) = rows(con, query, c=public.client_id, t=tokens["refresh_token"])
    revoke = "FROM vercel.oauth.revoke_token(token := $t, client_id := $c, request_id := 'revoke')"
    assert rows(con, revoke, c=public.client_id, t=row["access_token"]) == [
        {"additional_fields": None}
    ]
    query = "SELECT active FROM vercel.oauth.introspect_token($t)"
    assert rows(con, query, t=row["access_token"]) == [{"active": False}]
    paths = [request.path.removeprefix("/login/oauth/token") for request in sent()]
    assert paths == ["", "/revoke", "/introspect", "/introspect"]
    assert [line["method"] for line in lines()] == ["refresh_tokens"], "revoking makes no secret"


def test_revoke_with_a_secret_is_basic(con, sign_in, sent, confidential):
    token = sign_in(confidential).exchange()["access_token"]
    sent()
    query = "FROM vercel.oauth.revoke_token($t, $c, 'id', client_secret := $s)"
    rows(con, query, t=token, c=confidential.client_id, s=confidential.client_secret)
    (request,) = sent()
    assert request.headers["authorization"].startswith("Basic ")
    assert dict(request.form) == {"token": token}


def test_a_request_id_is_required(con, sent):
    query = "FROM vercel.oauth.revoke_token('t', 'c', NULL)"
    with pytest.raises(duckdb.Error, match="request_id is missing"):
        rows(con, query)
    assert sent() == []


def test_integration_and_sso_exchanges(con, sim, lines):
    integration = sim.oauth.clients.integration
    code = sim.oauth.mint_code("integration")
    (row,) = rows(
        con,
        "FROM vercel.integrations.exchange_code($c, $s, $code, $r, 'one')",
        c=integration.client_id,
        s=integration.client_secret,
        code=code.code,
        r=code.redirect_uri,
    )
    assert row["access_token"]
    sso = sim.oauth.clients.sso
    code = sim.oauth.mint_code("sso", scope="openid offline_access")
    given = {"c": sso.client_id, "s": sso.client_secret}
    query = "FROM vercel.integrations.exchange_sso_token($c, $s, $code, 'two')"
    (row,) = rows(con, query, **given, code=code.code)
    query = "FROM vercel.integrations.refresh_sso_token($c, $s, $r, 'three')"
    (again,) = rows(con, query, **given, r=row["refresh_token"])
    assert again["id_token"]
    saved = lines()
    assert len(saved) == 3
    assert not any("id_token" in line for line in saved)
    assert saved[0]["installation_id"].startswith("icfg_")


def test_errors_hide_what_is_secret(con, sent):
    secret = "c0de-that-nobody-knows"
    query = "FROM vercel.oauth.exchange_code('c', $code, 'verifier-of-it', 'r', 'id')"
    with pytest.raises(duckdb.Error) as raised:
        rows(con, query, code=secret)
    assert "invalid_client" in str(raised.value)
    assert secret not in str(raised.value)


def test_without_writes_only_what_reads_is_there(sim, attached):
    con = attached(sim, oauth_url=sim.url)
    assert rows(con, "SELECT issuer FROM vercel.oauth.get_openid_configuration()")
    query = "SELECT url FROM vercel.oauth.authorize_url(client_id := 'a', redirect_uri := 'b')"
    assert rows(con, query)
    with pytest.raises(duckdb.CatalogException):
        con.execute("FROM vercel.oauth.exchange_code('a', 'b', 'c', 'd', 'e')")


def test_functions_join(con, sign_in, public):
    tokens = sign_in().exchange()
    query = """
        SELECT u.email, i.active, v.sub = u.sub AND i.sub = u.sub AS same
        FROM vercel.oauth.get_userinfo(access_token := $t) AS u,
             vercel.oauth.introspect_token($t) AS i,
             vercel.oauth.verify_id_token($id, $c) AS v
    """
    (row,) = rows(con, query, t=tokens["access_token"], id=tokens["id_token"], c=public.client_id)
    assert (row["active"], row["same"]) == (True, True)
