"""The token endpoint: codes with PKCE, refresh tokens that rotate, and who may call."""

import re
from dataclasses import replace

import pytest


def test_a_code_becomes_tokens(app):
    response = app.exchange(app.code())
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    body = response.json()
    assert set(body) == {
        *("access_token", "token_type", "id_token", "expires_in", "scope", "refresh_token")
    }
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 3600)
    assert body["scope"] == "openid email profile offline_access"
    assert re.fullmatch("vca_[A-Za-z0-9]{24,}", body["access_token"])
    assert re.fullmatch("vcr_[A-Za-z0-9]{24,}", body["refresh_token"])
    assert app.claims(body["id_token"], nonce="the-nonce")


def test_the_request_is_recorded_as_a_form(app):
    code = app.code()
    app.simulator.clear_requests()
    app.exchange(code)
    (record,) = app.simulator.requests()
    assert (record.method, record.path) == ("POST", "/login/oauth/token")
    assert record.headers["content-type"] == "application/x-www-form-urlencoded"
    assert dict(record.form) == {
        "grant_type": "authorization_code",
        "client_id": app.client.client_id,
        "code": code,
        "code_verifier": app.VERIFIER,
        "redirect_uri": app.redirect_uri,
    }
    assert (record.status, record.acted, record.token_id) == (200, True, None)


def test_the_access_token_works_at_the_api_for_an_hour(app):
    app.client = app.simulator.oauth.clients.add(replace(app.client, reads=True))
    tokens = app.sign_in()
    assert app.as_user("/v2/user", tokens.access_token).status_code == 200
    current = app.as_user("/v5/user/tokens/current", tokens.access_token).json()["token"]
    assert current["expiresAt"] - current["createdAt"] == 3_600_000
    assert (current["name"], current["origin"]) == (app.client.name, "app")
    listed = app.as_user("/v6/user/tokens?limit=1", tokens.access_token).json()["tokens"]
    assert [token["id"] for token in listed] == [current["id"]]
    app.simulator.advance(3601)
    refused = app.as_user("/v2/user", tokens.access_token)
    assert (refused.status_code, refused.json()["error"]["invalidToken"]) == (403, True)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": "w" * 64}, "invalid_grant"),
        ({"code_verifier": "short"}, "invalid_grant"),
        ({"redirect_uri": "http://127.0.0.1:5180/callback"}, "invalid_grant"),
        ({"code": "guessed"}, "invalid_grant"),
        ({"code": None}, "invalid_request"),
        ({"code": ""}, "invalid_request"),
        ({"code_verifier": None}, "invalid_request"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"client_id": None}, "invalid_request"),
    ],
)
def test_a_code_needs_all_that_it_is_bound_to(app, changes, error):
    code = app.code()
    assert app.error(app.exchange(**{"code": code, **changes})) == error
    assert app.exchange(code).status_code == 200, "and it is not used up"


def test_a_code_works_once_and_using_it_again_ends_the_session(app):
    tokens = app.sign_in()
    assert app.error(app.exchange(tokens.code)) == "invalid_grant"
    assert app.introspect(tokens.access_token) == {"active": False}
    assert app.is_dead(tokens.access_token)
    assert app.error(app.refresh(tokens.refresh_token)) == "invalid_grant"


def test_a_code_is_good_for_ten_minutes(app, control):
    code = app.code()
    control("clock", {"advance_seconds": 601})
    response = app.exchange(code)
    assert app.error(response) == "invalid_grant"
    assert "expired" in response.json()["error_description"]


def test_a_code_is_for_its_own_client(app, web):
    code = app.code()
    assert web.error(web.exchange(code, redirect_uri=app.redirect_uri)) == "invalid_grant"


def test_the_body_has_to_be_a_form_with_each_parameter_once(app):
    response = app.http.post("/login/oauth/token", json={"grant_type": "refresh_token"})
    assert app.error(response) == "invalid_request"
    twice = {"grant_type": ["refresh_token", "refresh_token"], "client_id": app.client.client_id}
    assert app.error(app.http.post("/login/oauth/token", data=twice)) == "invalid_request"
    assert app.http.get("/login/oauth/token").status_code == 405


def test_a_client_shows_its_secret_in_the_form_or_in_the_header(web):
    assert web.exchange(web.code()).status_code == 200
    secret = {"client_id": None, "client_secret": None}
    response = web.exchange(web.code(prompt="consent"), **secret)
    assert web.error(response) == "invalid_request", "no client at all"
    form = {
        "grant_type": "authorization_code",
        "code": web.code(prompt="consent"),
        "code_verifier": web.VERIFIER,
        "redirect_uri": web.redirect_uri,
    }
    auth = (web.client.client_id, web.client.client_secret)
    assert web.post(form, auth=auth).status_code == 200
    both = web.post(form | web.secret(), auth=auth)
    assert web.error(both) == "invalid_request"


@pytest.mark.parametrize("secret", [None, "", "wrong", "geheimnüs"])
def test_a_wrong_or_missing_secret_is_refused(web, secret):
    response = web.exchange("any", client_secret=secret)
    assert web.error(response, 401) == "invalid_client"
    assert "www-authenticate" not in response.headers
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    response = web.post(form, auth=(web.client.client_id, secret or ""))
    assert web.error(response, 401) == "invalid_client"
    assert response.headers["www-authenticate"].startswith("Basic")


def test_unknown_clients_and_secrets_of_clients_without_one_are_refused(app):
    assert app.error(app.exchange("x", client_id="cl_nobody"), 401) == "invalid_client"
    assert app.error(app.exchange("x", client_secret="made-up"), 401) == "invalid_client"
    integration = app.simulator.oauth.clients.integration
    response = app.exchange("x", client_id=integration.client_id)
    assert app.error(response, 401) == "invalid_client"
    headers = {"Authorization": "Basic !"}
    response = app.http.post("/login/oauth/token", data={"a": "b"}, headers=headers)
    assert app.error(response, 401) == "invalid_client"


def test_refreshing_rotates(app):
    first = app.sign_in()
    second = app.refresh(first.refresh_token).json()
    assert {"access_token", "refresh_token", "id_token", "scope", "expires_in"} <= set(second)
    assert second["refresh_token"] != first.refresh_token
    assert not app.is_dead(second["access_token"])
    claims = app.claims(second["id_token"])
    assert "nonce" not in claims
    assert claims["sub"] == app.claims(first.id_token)["sub"]
    third = app.refresh(second["refresh_token"])
    assert third.status_code == 200


def test_a_refresh_token_that_is_used_twice_ends_its_session(app):
    first = app.sign_in()
    second = app.refresh(first.refresh_token).json()
    assert app.error(app.refresh(first.refresh_token)) == "invalid_grant"
    assert app.error(app.refresh(second["refresh_token"])) == "invalid_grant"
    for access_token in (first.access_token, second["access_token"]):
        assert app.is_dead(access_token)


def test_other_sessions_live_on(app):
    one, other = app.sign_in(), app.sign_in()
    app.refresh(one.refresh_token)
    app.refresh(one.refresh_token)
    assert app.refresh(other.refresh_token).status_code == 200


def test_a_refresh_token_outlives_its_access_token_by_far(app):
    tokens = app.sign_in()
    app.simulator.advance(29 * 86_400)
    tokens = app.refresh(tokens.refresh_token)
    assert tokens.status_code == 200
    app.simulator.advance(31 * 86_400)
    assert app.error(app.refresh(tokens.json()["refresh_token"])) == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"refresh_token": None}, "invalid_request"),
        ({"refresh_token": "vcr_guessed"}, "invalid_grant"),
        ({"scope": "openid admin"}, "invalid_scope"),
    ],
)
def test_wrong_refreshes_change_nothing(app, changes, error):
    tokens = app.sign_in()
    assert app.error(app.refresh(**{"refresh_token": tokens.refresh_token, **changes})) == error
    assert app.refresh(tokens.refresh_token).status_code == 200


def test_only_a_refresh_token_of_the_client_itself_refreshes(app, web):
    tokens = app.sign_in()
    assert app.error(app.refresh(tokens.access_token)) == "invalid_grant"
    assert web.error(web.refresh(tokens.refresh_token)) == "invalid_grant"
    assert app.refresh(tokens.refresh_token).status_code == 200


def test_less_may_be_asked_for_at_a_refresh(app):
    tokens = app.refresh(app.sign_in().refresh_token, scope="email").json()
    assert tokens["scope"] == "email"
    assert "id_token" not in tokens
    everything = app.refresh(tokens["refresh_token"]).json()
    assert everything["scope"] == "openid email profile offline_access"


def test_deleting_the_access_token_over_the_api_ends_the_session(app, api):
    tokens = app.sign_in()
    id_ = app.simulator.state.find_bearer(tokens.access_token).id
    assert api.delete(f"/v3/user/tokens/{id_}").status_code == 200
    assert app.error(app.refresh(tokens.refresh_token)) == "invalid_grant"


def test_faults_and_limits_befall_it_too(app, start, connect):
    app.simulator.faults(kind="drop_after", path="/login/oauth/token")
    tokens = app.sign_in
    with pytest.raises(Exception, match="disconnected"):
        tokens()
    app.simulator.faults(kind="status", status=500, method="POST")
    assert app.refresh("x").status_code == 500
    limited = connect(start(0, rate_limit="1/60"), None)
    statuses = [limited.get("/.well-known/jwks").status_code for _ in range(2)]
    assert statuses == [200, 429]
