"""The authorize page: what an app must send, what a person sees, where the browser goes."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from urllib.parse import urlsplit

import pytest


@pytest.mark.parametrize("changes", [{}, {"state": None}, {"nonce": None}])
def test_allowing_brings_a_code_and_the_state(app, changes):
    page = app.page(app.authorize(**changes))
    assert set(page.buttons) == {"allow", "deny"}
    assert app.client.name in page.text
    assert "ada@example.com" in page.text
    assert "see your email address" in page.text
    answer = app.brought(page.press(app.http, "allow"))
    wanted = {"code", "state"} if "state" not in changes else {"code"}
    assert set(vars(answer)) == wanted
    if "state" in wanted:
        assert answer.state == "the state & more"
    assert app.exchange(answer.code).status_code == 200


def test_denying_brings_an_error_and_the_state(app):
    answer = app.brought(app.page(app.authorize()).press(app.http, "deny"))
    assert (answer.error, answer.state) == ("access_denied", "the state & more")
    assert not hasattr(answer, "code")


def test_the_page_is_kept_from_caches_frames_and_scripts(app):
    headers = app.authorize().headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "form-action" not in headers["content-security-policy"], "it would stop the redirect"


def test_nothing_that_is_sent_can_become_html(app):
    app.simulator.state.user["email"] = "<script>alert(1)</script>"
    response = app.authorize(state="<b>", nonce='"><script>')
    assert "<script>" not in response.text
    assert "&lt;script&gt;alert" in response.text


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": None},
        {"client_id": "cl_nobody"},
        {"client_id": "INTEGRATION"},
        {"redirect_uri": None},
        {"redirect_uri": "http://127.0.0.1:8744/callback"},
        {"redirect_uri": "http://localhost:8743/callback"},
        {"redirect_uri": "http://127.0.0.1:8743/elsewhere"},
        {"redirect_uri": "http://127.0.0.1:8743/callback#fragment"},
        {"redirect_uri": "http://127.0.0.1:8743/callback?x=1"},
        {"redirect_uri": "http://user@127.0.0.1:8743/callback"},
        {"redirect_uri": "http://127.0.0.1:port/callback"},
        {"redirect_uri": "http://127.0.0.1.evil.example/callback"},
        {"redirect_uri": "http://192.168.0.1/callback"},
        {"redirect_uri": "https://127.0.0.1/callback"},
        {"redirect_uri": "javascript:alert(1)"},
    ],
)
def test_who_asks_and_where_to_go_back_must_be_known(app, changes):
    if changes.get("client_id") == "INTEGRATION":
        changes = {"client_id": app.simulator.oauth.clients.integration.client_id}
    response = app.authorize(**changes)
    assert response.status_code == 400
    assert "location" not in response.headers
    assert app.page(response).buttons == {}
    with pytest.raises(ValueError):
        app.simulator.oauth.authorize(str(response.request.url))


def test_either_given_twice_is_not_trusted_either(app):
    query = [*app.authorize_query().items(), ("redirect_uri", "https://evil.example")]
    assert app.http.get("/oauth/authorize", params=query).status_code == 400
    query = [*app.authorize_query().items(), ("client_id", "cl_nobody")]
    assert app.http.get("/oauth/authorize", params=query).status_code == 400


@pytest.mark.parametrize(
    "uri",
    ["http://127.0.0.1:1/callback", "http://[::1]:65535/callback", "http://localhost:80/"],
)
def test_an_app_for_which_any_port_was_agreed_may_listen_on_any(app, uri):
    addresses = ("http://127.0.0.1/callback", "http://[::1]/callback", "http://localhost/")
    native = replace(app.client, native=True, redirect_uris=addresses)
    app.client = app.simulator.oauth.clients.add(native)
    app.redirect_uri = uri
    assert app.exchange(app.code()).status_code == 200


def test_other_apps_have_to_name_their_addresses_exactly(web):
    assert web.authorize().status_code == 200
    for uri in ("http://localhost:3001/api/auth/callback", "http://localhost/api/auth/callback"):
        assert web.authorize(redirect_uri=uri).status_code == 400


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "invalid_request"),
        ({"prompt": "none"}, "invalid_request"),
        ({"prompt": "consent login"}, "invalid_request"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "x" * 42}, "invalid_request"),
        ({"code_challenge": "x" * 129}, "invalid_request"),
        ({"code_challenge": "x" * 42 + "/"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "admin"}, "invalid_scope"),
    ],
)
def test_the_app_is_told_of_other_mistakes(app, changes, error):
    answer = app.brought(app.authorize(**changes))
    assert (answer.error, answer.state) == (error, "the state & more")
    assert answer.error_description
    assert not hasattr(answer, "code")


def test_a_parameter_that_is_given_twice_is_a_mistake(app):
    query = [*app.authorize_query().items(), ("nonce", "another")]
    answer = app.brought(app.http.get("/oauth/authorize", params=query))
    assert answer.error == "invalid_request"


def test_the_form_works_once_and_only_as_it_was_shown(app):
    page = app.page(app.authorize())
    url = page.url
    for form in ({}, page.hidden, {"request_id": "guessed", "decision": "allow"}):
        assert app.http.post(url, data=form).status_code == 400
    assert app.http.post(url, data=page.hidden | {"decision": "maybe"}).status_code == 400
    assert page.press(app.http, "allow").status_code == 302
    again = page.press(app.http, "allow")
    assert again.status_code == 400
    assert "answered already" in app.page(again).text


def test_the_form_is_good_for_ten_minutes(app):
    page = app.page(app.authorize())
    app.simulator.advance(601)
    assert page.press(app.http, "allow").status_code == 400


def test_who_has_allowed_it_before_is_not_asked_again(app):
    app.code(scope="openid")
    assert app.brought(app.authorize(scope="openid")).code
    assert app.authorize(scope="openid email").status_code == 200, "that is more"
    for prompt in ("consent", "login"):
        assert app.authorize(scope="openid", prompt=prompt).status_code == 200


def test_a_popup_tells_the_window_that_opened_it_and_no_other(app):
    page = app.page(app.authorize(response_mode="web_message.opener"))
    response = page.press(app.http, "allow")
    assert response.status_code == 200
    assert "location" not in response.headers
    (script,) = re.findall(r"<script>(.*?)</script>", response.text)
    told, origin = json.loads(f"[{script.partition('postMessage(')[2].partition(');')[0]}]")
    assert origin == "http://127.0.0.1:8743"
    assert told["response"]["state"] == "the state & more"
    assert app.exchange(told["response"]["code"]).status_code == 200
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in response.headers["content-security-policy"]
    assert app.brought(app.authorize(response_mode="query")).code


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        (None, "openid email profile offline_access"),
        ("openid", "openid"),
        ("openid admin email openid", "openid email"),
        ("email", "email"),
    ],
)
def test_scopes_are_filtered_by_what_the_app_has(app, scope, granted):
    tokens = app.exchange(app.code(scope=scope)).json()
    assert tokens["scope"] == granted
    assert ("refresh_token" in tokens) is ("offline_access" in granted)
    assert ("id_token" in tokens) is ("openid" in granted)


def test_a_person_can_be_stood_in_for(app, control):
    url = f"{app.simulator.url}/oauth/authorize"
    url = str(app.http.build_request("GET", url, params=app.authorize_query()).url)
    location = control("authorize", {"url": url})["location"]
    assert location.startswith("http://127.0.0.1:8743/callback?code=")
    assert "code=" in app.simulator.oauth.authorize(url)
    denied = control("authorize", {"url": url, "approve": False})["location"]
    assert "error=access_denied" in urlsplit(denied).query
    bad = url.replace("S256", "plain")
    assert "error=invalid_request" in control("authorize", {"url": bad})["location"]
    control("authorize", {"url": "http://x/?client_id=nobody"}, status=400)
    control("authorize", {}, status=400)
    control("authorize", {"url": url, "user_code": "x"}, status=400)
    assert app.simulator.requests() == []
