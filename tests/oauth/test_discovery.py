"""Endpoints come from the discovery document, and are never looked for where it may not lead."""

from __future__ import annotations

import logging

import pytest

import vercel_sql
from vercel_sql.http import discovery

from .conftest import DISCOVERY_PATH, SignIn

NEW, OLD = "/login/oauth/token", "/api/login/oauth/token"
LOOK_UP = "SELECT active FROM vercel.oauth.introspection WHERE token = 'a'"


@pytest.fixture
def told(sim):
    """Changes what the discovery document says, for good."""

    def change(**fields):
        sim.faults(kind="patch", path=DISCOVERY_PATH, patch=fields, times=None)

    return change


def posted(sim):
    return [request.path for request in sim.requests() if request.method == "POST"]


def test_the_document_is_read_once(db, sim, sign_in):
    begun = sign_in()
    tokens = begun.exchange()
    db.execute(LOOK_UP).fetchall()
    db.execute(
        "DELETE FROM vercel.oauth.tokens WHERE token = $t AND client_id = $c",
        {"t": tokens["access_token"], "c": begun.app.client_id},
    )
    assert DISCOVERY_PATH not in [request.path for request in sim.requests()]
    assert posted(sim) == [NEW, f"{NEW}/introspect", f"{NEW}/introspect", f"{NEW}/revoke"]


def test_each_endpoint_may_be_anywhere_on_the_server(db, sim, told, public):
    told(token_endpoint=sim.url + OLD, authorization_endpoint=f"{sim.url}/elsewhere")
    begun = "EXEC vercel.oauth.sign_in.authorize_url @client_id = 'c', @redirect_uri = 'https://a'"
    (url, *_) = db.execute(begun).fetchone()
    assert url.startswith(f"{sim.url}/elsewhere?client_id=c&")
    values = {"c": public.client_id}
    refresh = "INSERT INTO vercel.oauth.tokens (client_id, refresh_token) SELECT $c, 'r'"
    with pytest.raises(vercel_sql.errors.BadRequestError):
        db.execute(refresh, values)
    assert posted(sim) == [OLD]


def test_endpoints_may_be_on_the_apis_server(sim, simulate, told):
    """As they really are: the issuer is vercel.com, the endpoints are on api.vercel.com."""
    api = simulate(1)
    told(introspection_endpoint=f"{api.url}{NEW}/introspect")
    with vercel_sql.connect(api.token, api_url=api.url, oauth_url=sim.url) as db:
        planned = dict(db.execute(f"EXPLAIN {LOOK_UP}").fetchall())["vercel_requests"]
        assert f"POST {NEW}/introspect with" in planned
        assert db.execute(LOOK_UP).fetchall() == [(False,)]
    assert posted(sim) == []
    assert posted(api) == [f"{NEW}/introspect"] * 2


UNAVAILABLE = {
    "not found": {"kind": "status", "status": 404},
    "failing": {"kind": "status", "status": 500},
    "forbidden": {"kind": "status", "status": 403},
    "a page": {"kind": "garbage_body", "html": True},
    "a list": {"kind": "body", "body": []},
    "no issuer": {"kind": "patch", "patch": {"issuer": None}},
    "no answer": {"kind": "drop_before"},
    "too late": {"kind": "hang"},
    "a redirect": {"kind": "redirect", "location": "https://issuer.example"},
}


@pytest.mark.parametrize("name", UNAVAILABLE)
def test_without_a_document_the_documented_addresses_are_used(
    name, connect, sim, public, monkeypatch, caplog
):
    monkeypatch.setattr(discovery, "_PATIENCE", 1.0)
    fault = UNAVAILABLE[name]
    sim.faults(**fault, path=DISCOVERY_PATH, times=None)
    with caplog.at_level(logging.WARNING, "vercel_sql"):
        db = connect(attempts=2)
        begun = SignIn(db, sim, public, "openid email offline_access")
        tokens = begun.exchange()
    assert "The documented addresses are used instead" in caplog.text
    assert begun.url.startswith(f"{sim.url}/oauth/authorize?")
    assert posted(sim) == [OLD]
    if name == "too late":
        sim.clear_faults()  # the keys are asked for anew, and would be waited for as long
    claims = db.execute(
        "EXEC vercel.oauth.sign_in.verify_id_token @id_token = $t, @client_id = $c, @nonce = $n",
        {"t": tokens["id_token"], "c": public.client_id, "n": begun.nonce},
    )
    assert claims.fetchone()[0] == sim.state.user["id"]


def test_an_endpoint_that_the_document_lacks_is_the_documented_one(db, sim, told):
    told(introspection_endpoint=None)
    assert db.execute(LOOK_UP).fetchall() == [(False,)]
    assert posted(sim) == [f"{OLD}/introspect"] * 2


LIES = {
    "another issuer": {"issuer": "https://issuer.example"},
    "a slash more": {"issuer": "{url}/"},
    "a list of issuers": {"issuer": ["{url}"]},
    "another host": {"introspection_endpoint": "https://issuer.example/introspect"},
    "plain http": {"introspection_endpoint": "http://vercel.com/introspect"},
    "a host that begins alike": {"introspection_endpoint": "{url}.issuer.example/introspect"},
    "a user of another host": {"introspection_endpoint": "{url}@issuer.example/introspect"},
    "another port": {"introspection_endpoint": "http://127.0.0.1:9/introspect"},
    "up and away": {"introspection_endpoint": "{url}/../introspect"},
    "a query": {"introspection_endpoint": "{url}/introspect?to=https://issuer.example"},
    "a line break": {"introspection_endpoint": "{url}/introspect\r\nX: y"},
    "no text": {"introspection_endpoint": 5},
    "a relative one": {"introspection_endpoint": "/introspect"},
    "the marketplace": {"introspection_endpoint": "https://marketplace.vercel.com/introspect"},
}


@pytest.mark.parametrize("name", LIES)
def test_a_document_that_leads_elsewhere_is_refused(name, db, sim, told):
    def filled(value):
        if isinstance(value, list):
            return [filled(each) for each in value]
        return value.replace("{url}", sim.url) if isinstance(value, str) else value

    told(**{field: filled(value) for field, value in LIES[name].items()})
    for statement in (
        LOOK_UP,
        f"EXPLAIN {LOOK_UP}",
        "EXEC vercel.oauth.introspection.introspect_token @token = 'a'",
        "FROM vercel.oauth.introspect_token(token := 'a')",
    ):
        with pytest.raises(vercel_sql.OperationalError) as raised:
            db.execute(statement).fetchall()
        text = str(raised.value)
        assert text.startswith(f"the discovery document of {sim.url} is refused: its ")
        assert text.split(": its ")[1].split()[0] in ("issuer", "introspection_endpoint")
        assert "VERCEL_OAUTH_URL" in text
    assert posted(sim) == [], "nobody is sent the token"


def test_no_secret_goes_where_a_document_leads(db, sim, told, confidential):
    """Codes, secrets and access tokens; an EXPLAIN says so too, before anything is sent."""
    away = dict.fromkeys(
        ("token_endpoint", "revocation_endpoint", "userinfo_endpoint", "authorization_endpoint"),
        "https://issuer.example/x",
    )
    told(**away)
    values = {"c": confidential.client_id, "s": confidential.client_secret}
    table = "vercel.oauth.tokens"
    for statement in (
        f"INSERT INTO {table} (client_id, client_secret, refresh_token) SELECT $c, $s, 'r'",
        f"DELETE FROM {table} WHERE token = 't' AND client_id = $c AND client_secret = $s",
        "SELECT sub FROM vercel.oauth.userinfo WHERE $c <> $s",
        "EXEC vercel.oauth.sign_in.authorize_url @client_id = $c, @redirect_uri = $s",
        "EXEC vercel.oauth.sign_in.client_assertion @client_id = $c, @client_secret = $s",
    ):
        for prefix in ("", "EXPLAIN "):
            if prefix and "sign_in" in statement:
                continue  # shows its steps, and takes none
            with pytest.raises(vercel_sql.OperationalError, match="discovery document"):
                db.execute(prefix + statement, values).fetchall()
    assert posted(sim) == []


def test_keys_are_the_issuers_own(sim, simulate, told, public):
    """An API server that publishes keys does not sign for the issuer."""
    api = simulate(1)
    with vercel_sql.connect(api_url=api.url, oauth_url=sim.url) as db:
        id_token = SignIn(db, sim, public, "openid").exchange()["id_token"]
        told(jwks_uri=f"{api.url}/.well-known/jwks")
        with pytest.raises(vercel_sql.OperationalError, match="jwks_uri"):
            db.execute(
                "EXEC vercel.oauth.sign_in.verify_id_token @id_token = $t, @client_id = $c",
                {"t": id_token, "c": public.client_id},
            )
    assert api.requests() == []


@pytest.mark.parametrize(
    "address",
    [
        *("https://vercel.com", "https://vercel.com.evil/x", "http://vercel.com/x"),
        *("https://vercel.com/", "https://vercel.com//x", "https://vercel.com/./x"),
        *("https://vercel.com/a/..", "https://vercel.com/a/../b", "https://vercel.com/%0a b"),
        *("https://vercel.com/x#y", "https://vercel.com\\x", "HTTPS://vercel.com/x", None, 5),
        *("https://vercel.com/ü", "https://vercel.com/x\n", " https://vercel.com/x"),
    ],
)
def test_addresses_that_are_not_on_a_server(address):
    assert discovery.path_on("https://vercel.com", address) in (None, "/", "//x")


def test_the_manifest_names_fields_of_the_document():
    service = vercel_sql.manifest.vercel().service("oauth")
    known = {column.name for column in service.resources["openid_configuration"].columns}
    named = {
        method.endpoint
        for resource in service.resources.values()
        for method in resource.methods.values()
    }
    assert named - {None} <= known
    assert len(named) == 7
