"""``vercel-sql login --oauth``: what passes, and what is refused without anything being saved."""

from __future__ import annotations

import sys
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from joserfc.jwk import RSAKey

from .conftest import fetch, mode, query_of, with_query


def test_a_login_is_saved_and_used(account):
    ended = account.login()
    assert "Logged in as ada-example" in ended.err
    assert ended.out == ""
    (path,) = account.files
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    saved = account.saved
    assert (saved["kind"], saved["api_url"], saved["oauth_url"]) == (
        "oauth",
        account.sim.url,
        account.sim.url,
    )
    assert saved["access_token"].startswith("vca_")
    assert saved["refresh_token"].startswith("vcr_")
    assert "id_token" not in path.read_text()

    query = account.run("-c", "SELECT username FROM vercel.user.user", "-o", "csv")
    assert (query.process.returncode, query.out) == (0, "username\nada-example\n")


def test_the_address_and_the_exchange_are_as_the_documents_say(account):
    running, address = account.begin()
    asked = query_of(address)
    assert address.startswith(f"{account.sim.url}/oauth/authorize?")
    assert asked["client_id"] == account.client_id
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    assert asked["scope"] == "openid email profile offline_access"
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 43
    redirect = urlsplit(asked["redirect_uri"])
    assert (redirect.hostname, redirect.path) == ("127.0.0.1", "/callback")
    fetch(account.sim.oauth.authorize(address))
    assert running.end() == 0
    (exchange,) = account.asked("/login/oauth/token")
    form = dict(exchange.form)
    assert set(form) == {"grant_type", "client_id", "code", "code_verifier", "redirect_uri"}
    assert form["redirect_uri"] == asked["redirect_uri"]
    assert exchange.method == "POST"
    assert "authorization" not in exchange.headers


def test_an_app_with_a_secret_shows_it_at_the_exchange(account, tmp_path):
    app = account.sim.oauth.clients.confidential
    app = account.sim.oauth.clients.add(
        type(app)("app", "cl_native", "Native", "a-client-secret", native=True,
                  redirect_uris=("http://127.0.0.1/callback",))
    )  # fmt: skip
    secret = tmp_path / "secret"
    secret.write_text("a-client-secret\n")
    ended = account.login("--client-secret-file", str(secret), client_id=app.client_id)
    assert dict(account.asked("/login/oauth/token")[0].form)["client_secret"] == ("a-client-secret")
    assert "a-client-secret" not in ended.err + account.files[0].read_text()
    account.change(expires_at=1)
    assert account.run("whoami").process.returncode == 0
    assert dict(account.refreshes()[0].form)["client_secret"] == "a-client-secret"
    assert account.run("logout").process.returncode == 0
    (revoked,) = account.asked("/login/oauth/token/revoke")
    assert revoked.headers["authorization"].startswith("Basic ")


def test_the_browser_is_opened(account, tmp_path):
    """``BROWSER`` is how webbrowser is told which; this one presses Allow at once."""
    browser = tmp_path / "browser.py"
    browser.write_text(
        "import json, sys, urllib.request\n"
        "body = json.dumps({'url': sys.argv[1]}).encode()\n"
        f"url = {account.sim.url + '/_simulator/authorize'!r}\n"
        "headers = {'Content-Type': 'application/json'}\n"
        "asked = urllib.request.Request(url, body, headers)\n"
        "answer = json.load(urllib.request.urlopen(asked))\n"
        "urllib.request.urlopen(answer['location'])\n"
    )
    login = ("login", "--oauth", "--client-id", account.client_id, *account.port_for())
    ended = account.run(*login, BROWSER=f"{sys.executable} {browser} %s")
    assert ended.process.returncode == 0, ended.err
    assert "/oauth/authorize" in ended.err
    assert account.saved["kind"] == "oauth"


def test_it_says_which_callback_to_register(account):
    """Nothing promises that Vercel takes loopback addresses with any port."""
    option, port = account.port_for()
    callback = f"http://127.0.0.1:{port}/callback"
    app = ("--client-id", account.client_id, option, port)
    running = account.start("login", "--oauth", *app, "--no-browser")
    address = running.until("http://")
    assert query_of(address)["redirect_uri"] == callback
    running.until("Waiting for the sign-in")
    assert "Authorization Callback URLs (team settings, Apps, Manage) must include" in running.err
    assert callback in running.err.splitlines()[-3]
    other = with_query(address, redirect_uri=callback.replace(port, "1"))
    assert fetch(other)[0] == 400, "another one is not registered"
    fetch(account.sim.oauth.authorize(address))
    assert running.end() == 0, running.err


def test_without_a_port_the_callback_is_always_the_same(account):
    """So that it can be registered once; the simulated app has it."""
    ended = account.run("login", "--help")
    assert "8743" in ended.out
    (callback,) = account.sim.oauth.clients.public.redirect_uris
    assert callback == "http://127.0.0.1:8743/callback"


@pytest.mark.parametrize("prompt", ["consent", "login"])
def test_a_prompt(account, prompt):
    running, address = account.begin("--prompt", prompt)
    assert query_of(address)["prompt"] == prompt
    fetch(account.sim.oauth.authorize(address))
    assert running.end() == 0, running.err


@pytest.mark.parametrize("signing", ["client_secret_jwt", "private_key_jwt"])
def test_an_app_that_signs_in_place_of_sending_its_secret(account, tmp_path, signing):
    clients, file = account.sim.oauth.clients, tmp_path / "secret"
    if signing == "private_key_jwt":
        key = RSAKey.generate_key(2048, auto_kid=True)
        app = replace(clients.public, jwks={"keys": [key.as_dict(private=False)]})
        text = key.as_pem(private=True).decode()
    else:
        app = replace(clients.public, client_secret="a-client-secret-of-some-length")
        text = app.client_secret
    clients.add(app)
    file.write_text(text)
    file.chmod(0o600)
    ended = account.login("--client-secret-file", str(file), "--client-signing", signing)
    account.change(expires_at=1)
    assert account.run("whoami").process.returncode == 0
    assert account.run("logout").process.returncode == 0
    sent = [dict(r.form) for r in account.sim.requests() if r.path.startswith("/login/oauth/token")]
    assert len(sent) == 3
    assert len({form["client_assertion"] for form in sent}) == 3, "each works once"
    assert text not in str(account.sim.requests()) + ended.err
    assert not any("client_secret" in form for form in sent)


def test_discovery_may_fail(account):
    """The documented addresses serve in its place, and the ID token is verified all the same."""
    account.sim.faults(kind="status", status=404, path="*openid-configuration", times=None)
    running, address = account.begin()
    fetch(account.sim.oauth.authorize(address))
    assert running.end() == 0, running.err
    assert "The documented addresses are used instead" in running.err
    assert len(account.asked("/api/login/oauth/token")) == 1


def test_a_discovery_document_that_leads_elsewhere(account):
    away = {"authorization_endpoint": "https://issuer.example/authorize"}
    account.sim.faults(kind="patch", path="*openid-configuration", patch=away, times=None)
    running = account.start("login", "--oauth", "--client-id", account.client_id)
    refused(account, running, "is refused", "authorization_endpoint")
    assert "issuer.example" not in running.err


def test_the_marketplaces_tokens_are_no_sign_in(account):
    """Not even with the app as audience, and signed by the marketplace itself."""
    sim = account.sim
    sim.oauth.spoil_id_tokens("claims", claims={"iss": sim.marketplace_url, "type": "id_token"})
    sim.oauth.keys = sim.oauth.marketplace_keys
    running, address = account.begin()
    fetch(sim.oauth.authorize(address))
    refused(account, running, "it comes from another issuer")


def refused(account, running, *words: str) -> None:
    """A login that failed, said why, and saved nothing."""
    assert running.end() == 1, running.err
    last = running.err.strip().splitlines()[-1]
    assert last.startswith("vercel-sql: ")
    for word in words:
        assert word in last
    assert "Traceback" not in running.err
    assert account.files == []
    assert not list(account.config.glob("*.new"))


def test_a_changed_state_changes_nothing(account):
    """Whoever does not know the state, such as a page in the same browser, ends no sign-in."""
    running, address = account.begin()
    base = query_of(address)["redirect_uri"]
    state = query_of(address)["state"]
    guesses = ["state=x", "state=x&state=y", f"state={state}&state=x&code=y", "error=no&state=%FF"]
    for guess in guesses:
        assert fetch(f"{base}?{guess}")[0] == 400
    redirect = account.sim.oauth.authorize(address)
    status, page = fetch(with_query(redirect, state=state[:-1] + "~"))
    assert (status, "goes on" in page) == (400, True)
    assert fetch(redirect)[0] == 200
    assert running.end() == 0, running.err
    assert running.err.count("a state that was not sent") == 1


def test_a_used_code(account):
    running, address = account.begin()
    code = _code(account, address)
    code.used = True
    fetch(_redirect(address, code.code))
    refused(account, running, "invalid_grant", "used before")


def test_an_expired_code(account):
    running, address = account.begin()
    fetch(_redirect(address, _code(account, address, age_seconds=1801).code))
    refused(account, running, "invalid_grant", "expired")


def test_a_wrong_code_verifier(account):
    running, address = account.begin()
    fetch(_redirect(address, _code(account, address, code_challenge="A" * 43).code))
    refused(account, running, "invalid_grant", "code_verifier")


def test_somebody_elses_code(account):
    running, address = account.begin()
    fetch(_redirect(address, "never-given"))
    refused(account, running, "invalid_grant")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("other_key", "signature"),
        ("unknown_key", "signature"),
        ("alg_none", "anybody could sign"),
        ("hs256_public_key", "anybody could sign"),
        ("wrong_audience", "another audience"),
        ("wrong_issuer", "another issuer"),
        ("expired", "expired"),
        ("wrong_nonce", "nonce"),
        ("missing_nonce", "nonce"),
    ],
)
def test_a_bad_id_token(account, fault, words):
    account.sim.oauth.spoil_id_tokens(fault)
    running, address = account.begin()
    fetch(account.sim.oauth.authorize(address))
    refused(account, running, "the ID token is refused", words)
    # The tokens that came with it are not left alive.
    (revoked,) = account.asked("/login/oauth/token/revoke")
    assert account.sim.oauth.sessions.active(dict(revoked.form)["token"]) is None


def test_no_id_token(account):
    path = "/login/oauth/token"
    account.sim.faults(kind="patch", path=path, patch={"id_token": None})
    running, address = account.begin()
    fetch(account.sim.oauth.authorize(address))
    refused(account, running, "no ID token")


def test_a_person_who_denies(account):
    running, address = account.begin()
    fetch(account.sim.oauth.authorize(address, approve=False))
    refused(account, running, "not allowed", "access_denied")


def test_nobody_comes(account):
    running, address = account.begin("--timeout", "0.5")
    callback = query_of(address)["redirect_uri"]
    refused(account, running, "nobody signed in within", callback, "registered")


def test_what_is_no_redirect_of_ours_changes_nothing(account):
    running, address = account.begin()
    base = query_of(address)["redirect_uri"]
    root = base.removesuffix("/callback")
    assert fetch(f"{root}/favicon.ico")[0] == 404
    assert fetch(f"{root.replace('127.0.0.1', 'localhost')}/callback?state=x&code=y")[0] == 404
    assert fetch(base)[0] == 400
    assert fetch(f"{base}?code=abc")[0] == 400
    assert fetch(account.sim.oauth.authorize(address))[0] == 200
    assert running.end() == 0


def test_a_parameter_twice(account):
    running, address = account.begin()
    fetch(account.sim.oauth.authorize(address) + "&code=other")
    refused(account, running, "twice")


def test_a_port_that_is_taken(account):
    port = str(account.sim.port)
    login = ("login", "--oauth", "--client-id", account.client_id, "--no-browser")
    refused(account, account.start(*login, "--port", port), port, "--port takes another one")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--email"),
        (("--oauth",), "--client-id"),
        (("--oauth", "--email", "a@example.com", "--client-id", "x"), "either"),
        (("--oauth", "--client-id", "x", "--scope", "email"), "openid"),
        (("--oauth", "--client-id", "x", "--port", "70000"), "70000"),
        (("--oauth", "--client-id", "x", "--prompt", "none"), "--prompt"),
        (("--oauth", "--client-id", "x", "--client-signing", "private_key_jwt"), "--client-secret"),
        (("--email", "a@example.com", "--api-url", "http://example.com"), "plain http"),
    ],
)
def test_wrong_use(account, arguments, words):
    ended = account.run("login", *arguments)
    assert ended.process.returncode == 2
    assert words in ended.err


@pytest.mark.parametrize("missing", ["VERCEL_API_URL", "VERCEL_OAUTH_URL"])
def test_no_sign_in_of_vercels_own_for_another_api_nor_the_reverse(account, missing):
    login = ("login", "--oauth", "--client-id", account.client_id, "--no-browser")
    ended = account.run(*login, **{missing: ""})
    assert ended.process.returncode == 2
    assert "their tokens don't belong together" in ended.err
    assert account.files == []
    assert account.sim.requests() == []


def test_a_token_in_the_environment_comes_before_the_login(account):
    running, address = account.begin(VERCEL_TOKEN=account.sim.token)
    fetch(account.sim.oauth.authorize(address))
    assert running.end() == 0
    assert "VERCEL_TOKEN is set, and takes precedence over this login" in running.err


def _code(account, address, **options):
    asked = query_of(address)
    given = {name: asked[name] for name in ("redirect_uri", "nonce", "code_challenge")}
    return account.sim.oauth.mint_code(client_id=account.client_id, **{**given, **options})


def _redirect(address, code):
    asked = query_of(address)
    return with_query(asked["redirect_uri"] + "?", code=code, state=asked["state"])
