"""SSO from the code to the verified claims, and why no other server's token passes for one."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

import vercel_sql

SSO = "vercel.integrations.sso_tokens"
KEYS = "/marketplace/.well-known/jwks"


def verified(db, id_token, client_id, **more):
    statement = (
        "EXEC vercel.oauth.sign_in.verify_id_token @id_token = $id_token, @client_id = $client_id"
    )
    statement += "".join(f", @{name} = ${name}" for name in more)
    cursor = db.execute(statement, {"id_token": id_token, "client_id": client_id, **more})
    names = [column[0] for column in cursor.description]
    return dict(zip(names, cursor.fetchone(), strict=True))


def refused(db, id_token, client_id, **more):
    with pytest.raises(vercel_sql.DataError) as raised:
        verified(db, id_token, client_id, **more)
    text = str(raised.value)
    assert text.startswith("the ID token is refused: ")
    assert not any(part in text for part in id_token.split(".") if len(part) > 5)
    return text.removeprefix("the ID token is refused: ")


@pytest.fixture
def sso(put, opened, sim):
    """An ID token of the SSO exchange."""
    return lambda **options: put(SSO, opened(**options))["id_token"]


@pytest.fixture
def provider(sim):
    return sim.oauth.clients.sso.client_id


@pytest.fixture
def signed_in(put, sim):
    """An ID token of a sign-in at the authorization server."""

    def sign_in(**options):
        app, verifier = sim.oauth.clients.public, "v" * 50
        digest = hashlib.sha256(verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        code = sim.oauth.mint_code(code_challenge=challenge, **options)
        values = {"client_id": app.client_id, "code": code.code, "code_verifier": verifier}
        return put("vercel.oauth.tokens", {**values, "redirect_uri": code.redirect_uri})["id_token"]

    return sign_in


def claims_of(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def forged(key, claims, **header):
    header = {"alg": "RS256", "kid": key.kid, "typ": "JWT", **header}
    return jwt.encode(header, dict(claims), key, algorithms=["RS256"])


def test_from_the_code_to_the_claims(put, opened, db, sim, sent, provider, team):
    row = put(SSO, opened(team=team.slug, nonce="n", scope="openid offline_access"))
    sent()
    claims = verified(db, row["id_token"], provider, nonce="n")
    assert claims["iss"] == sim.marketplace_url
    assert (claims["aud"], claims["type"]) == ([provider], "id_token")
    rest = json.loads(claims["additional_fields"])
    assert rest["account_id"] == team.id
    assert (rest["user_id"], rest["user_email"]) == (sim.state.user["id"], sim.state.user["email"])
    (request,) = sent()
    assert (request.method, request.path, request.body) == ("GET", KEYS, None)
    assert "authorization" not in request.headers
    client = sim.oauth.clients.sso
    again = put(
        SSO,
        {
            "client_id": client.client_id,
            "client_secret": client.client_secret,
            "refresh_token": row["refresh_token"],
        },
    )
    assert verified(db, again["id_token"], provider)["sub"] == claims["sub"]


def test_the_function_gives_the_same(db, sso, provider):
    query = "SELECT iss, sub FROM vercel.oauth.verify_id_token($t, $c)"
    token = sso()
    claims = verified(db, token, provider)
    rows = db.execute(query, {"t": token, "c": provider}).fetchall()
    assert rows == [(claims["iss"], claims["sub"])]


def test_the_issuer_has_an_environment_variable_of_its_own(sim, sso, provider, monkeypatch):
    token = sso()
    with vercel_sql.connect(api_url=sim.url, oauth_url=sim.url) as db:
        assert refused(db, token, provider) == "it comes from another issuer"
    monkeypatch.setenv("VERCEL_MARKETPLACE_URL", sim.marketplace_url)
    with vercel_sql.connect(api_url=sim.url, oauth_url=sim.url) as db:
        assert verified(db, token, provider)["iss"] == sim.marketplace_url
    monkeypatch.setenv("VERCEL_MARKETPLACE_URL", "http://marketplace.example")
    with pytest.raises(vercel_sql.ParameterError, match="VERCEL_MARKETPLACE_URL is plain http"):
        vercel_sql.connect()


def test_it_is_vercels_without_one(make_client):
    assert make_client().urls["marketplace"] == "https://marketplace.vercel.com"


def test_attach_takes_it_too(sim, attached, sso, provider):
    con = attached(sim)
    query = "SELECT iss FROM vercel.oauth.verify_id_token($t, $c)"
    rows = con.execute(query, {"t": sso(), "c": provider}).fetchall()
    assert rows == [(sim.marketplace_url,)]


# Never one for the other


def test_a_token_of_either_server_is_refused_as_the_others(db, sim, sso, signed_in, provider):
    app = sim.oauth.clients.public.client_id
    of_sso, of_oauth = sso(), signed_in()
    assert "another audience" in refused(db, of_oauth, provider)
    assert "another audience" in refused(db, of_sso, app)
    issuers = {"oauth": sim.url, "sso": sim.marketplace_url}
    assert refused(db, of_oauth, app, issuer=issuers["sso"]) == "it comes from another issuer"
    assert refused(db, of_sso, provider, issuer=issuers["oauth"]) == "it comes from another issuer"
    assert verified(db, of_oauth, app, issuer=issuers["oauth"])["iss"] == sim.url
    assert verified(db, of_sso, provider, issuer=issuers["sso"])["iss"] == sim.marketplace_url


@pytest.mark.parametrize("same_kid", [False, True])
def test_the_right_issuer_with_the_other_servers_key(db, sim, sso, signed_in, provider, same_kid):
    app = sim.oauth.clients.public.client_id
    if same_kid:
        sim.oauth.keys.rotate(keep_old=False, kid="the same")
        sim.oauth.marketplace_keys.rotate(keep_old=False, kid="the same")
    of_sso, of_oauth = claims_of(sso()), claims_of(signed_in())
    assert verified(db, sso(), provider)
    assert verified(db, signed_in(), app)
    reason = "its signature matches none of the server's keys"
    assert refused(db, forged(sim.oauth.keys.current, of_sso), provider) == reason
    assert refused(db, forged(sim.oauth.marketplace_keys.current, of_oauth), app) == reason
    for fault, token, client_id in (
        ("other_server", sso, provider),
        ("other_server", signed_in, app),
    ):
        sim.oauth.spoil_id_tokens(fault)
        assert refused(db, token(), client_id) == reason


def test_a_token_that_brings_its_own_key(db, sim, sso, provider):
    mine = RSAKey.generate_key(2048, {"kid": "mine"})
    public = mine.as_dict(private=False)
    for header in (
        {"jwk": public},
        {"jku": f"{sim.url}/keys"},
        {"kid": sim.oauth.marketplace_keys.current.kid, "jwk": public},
    ):
        refused(db, forged(mine, claims_of(sso()), **header), provider)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("other_key", "its signature matches none of the server's keys"),
        ("unknown_key", "its signature matches none of the server's keys"),
        ("alg_none", "it is unsigned, or signed in a way that anybody could sign"),
        ("hs256_public_key", "it is unsigned, or signed in a way that anybody could sign"),
        ("wrong_issuer", "it comes from another issuer"),
        ("expired", "it has expired"),
    ],
)
def test_each_fault_of_sso(fault, reason, db, sim, sso, provider):
    sim.oauth.spoil_id_tokens(fault)
    assert refused(db, sso(), provider) == reason


def test_issuers_are_compared_to_the_letter(db, sim, sso, signed_in, provider):
    for issuer in (
        f"{sim.marketplace_url}/",
        sim.marketplace_url.upper(),
        f"{sim.url}//marketplace",
        f"{sim.url}/marketplace/x",
        sim.marketplace_url.replace("127.0.0.1", "localhost"),
        [sim.marketplace_url],
        {"url": sim.marketplace_url},
        5,
    ):
        sim.oauth.spoil_id_tokens("claims", claims={"iss": issuer})
        assert refused(db, sso(), provider) == "it comes from another issuer"
    sim.oauth.spoil_id_tokens("claims", claims={"iss": f"{sim.url}/"})
    assert (
        refused(db, signed_in(), sim.oauth.clients.public.client_id)
        == "it comes from another issuer"
    )


def test_of_two_issuers_at_one_address_neither_is_believed(sim, sso, signed_in):
    servers = {"oauth_url": sim.url, "marketplace_url": sim.url}
    with vercel_sql.connect(api_url=sim.url, **servers) as db:
        text = refused(db, signed_in(), sim.oauth.clients.public.client_id)
    assert "VERCEL_OAUTH_URL and VERCEL_MARKETPLACE_URL are the same" in text


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"type": "access_token"}, "it is not an ID token"),
        ({"type": None}, "it has no type"),
        ({"type": ["access_token"]}, "it is not an ID token"),
        ({"exp": None}, "it has no exp"),
        ({"iat": None}, "it has no iat"),
        ({"aud": None}, "it has no aud"),
        ({"sub": None}, "it has no sub"),
        ({"iss": None}, "it has no iss"),
        ({"exp": "never"}, "its expiry is not a time"),
        ({"nbf": "tomorrow"}, "it is not valid yet"),
        ({"aud": ["oac_another"]}, "it is for another audience"),
        ({"aud": []}, "it is for another audience"),
        ({"azp": "oac_another"}, "it was made for another app"),
    ],
)
def test_claims_that_are_missing_or_wrong(claims, reason, db, sim, sso, provider):
    said = {n: value for n, value in (claims_of(sso()) | claims).items() if value is not None}
    token = forged(sim.oauth.marketplace_keys.current, said)
    assert reason in refused(db, token, provider)


def test_several_audiences(db, sim, sso, provider):
    several = ["oac_another", provider]
    sim.oauth.spoil_id_tokens("claims", claims={"aud": several})
    assert "it has no azp" in refused(db, sso(), provider)
    sim.oauth.spoil_id_tokens("claims", claims={"aud": several, "azp": provider})
    assert verified(db, sso(), provider)["aud"] == several


@pytest.mark.parametrize("server", ["oauth", "sso"])
@pytest.mark.parametrize(
    ("claim", "seconds", "reason"),
    [
        ("nbf", 50, None),
        ("nbf", 90, "it is not valid yet"),
        ("iat", 50, None),
        ("iat", 90, "it was made in the future"),
        ("exp", -50, None),
        ("exp", -90, "it has expired"),
    ],
)
def test_clocks_may_be_a_minute_apart(
    server, claim, seconds, reason, db, sim, sso, signed_in, provider
):
    now = sim.state.clock.now_ms() // 1000
    sim.oauth.spoil_id_tokens("claims", claims={claim: now + seconds})
    is_sso = server == "sso"
    token = sso() if is_sso else signed_in()
    client_id = provider if is_sso else sim.oauth.clients.public.client_id
    if reason is None:
        assert verified(db, token, client_id)
    else:
        assert refused(db, token, client_id) == reason


def test_it_goes_by_the_issuers_clock(db, sim, sso, provider):
    """A machine whose clock is wrong neither refuses good tokens nor takes old ones."""
    old = sso()
    sim.advance(7200)
    new = sso()
    for _ in range(3):  # so many answers in a row are believed
        db.execute("SELECT issuer FROM vercel.oauth.openid_configuration").fetchall()
    verified(db, new, provider)
    assert refused(db, old, provider) == "it has expired"


def test_keys_may_change(db, sim, sso, provider):
    before = sso()
    sim.oauth.marketplace_keys.rotate()
    assert verified(db, before, provider)["sub"] == verified(db, sso(), provider)["sub"]
    sim.oauth.marketplace_keys.rotate(keep_old=False)
    assert "keys" in refused(db, before, provider)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 404},
        {"kind": "status", "status": 500},
        {"kind": "garbage_body", "html": True},
        {"kind": "redirect", "location": "https://issuer.example/keys"},
        {"kind": "body", "body": {"keys": "none"}},
    ],
)
def test_without_the_marketplaces_keys_nothing_is_verified(fault, connect, sim, sso, provider):
    token = sso()
    sim.faults(**fault, path=KEYS, times=None)
    with pytest.raises(vercel_sql.OperationalError) as raised:
        verified(connect(attempts=1), token, provider)
    assert token not in str(raised.value)
    asked = [request.path for request in sim.requests() if request.method == "GET"]
    assert asked == [KEYS], "the other server's keys are not tried"
