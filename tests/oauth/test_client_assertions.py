"""Apps that sign assertions in place of sending their secret (RFC 7523), through SQL."""

from __future__ import annotations

import base64
import gc
import json
from dataclasses import replace

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

import vercel_sql
from vercel_sql import errors

SIGN = "EXEC vercel.oauth.sign_in.client_assertion @client_id = $client_id"
T = "vercel.oauth.tokens"


@pytest.fixture(scope="module")
def keys():
    return {"RSA": RSAKey.generate_key(2048, auto_kid=True), "EC": ECKey.generate_key("P-256")}


@pytest.fixture
def with_key(sim, keys):
    """An app that publishes keys and has no secret."""

    def register(*kinds):
        chosen = {"keys": [keys[kind].as_dict(private=False) for kind in kinds]}
        app = replace(sim.oauth.clients.public, client_id="cl_signs", jwks=chosen)
        return sim.oauth.clients.add(app)

    return register


def signed(db, app, **given):
    places = "".join(f", @{name} = ${name}" for name in given)
    values = {"client_id": app.client_id, **given}
    (row,) = db.execute(SIGN + places, values).fetchall()
    return row[0]


def parts(token):
    return [
        json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        for part in token.split(".")[:2]
    ]


@pytest.mark.parametrize("form", ["secret", "RSA PEM", "RSA JWK", "EC PEM", "EC JWK"])
def test_a_whole_session_without_sending_a_secret(
    form, db, sim, sign_in, put, keys, with_key, confidential
):
    if form == "secret":
        app, given = confidential, {"client_secret": confidential.client_secret}
    else:
        kind, encoding = form.split()
        app, key = with_key(kind), keys[kind]
        is_pem = encoding == "PEM"
        text = (
            key.as_pem(private=True).decode() if is_pem else json.dumps(key.as_dict(private=True))
        )
        given = {"private_key": text}
    begun = sign_in(app)
    exchange = begun.values(client_secret=None)
    tokens = put(T, {**exchange, "client_assertion": signed(db, app, **given)})
    refresh = {"client_id": app.client_id, "refresh_token": tokens["refresh_token"]}
    again = put(T, {**refresh, "client_assertion": signed(db, app, **given)})
    revoked = db.execute(
        f"DELETE FROM {T} WHERE token = $t AND client_id = $c AND client_assertion = $a",
        {"t": again["access_token"], "c": app.client_id, "a": signed(db, app, **given)},
    )
    assert revoked.rowcount == 1
    assert sim.oauth.sessions.active(again["access_token"]) is None
    sent = [dict(request.form) for request in sim.requests() if request.method == "POST"]
    assert len(sent) == 3
    for each in sent:
        assert each["client_assertion_type"].endswith(":jwt-bearer")
        assert "client_secret" not in each
    assert not any(given_secret in str(sent) for given_secret in given.values())


def test_what_an_assertion_says(db, sim, confidential):
    first, second = (
        parts(signed(db, confidential, client_secret=confidential.client_secret)) for _ in range(2)
    )
    header, claims = first
    assert header == {"alg": "HS256", "typ": "JWT"}
    assert claims["iss"] == claims["sub"] == confidential.client_id
    assert claims["aud"] == f"{sim.url}/login/oauth/token"
    assert 0 < claims["exp"] - claims["iat"] <= 60
    assert claims["jti"] != second[1]["jti"]


def test_it_goes_by_the_servers_clock(simulate):
    """A machine whose clock is wrong makes assertions that the server takes all the same."""
    gc.collect()  # what is known of a server that had the same port
    sim = simulate(1, now_ms=1_700_000_000_000)
    app = sim.oauth.clients.confidential
    with vercel_sql.connect(api_url=sim.url, oauth_url=sim.url) as db:
        claims = parts(signed(db, app, client_secret=app.client_secret))[1]
    assert abs(claims["iat"] - 1_700_000_000) < 120


def test_the_key_says_which_it_is(db, keys, with_key):
    app = with_key("RSA", "EC")
    jwk = json.dumps(keys["RSA"].as_dict(private=True))
    header, _ = parts(signed(db, app, private_key=jwk))
    assert header == {"alg": "RS256", "typ": "JWT", "kid": keys["RSA"].kid}
    pem = keys["EC"].as_pem(private=True).decode()
    header, _ = parts(signed(db, app, private_key=pem, key_id="mine"))
    assert header == {"alg": "ES256", "typ": "JWT", "kid": "mine"}
    chosen = json.dumps({**keys["RSA"].as_dict(private=True), "alg": "PS256"})
    assert parts(signed(db, app, private_key=chosen))[0]["alg"] == "PS256"


def test_an_assertion_works_once(db, sign_in, put, confidential):
    assertion = signed(db, confidential, client_secret=confidential.client_secret)
    put(T, sign_in(confidential).values(client_secret=None, client_assertion=assertion))
    with pytest.raises(errors.UnauthorizedError, match="An assertion works once") as raised:
        put(T, sign_in(confidential).values(client_secret=None, client_assertion=assertion))
    assert assertion not in str(raised.value)


@pytest.mark.parametrize("given", [{}, {"client_secret": "a secret of mine", "private_key": "k"}])
def test_one_of_the_two_signs(given, db, public, sent):
    with pytest.raises(vercel_sql.ParameterError, match="either client_secret or private_key"):
        signed(db, public, **given)
    assert sent() == []


@pytest.mark.parametrize(
    "kind",
    [
        *("text", "json", "public PEM", "public JWK", "OKP", "secret", "list", "another use"),
        *("a curve of its own", "a curve without algorithm"),
    ],
)
def test_what_is_not_a_key_that_can_sign(kind, db, keys, public):
    text = {
        "text": "s3cr3t and no key",
        "json": '{"kty": "RSA", "s3cr3t": ',
        "public PEM": keys["RSA"].as_pem(private=False).decode(),
        "public JWK": json.dumps(keys["EC"].as_dict(private=False)),
        "OKP": json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=True)),
        "secret": json.dumps({"kty": "oct", "k": "czNjcjN0"}),
        "list": '{"keys": []}',
        "another use": json.dumps({**keys["RSA"].as_dict(private=True), "use": "enc"}),
        "a curve of its own": json.dumps({**keys["EC"].as_dict(private=True), "alg": "ES512"}),
        "a curve without algorithm": ECKey.generate_key("secp256k1").as_pem(private=True).decode(),
    }[kind]
    with pytest.raises(vercel_sql.ParameterError, match="the private key can't be used") as raised:
        signed(db, public, private_key=text)
    assert "s3cr3t" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("alg", ["none", "HS256", "dir", 5])
def test_a_key_is_never_used_as_it_may_not(alg, db, keys, with_key):
    """Neither unsigned nor as a secret, whatever the key says."""
    app = with_key("RSA")
    jwk = json.dumps({**keys["RSA"].as_dict(private=True), "alg": alg})
    with pytest.raises(vercel_sql.ParameterError, match="the private key can't be used"):
        signed(db, app, private_key=jwk)


def test_explain_masks_assertions(db, sent):
    statement = f"INSERT INTO {T} (client_id, client_assertion, refresh_token) SELECT 'c', $a, 'r'"
    rows = db.execute(f"EXPLAIN {statement}", {"a": "a.signed.assertion"}).fetchall()
    assert "a.signed.assertion" not in str(rows)
    assert "jwt-bearer" in str(rows)
    rows = db.execute(
        "EXPLAIN INSERT INTO vercel.oauth.tokens (client_id, refresh_token) SELECT 'c', 'r'"
    ).fetchall()
    assert "jwt-bearer" not in str(rows), "it goes with an assertion alone"


def test_no_secret_is_shown_by_the_tables(db, confidential):
    cursor = db.execute(
        f"{SIGN}, @client_secret = $client_secret",
        {"client_id": confidential.client_id, "client_secret": confidential.client_secret},
    )
    assert cursor.secret_columns == {"client_assertion"}
