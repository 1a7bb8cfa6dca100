"""Which server is called, and what a read-only connection refuses."""

from __future__ import annotations

import pytest

import vercel_sql
from vercel_sql import errors

DISCOVERY = "SELECT issuer FROM vercel.oauth.openid_configuration"


def test_the_argument_comes_before_the_environment(sim, simulate, monkeypatch):
    other = simulate(1)
    monkeypatch.setenv("VERCEL_OAUTH_URL", other.url)
    with vercel_sql.connect(sim.token, api_url=sim.url) as db:
        assert db.execute(DISCOVERY).fetchall() == [(other.url,)]
        db.execute("SELECT id FROM vercel.user.user").fetchall()
    assert [request.path for request in other.requests()] == ["/.well-known/openid-configuration"]
    assert [request.path for request in sim.requests()] == ["/v2/user"]
    with vercel_sql.connect(api_url=sim.url, oauth_url=sim.url) as db:
        assert db.execute(DISCOVERY).fetchall() == [(sim.url,)]


def test_the_environment_is_read_by_attach_too(sim, attached, monkeypatch):
    monkeypatch.setenv("VERCEL_OAUTH_URL", sim.url)
    assert attached(sim).execute(DISCOVERY).fetchall() == [(sim.url,)]


@pytest.mark.parametrize("url", ["http://vercel.example", "http://10.0.0.1:8080", "http://vercel"])
def test_plain_http_is_for_loopback_only(url, monkeypatch):
    with pytest.raises(errors.ParameterError, match="plain http"):
        vercel_sql.connect(oauth_url=url)
    monkeypatch.setenv("VERCEL_OAUTH_URL", url)
    with pytest.raises(errors.ParameterError, match="VERCEL_OAUTH_URL is plain http"):
        vercel_sql.connect()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO vercel.oauth.tokens (client_id, refresh_token) SELECT 'a', 'b'",
        "INSERT INTO vercel.oauth.tokens (client_id, code, code_verifier, redirect_uri) "
        "SELECT 'a', 'b', 'c', 'd'",
        "DELETE FROM vercel.oauth.tokens WHERE token = 'a' AND client_id = 'b'",
        "EXEC vercel.oauth.tokens.revoke_token @token = 'a', @client_id = 'b'",
        "EXEC vercel.oauth.tokens.exchange_code @client_id = 'a', @code = 'b', "
        "@code_verifier = 'c', @redirect_uri = 'd'",
        "INSERT INTO vercel.integrations.access_tokens "
        "(client_id, client_secret, code, redirect_uri) SELECT 'a', 'b', 'c', 'd'",
        "INSERT INTO vercel.integrations.sso_tokens (client_id, client_secret, code) "
        "SELECT 'a', 'b', 'c'",
        "EXEC vercel.integrations.sso_tokens.refresh_sso_token @client_id = 'a', "
        "@client_secret = 'b', @refresh_token = 'c'",
    ],
)
def test_read_only_refuses_what_changes_something(statement, connect, sent):
    with pytest.raises(errors.ReadOnlyError):
        connect(read_only=True).execute(statement)
    assert sent() == []


@pytest.mark.parametrize(
    "statement",
    [
        DISCOVERY,
        "SELECT active FROM vercel.oauth.introspection WHERE token = 'a'",
        "EXEC vercel.oauth.introspection.introspect_token @token = 'a'",
        "FROM vercel.oauth.introspect_token(token := 'a')",
        "FROM vercel.oauth.get_openid_configuration()",
    ],
)
def test_read_only_reads(statement, connect, sent):
    assert len(connect(read_only=True, token=None).execute(statement).fetchall()) == 1
    is_confirmed = "token = 'a'" in statement or "token := 'a'" in statement
    is_discovery = statement == DISCOVERY or "openid_configuration" in statement
    assert len(sent(discovery=is_discovery)) == 1 + is_confirmed
