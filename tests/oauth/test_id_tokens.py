"""ID tokens are verified: whatever is wrong with one is a clear error that does not cite it."""

from __future__ import annotations

import base64
import json

import pytest

import vercel_sql

VERIFY = "EXEC vercel.oauth.sign_in.verify_id_token @id_token = $id_token, @client_id = $client_id"


def verified(db, id_token, app, **more):
    statement = VERIFY + "".join(f", @{name} = ${name}" for name in more)
    cursor = db.execute(statement, {"id_token": id_token, "client_id": app.client_id, **more})
    names = [column[0] for column in cursor.description]
    return dict(zip(names, cursor.fetchone(), strict=True))


def refused(db, id_token, app, **more):
    with pytest.raises(vercel_sql.DataError) as raised:
        verified(db, id_token, app, **more)
    text = str(raised.value)
    assert text.startswith("the ID token is refused: ")
    parts = [id_token, *id_token.split(".")]
    assert not any(part in text for part in parts if len(part) > 5)
    return text


def test_a_good_token_gives_its_claims(db, sim, sign_in, sent, public):
    begun = sign_in()
    id_token = begun.exchange()["id_token"]
    sent()
    claims = verified(db, id_token, public, nonce=begun.nonce)
    user = sim.state.user
    assert (claims["sub"], claims["email"], claims["name"]) == (
        *(user["id"], user["email"], user["name"]),
    )
    assert (claims["iss"], claims["aud"]) == (sim.url, [public.client_id])
    assert claims["nonce"] == begun.nonce
    assert claims["exp"] - claims["iat"] == 3600
    assert (claims["nbf"], claims["type"]) == (claims["iat"], None)
    assert claims["jti"]
    requests = sent(discovery=True)
    assert [(r.method, r.path) for r in requests] == [
        ("GET", "/.well-known/openid-configuration"),
        ("GET", "/.well-known/jwks"),
    ]
    for request in requests:
        assert "authorization" not in request.headers
        assert (request.query, request.body) == ([], None), "the token itself goes nowhere"


def test_the_function_gives_the_same(db, sign_in, public):
    begun = sign_in()
    id_token = begun.exchange()["id_token"]
    values = {"t": id_token, "c": public.client_id, "n": begun.nonce}
    query = "SELECT sub, aud FROM vercel.oauth.verify_id_token($t, $c, nonce := $n)"
    (row,) = db.execute(query, values).fetchall()
    claims = verified(db, id_token, public)
    assert row == (claims["sub"], claims["aud"])
    with pytest.raises(vercel_sql.DataError, match="its nonce is not the one that was sent"):
        db.execute(query, {**values, "n": "another"}).fetchall()


FAULTS = {
    "other_key": "its signature matches none of the server's keys",
    "unknown_key": "its signature matches none of the server's keys",
    "other_server": "its signature matches none of the server's keys",
    "alg_none": "it is unsigned, or signed in a way that anybody could sign",
    "hs256_public_key": "it is unsigned, or signed in a way that anybody could sign",
    "wrong_issuer": "it comes from another issuer",
    "expired": "it has expired",
    "not_yet_valid": "it is not valid yet|it was made in the future",
    "missing_nonce": "it has no nonce",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_an_error_of_its_own(fault, db, sim, sign_in, public):
    begun = sign_in()
    sim.oauth.spoil_id_tokens(fault)
    id_token = begun.exchange()["id_token"]
    text = refused(db, id_token, public, nonce=begun.nonce)
    assert text.removeprefix("the ID token is refused: ") in FAULTS[fault].split("|")


def test_another_audience(db, sign_in, public, confidential):
    id_token = sign_in().exchange()["id_token"]
    assert "it is for another audience (client id)" in refused(db, id_token, confidential)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": None}, "it has no exp"),
        ({"iat": None}, "it has no iat"),
        ({"aud": None}, "it has no aud"),
        ({"exp": "never"}, "its expiry is not a time"),
        ({"azp": "cl_another"}, "it was made for another app"),
        ({"iss": ["https://issuer.example"]}, "it comes from another issuer"),
        ({"aud": []}, "it is for another audience"),
    ],
)
def test_claims_that_are_wrong(claims, reason, db, sim, sign_in, public):
    sim.oauth.spoil_id_tokens("claims", claims=claims)
    assert reason in refused(db, sign_in().exchange()["id_token"], public)


def test_a_token_for_several_audiences_says_who_asked_for_it(db, sim, sign_in, public):
    several = ["cl_another", public.client_id]
    sim.oauth.spoil_id_tokens("claims", claims={"aud": several})
    assert "it has no azp" in refused(db, sign_in().exchange()["id_token"], public)
    sim.oauth.spoil_id_tokens("claims", claims={"aud": several, "azp": public.client_id})
    assert verified(db, sign_in().exchange()["id_token"], public)["aud"] == several


def test_a_nonce_that_was_not_sent_is_not_asked_for(db, sim, sign_in, public):
    sim.oauth.spoil_id_tokens("missing_nonce")
    assert verified(db, sign_in().exchange()["id_token"], public)["nonce"] is None


def test_keys_may_change(db, sim, sign_in, public):
    before = sign_in().exchange()["id_token"]
    sim.oauth.rotate_keys()
    after = sign_in().exchange()["id_token"]
    assert verified(db, before, public)["sub"] == verified(db, after, public)["sub"]
    sim.oauth.rotate_keys(keep_old=False)
    assert "keys" in refused(db, after, public)


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "...",
        "a.b",
        "a.b.c",
        "ü.ü.ü",
        "\x00\x00",
        part([1]) + "." + part({}) + ".x",
        part({}) + "." + part({}) + ".x",
        part({"alg": 5}) + "." + part({}) + ".x",
        part({"alg": "RS256", "kid": []}) + "." + part({}) + ".x",
        part({"alg": "RS256", "crit": ["x"]}) + "." + part({}) + ".x",
        part({"alg": "RS256", "b64": False, "crit": ["b64"]}) + "." + part({}) + ".x",
        part({"alg": "dir", "enc": "A256GCM"}) + "." * 4,
        part({"alg": "RS256"}) + "." + "A" * 300_000 + ".x",
        "Wz" * 150_000 + ".x.x",
        base64.b64encode(b'{"a":' * 100_000).decode().rstrip("=") + ".e30.x",
        part({"alg": "RS256"}) + "." + base64.b64encode(b"[" * 99_999).decode() + ".x",
    ],
)
def test_what_is_no_token(text, db, public):
    refused(db, text, public)


def test_a_changed_claim_breaks_the_signature(db, sim, sign_in, public):
    head, _, signature = sign_in().exchange()["id_token"].split(".")
    forged = f"{head}.{part({'iss': sim.url, 'sub': 'mallory'})}.{signature}"
    assert "its signature matches none" in refused(db, forged, public)


@pytest.mark.parametrize(
    ("path", "patch", "message"),
    [
        ("*openid-configuration", {"issuer": "https://issuer.example"}, "discovery document"),
        ("*openid-configuration", {"jwks_uri": "https://issuer.example/keys"}, "jwks_uri"),
        ("*openid-configuration", {"jwks_uri": None}, "jwks_uri"),
        ("*jwks", {"keys": 5}, "not a set of keys"),
        ("*jwks", {"keys": [{"kty": "what"}]}, "not a set of keys"),
    ],
)
def test_keys_come_from_the_server_itself(path, patch, message, db, sim, sign_in, public):
    id_token = sign_in().exchange()["id_token"]
    sim.faults(kind="patch", path=path, patch=patch)
    with pytest.raises(vercel_sql.OperationalError, match=message) as raised:
        verified(db, id_token, public)
    assert id_token not in str(raised.value)


def test_a_symmetric_key_among_the_servers_proves_nothing(db, sim, sign_in, public):
    key = {"kty": "oct", "k": part("a secret of some length"), "kid": "mine"}
    id_token = sign_in().exchange()["id_token"]
    sim.faults(kind="patch", path="*jwks", patch={"keys": [key]})
    with pytest.raises(vercel_sql.Error) as raised:
        verified(db, id_token, public)
    assert id_token not in str(raised.value)
