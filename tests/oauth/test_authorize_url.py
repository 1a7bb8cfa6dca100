"""The authorize URL: computed on this machine, with PKCE, state and nonce."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import parse_qsl, urlsplit

import pytest

import vercel_sql
from vercel_sql.http.discovery import Discovery

from .conftest import DISCOVERY_PATH

EXEC = "EXEC vercel.oauth.sign_in.authorize_url @client_id = 'cl_1', @redirect_uri = $uri"
URI = "https://app.example/back?a=1&b=ü"
FUNCTION = "FROM vercel.oauth.authorize_url(client_id := 'cl_1', redirect_uri := $uri)"


def made(db, statement=EXEC, **parameters):
    cursor = db.execute(statement, {"uri": URI, **parameters})
    names = [column[0] for column in cursor.description]
    return dict(zip(names, cursor.fetchone(), strict=True))


@pytest.mark.parametrize("statement", [EXEC, FUNCTION])
def test_every_parameter_of_the_query(statement, db, sim, sent):
    row = made(db, statement)
    parts = urlsplit(row["url"])
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{sim.url}/oauth/authorize"
    assert dict(parse_qsl(parts.query, strict_parsing=True)) == {
        "client_id": "cl_1",
        "redirect_uri": URI,
        "response_type": "code",
        "state": row["state"],
        "nonce": row["nonce"],
        "code_challenge": row["code_challenge"],
        "code_challenge_method": "S256",
    }
    assert [request.path for request in sent(discovery=True)] == [DISCOVERY_PATH]
    made(db, statement)
    assert sent(discovery=True) == [], "where browsers are sent to is known now"


@pytest.mark.parametrize("statement", [EXEC, FUNCTION])
def test_the_challenge_is_the_verifiers_sha256(statement, db):
    row = made(db, statement)
    digest = hashlib.sha256(row["code_verifier"].encode("ascii")).digest()
    assert row["code_challenge"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert 43 <= len(row["code_verifier"]) <= 128, "RFC 7636, section 4.1"
    assert row["code_verifier"] not in row["url"]


def test_state_nonce_and_verifier_are_random_each_time(db):
    rows = [made(db) for _ in range(5)]
    for name in ("state", "nonce", "code_verifier"):
        values = {row[name] for row in rows}
        assert len(values) == 5
        assert all(len(value) >= 43 for value in values)


def test_state_nonce_and_scope_may_be_given(db):
    more = ", @state = 'my state', @nonce = 'my nonce', @scope = 'openid email'"
    row = made(db, EXEC + more)
    query = dict(parse_qsl(urlsplit(row["url"]).query))
    assert (query["state"], query["nonce"]) == ("my state", "my nonce")
    assert (row["state"], row["nonce"]) == ("my state", "my nonce")
    assert query["scope"] == "openid email"


def test_no_token_is_needed(connect):
    assert made(connect(token=None))["url"]
    assert made(connect(token=None, read_only=True))["url"]


def test_without_another_server_it_is_vercels(monkeypatch):
    monkeypatch.setattr(Discovery, "read", lambda self, client: None)
    with vercel_sql.connect() as db:
        assert made(db)["url"].startswith("https://vercel.com/oauth/authorize?client_id=cl_1&")


def test_what_is_missing_or_empty(db):
    with pytest.raises(vercel_sql.ParameterError, match="redirect_uri is missing"):
        db.execute("EXEC vercel.oauth.sign_in.authorize_url @client_id = 'cl_1'")
    with pytest.raises(vercel_sql.DataError, match="client_id is empty"):
        db.execute(
            "EXEC vercel.oauth.sign_in.authorize_url @client_id = '', @redirect_uri = 'https://a'"
        )


def test_explain_shows_discovery_alone(db, sent):
    rows = db.execute(f"EXPLAIN {EXEC}", {"uri": URI}).fetchall()
    assert [row[1:3] for row in rows] == [("GET", DISCOVERY_PATH)]
    assert sent() == []


def test_prompt_and_response_mode(db):
    more = ", @prompt = $prompt, @response_mode = $mode"
    for prompt, mode in (("consent", "query"), ("login", "web_message.opener")):
        query = dict(
            parse_qsl(urlsplit(made(db, EXEC + more, prompt=prompt, mode=mode)["url"]).query)
        )
        assert (query["prompt"], query["response_mode"]) == (prompt, mode)
    for name, value in (("prompt", "none"), ("response_mode", "fragment")):
        with pytest.raises(vercel_sql.DataError, match=f"{name} takes one of"):
            made(db, f"{EXEC}, @{name} = $value", value=value)


def test_the_browser_brings_back_the_state(sign_in):
    begun = sign_in()
    assert begun.brought["state"] == [begun.state]
