"""Discovery, keys and ID tokens: right ones verify, and wrong ones can be had on demand."""

import base64
import hashlib
import hmac
import json

import pytest
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

CLAIMS = {
    *("iss", "sub", "aud", "exp", "iat", "nbf", "jti", "nonce"),
    *("email", "name", "preferred_username", "picture"),
}


def parts(token):
    """Read a token without believing it."""
    return [
        json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        for part in token.split(".")[:2]
    ]


def test_discovery_says_where_everything_is(app):
    found = app.http.get("/.well-known/openid-configuration").json()
    assert found["issuer"] == app.simulator.url
    url = app.simulator.url
    assert found["authorization_endpoint"] == f"{url}/oauth/authorize"
    assert found["token_endpoint"] == f"{url}/login/oauth/token"
    assert found["revocation_endpoint"] == f"{url}/login/oauth/token/revoke"
    assert found["introspection_endpoint"] == f"{url}/login/oauth/token/introspect"
    assert found["userinfo_endpoint"] == f"{url}/login/oauth/userinfo"
    assert found["id_token_signing_alg_values_supported"] == ["RS256"]
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert app.DEVICE_GRANT in found["grant_types_supported"]
    for name in found:
        if name.endswith("_endpoint") or name == "jwks_uri":
            assert app.http.get(found[name]).status_code != 404, name


def test_the_issuer_is_the_same_whatever_name_it_was_called_by(app):
    headers = {"Host": "localhost:9"}
    found = app.http.get("/.well-known/openid-configuration", headers=headers).json()
    assert found["issuer"] == app.simulator.url


def test_published_keys_are_public(app):
    (key,) = app.http.get("/.well-known/jwks").json()["keys"]
    assert set(key) == {"kty", "n", "e", "use", "alg", "kid"}
    assert (key["kty"], key["use"], key["alg"]) == ("RSA", "sig", "RS256")


def test_an_id_token_says_who_for_whom_and_until_when(app):
    claims = app.claims(app.sign_in().id_token, nonce="the-nonce")
    assert set(claims) == CLAIMS
    assert claims["exp"] - claims["iat"] == 3600
    assert claims["nbf"] == claims["iat"]
    assert claims["jti"] != app.claims(app.sign_in().id_token)["jti"]
    user = app.simulator.state.user
    assert (claims["sub"], claims["email"]) == (user["id"], user["email"])


def test_it_repeats_the_nonce_only_where_there_is_one(app):
    assert "nonce" not in app.claims(app.exchange(app.code(nonce=None)).json()["id_token"])
    again = app.exchange(app.code(prompt="consent", nonce="n2"))
    assert app.claims(again.json()["id_token"])["nonce"] == "n2"


def test_it_expires(app):
    id_token = app.sign_in().id_token
    app.claims(id_token)
    app.simulator.advance(3700)
    with pytest.raises(JoseError):
        app.claims(id_token)


def test_keys_rotate(app, control):
    before = app.sign_in().id_token
    kid = control("keys", {})["kid"]
    after = app.sign_in().id_token
    assert parts(after)[0]["kid"] == kid != parts(before)[0]["kid"]
    assert len(app.http.get("/.well-known/jwks").json()["keys"]) == 2
    assert app.claims(before)
    assert app.claims(after)
    app.simulator.oauth.rotate_keys(keep_old=False)
    assert len(app.http.get("/.well-known/jwks").json()["keys"]) == 1
    with pytest.raises((JoseError, ValueError)):
        app.claims(after)


@pytest.mark.parametrize(
    "fault",
    [
        *("other_key", "unknown_key", "alg_none", "hs256_public_key", "wrong_audience"),
        *("wrong_issuer", "expired", "not_yet_valid", "wrong_nonce", "missing_nonce"),
    ],
)
def test_wrong_id_tokens_on_demand_are_refused_by_who_verifies(app, control, fault):
    control("id_token", {"fault": fault})
    with pytest.raises((JoseError, ValueError)):
        app.claims(app.sign_in().id_token, nonce="the-nonce")
    assert app.claims(app.sign_in().id_token, nonce="the-nonce"), "the next one is right again"


def test_each_fault_is_what_it_says(app):
    def spoiled(fault):
        app.simulator.oauth.spoil_id_tokens(fault)
        return app.sign_in().id_token

    published = {key["kid"]: key for key in app.http.get("/.well-known/jwks").json()["keys"]}
    assert parts(spoiled("other_key"))[0]["kid"] in published
    assert parts(spoiled("unknown_key"))[0]["kid"] not in published
    unsigned = spoiled("alg_none")
    assert parts(unsigned)[0]["alg"] == "none"
    assert unsigned.endswith(".")
    confused = spoiled("hs256_public_key")
    header = parts(confused)[0]
    secret = RSAKey.import_key(published[header["kid"]]).as_pem(private=False)
    signed, _, signature = confused.rpartition(".")
    digest = hmac.digest(secret, signed.encode(), hashlib.sha256)
    assert header["alg"] == "HS256"
    assert signature == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    now = app.simulator.state.clock.now_ms() / 1000
    assert parts(spoiled("expired"))[1]["exp"] < now - 3000
    assert parts(spoiled("not_yet_valid"))[1]["nbf"] > now + 3000
    assert "nonce" not in parts(spoiled("missing_nonce"))[1]


def test_faults_wait_in_line_and_can_be_forgotten(app, control):
    control("id_token", {"fault": "alg_none", "times": 2})
    faults = control("id_token", {"fault": "claims", "claims": {"aud": ["a", "b"], "email": None}})
    assert [fault["times"] for fault in faults["faults"]] == [2, 1]
    algorithms = [parts(app.sign_in().id_token)[0]["alg"] for _ in range(2)]
    assert algorithms == ["none", "none"]
    claims = parts(app.sign_in().id_token)[1]
    assert claims["aud"] == ["a", "b"]
    assert "email" not in claims
    assert control("id_token") == {"faults": []}
    control("id_token", {"fault": "expired"})
    assert app.http.delete("/_simulator/id_token").json() == {"faults": []}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"fault": "ugly"},
        {"fault": "claims"},
        {"fault": "expired", "times": 0},
        {"fault": "expired", "times": 1.5},
        {"fault": "expired", "claims": {"a": 1}},
    ],
)
def test_wrong_faults_are_explained(control, body):
    assert control("id_token", body, 400)["error"]["message"]
