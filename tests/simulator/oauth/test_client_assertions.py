"""Apps that show who they are by what they sign: with their secret, or with a key."""

import secrets
from dataclasses import replace

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture(scope="module")
def own_key():
    """The app's key."""
    return RSAKey.generate_key(2048, auto_kid=True)


@pytest.fixture
def signed(app, web, own_key):
    """Signs what shows that an app is the one; ``claims`` are laid over the right ones."""
    registered = replace(app.client, jwks={"keys": [own_key.as_dict(private=False)]})
    app.client = app.simulator.oauth.clients.add(registered)

    def sign(one, *, key=own_key, alg=None, kid=None, **claims):
        if one is web:
            key, alg = OctKey.import_key(web.client.client_secret), alg or "HS256"
        now = app.simulator.state.clock.now_ms() // 1000
        said = {
            "iss": one.client.client_id,
            "sub": one.client.client_id,
            "aud": f"{app.simulator.url}/login/oauth/token",
            "jti": secrets.token_hex(),
            "exp": now + 60,
        }
        said = {name: value for name, value in (said | claims).items() if value is not None}
        header = {"alg": alg or "RS256", **({"kid": kid} if kid else {})}
        return jwt.encode(header, said, key, algorithms=[header["alg"]])

    return sign


def shown(assertion):
    return {
        "client_secret": None,
        "client_assertion": assertion,
        "client_assertion_type": ASSERTION_TYPE,
    }


@pytest.fixture(params=["client_secret_jwt", "private_key_jwt"])
def one(request, app, web):
    return web if request.param == "client_secret_jwt" else app


def refusal(one, **form):
    """The error of an exchange with a code that is good."""
    code = one.simulator.oauth.mint_code(
        client_id=one.client.client_id, code_challenge=one.CHALLENGE
    ).code
    return one.error(one.exchange(code, **form), 401)


def test_an_assertion_does_for_every_grant_and_for_revocation(one, signed):
    tokens = one.exchange(one.code(), **shown(signed(one)))
    assert tokens.status_code == 200, tokens.text
    again = one.refresh(tokens.json()["refresh_token"], **shown(signed(one)))
    assert again.status_code == 200, again.text
    form = {"token": again.json()["access_token"], "client_id": one.client.client_id}
    form |= {k: v for k, v in shown(signed(one)).items() if v is not None}
    assert one.http.post("/login/oauth/token/revoke", data=form).json() == {}


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "cl_another"},
        {"sub": "cl_another"},
        {"sub": None},
        {"aud": "https://vercel.com"},
        {"aud": None},
        {"jti": None},
        {"jti": ""},
        {"exp": None},
        {"exp": 1},
        {"exp": 32_503_680_000},
    ],
)
def test_each_claim_is_required_and_has_to_be_right(one, signed, claims):
    assert refusal(one, **shown(signed(one, **claims))) == "invalid_client"


def test_an_assertion_works_once(one, signed):
    used = signed(one)
    assert one.exchange(one.code(), **shown(used)).status_code == 200
    assert refusal(one, **shown(used)) == "invalid_client"


def test_secrets_and_keys_are_not_mixed(app, web, signed):
    """Nobody may sign with the published key as if it were a secret."""
    public = app.client.jwks["keys"][0]
    confused = OctKey.import_key({"kty": "oct", "k": public["n"]})
    assert refusal(app, **shown(signed(app, key=confused, alg="HS256"))) == "invalid_client"
    other = ECKey.generate_key("P-256")
    assert refusal(app, **shown(signed(app, key=other, alg="ES256"))) == "invalid_client"
    another = RSAKey.generate_key(2048)
    assert refusal(app, **shown(signed(app, key=another))) == "invalid_client"
    assert refusal(app, **shown("no.token.atall")) == "invalid_client"
    assert refusal(app) == "invalid_client", "an app with a key is no public one"


def test_one_way_to_show_who_it_is(web, signed):
    both = {**shown(signed(web)), **web.secret()}
    assert web.error(web.exchange("any", **both)) == "invalid_request"
    untyped = {**shown(signed(web)), "client_assertion_type": None}
    assert web.error(web.exchange("any", **untyped)) == "invalid_request"
    typed = {**shown(signed(web)), "client_assertion": None}
    assert web.error(web.exchange("any", **typed)) == "invalid_request"
