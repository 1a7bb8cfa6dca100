"""Revocation, introspection, user info, and minted codes."""

from dataclasses import replace

import pytest


def test_revoking_the_access_token_takes_the_refresh_token_too(app):
    tokens, other = app.sign_in(), app.sign_in()
    response = app.revoke(tokens.access_token)
    assert (response.status_code, response.json()) == (200, {})
    assert app.as_user("/v2/user", tokens.access_token).status_code == 403
    assert app.introspect(tokens.refresh_token) == {"active": False}
    assert app.error(app.refresh(tokens.refresh_token)) == "invalid_grant"
    assert app.introspect(other.access_token)["active"] is True


def test_revoking_the_refresh_token_ends_the_session(app):
    tokens = app.sign_in()
    assert app.revoke(tokens.refresh_token).json() == {}
    assert app.introspect(tokens.access_token) == {"active": False}


def test_a_token_that_is_not_known_is_revoked_enough(app):
    tokens = app.sign_in()
    for token in (tokens.access_token, tokens.access_token, "vca_guessed"):
        assert app.revoke(token).status_code == 200


def test_a_client_with_a_secret_revokes_with_the_header_alone(web):
    tokens = web.sign_in()
    path, form = "/login/oauth/token/revoke", {"token": tokens.access_token}
    in_form = web.http.post(path, data=form | web.secret() | {"client_id": web.client.client_id})
    assert web.error(in_form, 401) == "invalid_client"
    assert web.error(web.revoke(tokens.access_token), 401) == "invalid_client"
    assert web.error(web.http.post(path, data=form)) == "invalid_request"
    wrong = web.http.post(path, data=form, auth=(web.client.client_id, "wrong"))
    assert web.error(wrong, 401) == "invalid_client"
    assert web.introspect(tokens.access_token)["active"] is True
    auth = (web.client.client_id, web.client.client_secret)
    response = web.http.post(path, data=form, auth=auth)
    assert (response.status_code, response.json()) == (200, {})
    assert web.introspect(tokens.access_token) == {"active": False}
    assert web.error(web.http.post(path, data={}, auth=auth)) == "invalid_request"


def test_a_client_revokes_its_own_tokens_only(app, web):
    tokens = web.sign_in()
    assert app.error(app.revoke(tokens.access_token)) == "unauthorized_client"
    assert app.introspect(tokens.access_token)["active"] is True


def test_introspection_says_what_a_good_token_is(app):
    tokens = app.sign_in()
    access, refresh = app.introspect(tokens.access_token), app.introspect(tokens.refresh_token)
    for shown in (access, refresh):
        assert set(shown) == {
            *("active", "client_id", "token_type", "exp", "iat", "sub", "iss", "jti"),
            *("session_id", "aud"),
        }
        assert shown["active"] is True
        assert shown["token_type"] == "bearer"
        assert shown["client_id"] == app.client.client_id
        assert shown["sub"] == app.simulator.state.user["id"]
        assert shown["iss"] == app.simulator.url
    assert access["exp"] - access["iat"] == 3600
    assert access["session_id"] == refresh["session_id"]
    assert access["jti"] != refresh["jti"]


def test_of_any_other_token_introspection_says_only_that_it_is_not_good(app):
    tokens = app.sign_in()
    app.refresh(tokens.refresh_token)
    app.simulator.oauth.expire_token(tokens.access_token)
    dead = (tokens.access_token, tokens.refresh_token, "guessed", app.simulator.token)
    for token in dead:
        assert app.introspect(token) == {"active": False}
    assert app.error(app.http.post("/login/oauth/token/introspect")) == "invalid_request"


def test_a_token_can_be_expired_at_once(app, control):
    tokens = app.sign_in()
    assert control("expire", {"token": tokens.access_token}) == {"expired": True}
    refused = app.as_user("/v2/user", tokens.access_token)
    assert refused.json()["error"]["invalidToken"] is True
    assert app.refresh(tokens.refresh_token).status_code == 200, "its refresh token lives on"
    other = app.sign_in()
    app.simulator.oauth.expire_token(other.refresh_token)
    assert app.error(app.refresh(other.refresh_token)) == "invalid_grant"
    control("expire", {"token": "guessed"}, status=404)
    with pytest.raises(LookupError):
        app.simulator.oauth.expire_token("guessed")


@pytest.mark.parametrize(
    ("scope", "claims"),
    [
        ("openid", {"sub"}),
        ("openid email", {"sub", "email", "email_verified"}),
        ("openid profile", {"sub", "name", "preferred_username", "picture"}),
    ],
)
def test_user_info_says_what_was_allowed(app, scope, claims):
    tokens = app.sign_in(scope=scope)
    path, headers = "/login/oauth/userinfo", {"Authorization": f"Bearer {tokens.access_token}"}
    response = app.http.post(path, headers=headers)
    assert response.status_code == 200
    assert set(response.json()) == claims
    assert response.json()["sub"] == app.simulator.state.user["id"]
    said = claims - {"email_verified"}
    assert said <= set(app.claims(tokens.id_token)), "and the ID token says the same"


def test_user_info_needs_a_good_access_token(app):
    tokens = app.sign_in()
    path = "/login/oauth/userinfo"
    for bearer in (tokens.refresh_token, app.simulator.token, "guessed", ""):
        response = app.http.post(path, headers={"Authorization": f"Bearer {bearer}".strip()})
        assert app.error(response, 401) == "invalid_token"
        assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert app.error(app.http.post(path), 401) == "invalid_token"
    app.simulator.advance(3601)
    headers = {"Authorization": f"Bearer {tokens.access_token}"}
    assert app.error(app.http.post(path, headers=headers), 401) == "invalid_token"
    only_email = app.sign_in(scope="email")
    headers = {"Authorization": f"Bearer {only_email.access_token}"}
    assert app.error(app.http.post(path, headers=headers), 403) == "insufficient_scope"


def test_a_code_can_be_had_without_a_browser(app, control):
    minted = control("codes", {"kind": "authorization", "nonce": "n", "scope": "openid"})
    assert minted["client_id"] == app.client.client_id
    response = app.exchange(
        minted["code"],
        code_verifier=minted["code_verifier"],
        redirect_uri=minted["redirect_uri"],
    )
    assert app.claims(response.json()["id_token"], nonce="n")
    own = {"kind": "authorization", "code_challenge": app.CHALLENGE}
    own |= {"redirect_uri": app.redirect_uri, "client_id": app.client.client_id}
    minted = control("codes", own)
    assert "code_verifier" not in minted
    assert app.exchange(minted["code"]).status_code == 200
    old = control("codes", {**own, "age_seconds": 600})
    assert app.error(app.exchange(old["code"])) == "invalid_grant"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"kind": "gift"}, 400),
        ({"kind": "authorization", "client_id": "nobody"}, 404),
        ({"kind": "integration", "team": "nobody"}, 404),
        ({"kind": "sso", "age_seconds": "old"}, 400),
        ({"kind": "sso", "else": 1}, 400),
    ],
)
def test_wrong_wishes_for_codes_are_explained(control, body, status):
    assert control("codes", body, status)["error"]["message"]


def test_the_registered_clients_are_shown(app, web, control):
    clients = {client["client_id"]: client for client in control("clients")["clients"]}
    assert len(clients) == 4
    assert clients[app.client.client_id]["client_secret"] is None
    assert clients[app.client.client_id]["redirect_uris"] == [app.redirect_uri]
    shown = clients[web.client.client_id]
    assert shown["client_secret"] == web.client.client_secret
    assert shown["redirect_uris"] == list(web.client.redirect_uris)
    assert {client["kind"] for client in clients.values()} == {"app", "integration", "sso"}


def test_a_test_may_register_clients_of_its_own(app):
    tokens = app.sign_in()
    changed = replace(app.client, redirect_uris=("http://127.0.0.1/elsewhere",), native=True)
    app.simulator.oauth.clients.add(changed)
    assert app.authorize().status_code == 400
    assert app.authorize(redirect_uri="http://127.0.0.1:9/elsewhere").status_code == 200
    assert app.refresh(tokens.refresh_token).status_code == 200


def test_clients_depend_on_the_seed_alone(start):
    ids = [start(count, seed=seed).oauth.clients for count, seed in ((0, 1), (9, 1), (0, 2))]
    one, same, other = ([client.client_id for client in clients] for clients in ids)
    assert one == same != other
