"""Each request that the documents show, field by field, as the server received it."""

from __future__ import annotations

import base64

import pytest

FORM = "application/x-www-form-urlencoded"
TOKEN = "/login/oauth/token"


def one(requests, method, path):
    (request,) = requests
    assert (request.method, request.path, request.query) == (method, path, [])
    assert request.status == 200
    return request


def form_of(request):
    assert request.headers["content-type"] == FORM
    fields = dict(request.form)
    assert len(fields) == len(request.form)
    return fields


def authorization(request):
    return request.headers.get("authorization")


def test_discovery(db, sim, sent):
    query = "SELECT * EXCLUDE additional_fields FROM vercel.oauth.openid_configuration"
    cursor = db.execute(query)
    ((issuer, *endpoints, scopes, responses, grants, challenges, algorithms),) = cursor.fetchall()
    request = one(sent(discovery=True), "GET", "/.well-known/openid-configuration")
    assert (authorization(request), request.body) == (None, None)
    assert issuer == sim.url
    assert endpoints == [
        sim.url + path
        for path in (
            "/oauth/authorize",
            TOKEN,
            f"{TOKEN}/revoke",
            f"{TOKEN}/introspect",
            "/login/oauth/userinfo",
            "/.well-known/jwks",
            "/login/oauth/device-authorization",
        )
    ]
    assert scopes == ["openid", "email", "profile", "offline_access"]
    assert (responses, challenges, algorithms) == (["code"], ["S256"], ["RS256"])
    assert grants[:2] == ["authorization_code", "refresh_token"]


def test_token_exchange_of_a_public_app(sign_in, sent, public):
    begun = sign_in()
    tokens = begun.exchange()
    request = one(sent(), "POST", TOKEN)
    assert authorization(request) is None
    assert form_of(request) == {
        "grant_type": "authorization_code",
        "client_id": public.client_id,
        "code": begun.code,
        "code_verifier": begun.verifier,
        "redirect_uri": public.redirect_uris[0],
    }
    assert tokens["access_token"].startswith("vca_")
    assert tokens["refresh_token"].startswith("vcr_")
    assert tokens["id_token"].count(".") == 2
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 3600)
    assert tokens["scope"] == "openid email profile offline_access"


def test_token_exchange_of_an_app_with_a_secret(sign_in, sent, confidential):
    sign_in(confidential, "openid").exchange()
    request = one(sent(), "POST", TOKEN)
    assert authorization(request) is None
    form = form_of(request)
    assert form["client_secret"] == confidential.client_secret
    assert form["client_id"] == confidential.client_id


def test_what_was_not_granted_is_null(sign_in):
    tokens = sign_in(scope="email").exchange()
    assert (tokens["id_token"], tokens["refresh_token"]) == (None, None)
    assert tokens["scope"] == "email"


@pytest.mark.parametrize("which", ["public", "confidential"])
def test_refresh(which, sim, sign_in, put, sent):
    app = getattr(sim.oauth.clients, which)
    first = sign_in(app).exchange()
    sent()
    values = {"client_id": app.client_id, "refresh_token": first["refresh_token"]}
    if app.client_secret:
        values["client_secret"] = app.client_secret
    second = put("vercel.oauth.tokens", values)
    request = one(sent(), "POST", TOKEN)
    assert authorization(request) is None
    assert form_of(request) == {"grant_type": "refresh_token", **values}
    assert second["access_token"] != first["access_token"]
    assert second["refresh_token"] != first["refresh_token"]


def revoke(db, app, token):
    condition = "token = $token AND client_id = $client_id"
    values = {"token": token, "client_id": app.client_id}
    if app.client_secret:
        condition += " AND client_secret = $client_secret"
        values["client_secret"] = app.client_secret
    return db.execute(f"DELETE FROM vercel.oauth.tokens WHERE {condition}", values)


def is_active(db, token):
    query = "SELECT active FROM vercel.oauth.introspection WHERE token = $token"
    return db.execute(query, {"token": token}).fetchone()[0]


def test_revoke_of_an_app_with_a_secret_is_http_basic(db, sign_in, sent, confidential):
    tokens = sign_in(confidential).exchange()
    sent()
    assert revoke(db, confidential, tokens["access_token"]).rowcount == 1
    request = one(sent(), "POST", f"{TOKEN}/revoke")
    scheme, _, encoded = authorization(request).partition(" ")
    assert scheme == "Basic"
    pair = f"{confidential.client_id}:{confidential.client_secret}"
    assert base64.b64decode(encoded).decode() == pair
    assert form_of(request) == {"token": tokens["access_token"]}
    assert not is_active(db, tokens["access_token"])
    assert not is_active(db, tokens["refresh_token"]), "it goes with the access token"


def test_revoke_of_a_public_app_sends_its_id_in_the_form(db, sign_in, sent, public):
    tokens = sign_in().exchange()
    sent()
    revoke(db, public, tokens["refresh_token"])
    request = one(sent(), "POST", f"{TOKEN}/revoke")
    assert authorization(request) is None
    assert form_of(request) == {"token": tokens["refresh_token"], "client_id": public.client_id}


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_introspection_of_a_good_token(kind, db, sim, sign_in, sent, public):
    token = sign_in().exchange()[kind]
    sent()
    query = "SELECT * FROM vercel.oauth.introspection WHERE token = $token"
    cursor = db.execute(query, {"token": token})
    names = [column[0] for column in cursor.description]
    found = dict(zip(names, cursor.fetchone(), strict=True))
    request = one(sent(), "POST", f"{TOKEN}/introspect")
    assert authorization(request) is None
    assert form_of(request) == {"token": token}
    user_id = sim.state.user["id"]
    assert (found["active"], found["token"], found["sub"]) == (True, token, user_id)
    assert (found["client_id"], found["aud"]) == (public.client_id, public.client_id)
    assert (found["iss"], found["token_type"]) == (sim.url, "bearer")
    assert found["exp"] > found["iat"] > 1_600_000_000
    assert found["jti"]
    assert found["session_id"]
    assert found["additional_fields"] is None


def test_introspection_of_a_bad_token(db):
    query = "SELECT * EXCLUDE token FROM vercel.oauth.introspection WHERE token = 'vca_0f-n0b0dy'"
    (row,) = db.execute(query).fetchall()
    assert row == (False, *[None] * 10)


def test_introspection_of_many_tokens_is_two_requests_each_at_most(db, sign_in, sent):
    good = sign_in().exchange()["access_token"]
    tokens = [good, *(f"other-{n}" for n in range(30))]
    sent()
    places = ", ".join("?" for _ in tokens)
    query = f"SELECT token FROM vercel.oauth.introspection WHERE token IN ({places}) AND active"
    assert db.execute(query, tokens).fetchall() == [(good,)]
    assert len(sent()) == 1 + 2 * 30  # that a token is not active is confirmed


def test_userinfo_of_a_given_token(connect, sim, sign_in, sent):
    token = sign_in().exchange()["access_token"]
    sent()
    cursor = connect(token=None).execute(
        "SELECT sub, email, email_verified, name, preferred_username "
        "FROM vercel.oauth.get_userinfo(access_token := $token)",
        {"token": token},
    )
    user = sim.state.user
    row = (user["id"], user["email"], True, user["name"], user["username"])
    assert cursor.fetchall() == [row]
    request = one(sent(), "POST", "/login/oauth/userinfo")
    assert authorization(request) == f"Bearer {token}"
    assert request.body is None


def test_userinfo_of_the_connections_own_token(connect, sign_in, sent):
    token = sign_in(scope="openid").exchange()["access_token"]
    sent()
    (row,) = connect(token=token).execute("SELECT * FROM vercel.oauth.userinfo").fetchall()
    assert row[0]
    assert row[1:] == (None,) * 6, "only openid was consented to"
    request = one(sent(), "POST", "/login/oauth/userinfo")
    assert authorization(request) == f"Bearer {token}"
