"""Integrations: the code exchange, single sign-on, and what their tokens may do."""

import re

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

EXCHANGE = "/v2/oauth/access_token"
SSO = "/v1/integrations/sso/token"


@pytest.fixture
def anyone(simulator, connect):
    return connect(simulator, None)


@pytest.fixture
def form(simulator):
    """What an integration sends for a fresh code."""

    def build(team=None, **minted):
        client = simulator.oauth.clients.integration
        code = simulator.oauth.mint_code("integration", team=team, **minted)
        return {
            "client_id": client.client_id,
            "client_secret": client.client_secret,
            "code": code.code,
            "redirect_uri": client.redirect_uris[0],
        }

    return build


@pytest.fixture
def sso(simulator):
    """What a provider sends for a fresh code."""

    def build(**minted):
        client = simulator.oauth.clients.sso
        code = simulator.oauth.mint_code("sso", **minted)
        return {
            "client_id": client.client_id,
            "client_secret": client.client_secret,
            "code": code.code,
        }

    return build


def message(response, status=400):
    assert response.status_code == status, response.text
    return response.json()["error"]["message"]


def test_a_code_becomes_an_access_token(anyone, simulator, connect, form):
    response = anyone.post(EXCHANGE, data=form())
    assert response.status_code == 200
    body = response.json()
    assert set(body) == {"token_type", "access_token", "installation_id", "user_id", "team_id"}
    assert body["token_type"] == "Bearer"
    assert body["installation_id"].startswith("icfg_")
    assert body["user_id"] == simulator.state.user["id"]
    assert body["team_id"] is None
    assert re.fullmatch("vci_[A-Za-z0-9]{56}", body["access_token"])
    theirs = connect(simulator, body["access_token"])
    assert theirs.get("/v2/user").status_code == 200
    assert theirs.get("/v5/user/tokens/current").json()["token"]["origin"] == "app"
    simulator.advance(400 * 86_400)
    assert theirs.get("/v2/user").status_code == 200, "it is long-lived"


def test_a_token_of_a_team_needs_the_team(anyone, simulator, connect, form):
    team, other = simulator.state.find_team("acme"), simulator.state.find_team("bright-labs")
    body = anyone.post(EXCHANGE, data=form(team="acme")).json()
    assert body["team_id"] == team.id
    theirs = connect(simulator, body["access_token"])
    for path in ("/v2/user", "/v2/teams", "/v5/user/tokens/current", f"/teams/{team.id}"):
        assert theirs.get(path, params={"teamId": team.id}).status_code == 200, path
        for query in ({}, {"teamId": other.id}, {"slug": "acme"}, {"teamId": [team.id] * 2}):
            refused = theirs.get(path, params=query)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")


def test_a_personal_token_is_for_no_team(anyone, simulator, connect, form):
    body = anyone.post(EXCHANGE, data=form()).json()
    theirs = connect(simulator, body["access_token"])
    team_id = simulator.state.find_team("acme").id
    assert theirs.get("/v2/user", params={"teamId": team_id}).status_code == 403


def test_it_is_no_token_of_the_user(anyone, simulator, connect, form, api):
    before = api.get("/v6/user/tokens").json()["tokens"]
    theirs = connect(simulator, anyone.post(EXCHANGE, data=form()).json()["access_token"])
    now = api.get("/v6/user/tokens").json()["tokens"]
    assert [token["id"] for token in now] == [token["id"] for token in before]
    refused = theirs.post("/v3/user/tokens", json={"name": "x"})
    assert message(refused, 403).startswith("Only user authentication tokens")
    assert message(theirs.get("/v6/user/tokens"), 403)
    assert message(theirs.delete("/v3/user/tokens/current"), 403)


def test_a_code_works_once_for_thirty_minutes(anyone, simulator, form):
    good = form()
    assert anyone.post(EXCHANGE, data=good).status_code == 200
    assert "once" in message(anyone.post(EXCHANGE, data=good))
    late, in_time = form(), form()
    simulator.advance(1799)
    assert anyone.post(EXCHANGE, data=in_time).status_code == 200
    simulator.advance(1)
    assert "expired" in message(anyone.post(EXCHANGE, data=late))
    assert "expired" in message(anyone.post(EXCHANGE, data=form(age_seconds=1800)))


def test_it_is_a_form_and_nothing_else(anyone, form):
    good = form()
    assert "Content-Type" in message(anyone.post(EXCHANGE, json=good))
    assert anyone.post(EXCHANGE, files={"a": b"b"}, data=good).status_code == 400
    assert anyone.post(EXCHANGE, data=good | {"code": [good["code"]] * 2}).status_code == 400
    assert anyone.post(EXCHANGE, params=good).status_code == 400
    assert anyone.get(EXCHANGE).status_code == 405
    assert anyone.post(EXCHANGE, data=good).status_code == 200


@pytest.mark.parametrize("name", ["client_id", "client_secret", "code", "redirect_uri"])
def test_all_four_are_required_and_have_to_be_right(anyone, form, name):
    good = form()
    without = {key: value for key, value in good.items() if key != name}
    assert f"`{name}`" in message(anyone.post(EXCHANGE, data=without))
    status = 404 if name == "client_id" else 400
    assert message(anyone.post(EXCHANGE, data=good | {name: "wrong"}), status)
    assert anyone.post(EXCHANGE, data=good).status_code == 200, "and the code is not used up"


def test_a_disabled_configuration_ends_every_call(anyone, simulator, connect, form):
    body = anyone.post(EXCHANGE, data=form(team="acme")).json()
    theirs = connect(simulator, body["access_token"])
    at = {"teamId": body["team_id"]}
    own = {"installation_id": body["installation_id"]}
    shown = anyone.post("/_simulator/configurations", json=own).json()["configurations"]
    assert [(each["id"], each["disabled"]) for each in shown] == [(body["installation_id"], True)]
    for path in ("/v2/user", "/v6/user/tokens", "/v2/teams"):
        for query in (at, {}):
            error = theirs.get(path, params=query)
            assert error.status_code == 403
            assert error.json()["error"]["code"] == "integration_configuration_disabled"
    simulator.oauth.disable_configuration(body["installation_id"], disabled=False)
    assert theirs.get("/v2/user", params=at).status_code == 200
    assert anyone.get("/_simulator/configurations").json()["configurations"][0]["team_id"]
    wrong = anyone.post("/_simulator/configurations", json={"installation_id": "icfg_x"})
    assert wrong.status_code == 404


def test_codes_can_be_had_over_http(anyone, simulator, form):
    minted = anyone.post(
        "/_simulator/codes", json={"kind": "integration", "team": "acme", "age_seconds": 1.5}
    ).json()
    assert minted["team_id"] == simulator.state.find_team("acme").id
    good = form() | {"code": minted["code"], "redirect_uri": minted["redirect_uri"]}
    body = anyone.post(EXCHANGE, data=good).json()
    assert body["installation_id"] == minted["installation_id"]


# Single sign-on


@pytest.mark.parametrize("encoding", ["json", "data"])
def test_a_provider_learns_who_comes(anyone, simulator, sso, encoding):
    response = anyone.post(SSO, **{encoding: sso(team="acme", nonce="n")})
    assert response.status_code == 200
    body = response.json()
    assert set(body) == {"id_token", "access_token", "token_type"}
    assert body["access_token"] is body["token_type"] is None
    keys = KeySet.import_key_set(anyone.get("/marketplace/.well-known/jwks").json())
    claims = jwt.decode(body["id_token"], keys, algorithms=["RS256"]).claims
    assert claims["iss"] == simulator.marketplace_url == f"{simulator.url}/marketplace"
    assert claims["type"] == "id_token"
    own = {key["kid"] for key in anyone.get("/.well-known/jwks").json()["keys"]}
    assert own.isdisjoint(key.kid for key in keys.keys), "the authorization server's are others"
    assert claims["aud"] == simulator.oauth.clients.sso.client_id
    assert claims["nonce"] == "n"
    assert claims["exp"] - claims["iat"] == 3600
    assert claims["account_id"] == simulator.state.find_team("acme").id
    assert claims["user_email"] == simulator.state.user["email"]
    assert simulator.requests()[0].token_id is None


def test_scopes_bring_tokens_that_can_be_refreshed(anyone, simulator, connect, sso):
    asked = sso(scope="openid offline_access")
    first = anyone.post(SSO, json=asked).json()
    assert (first["token_type"], first["expires_in"]) == ("Bearer", 3600)
    assert connect(simulator, first["access_token"]).get("/v2/user").status_code == 200
    refresh = asked | {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    del refresh["code"]
    second = anyone.post(SSO, data=refresh).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["id_token"]
    assert message(anyone.post(SSO, json=refresh))
    simulator.advance(3601)
    assert connect(simulator, first["access_token"]).get("/v2/user").status_code == 403
    without = anyone.post(SSO, json=sso(scope="openid")).json()
    assert without["access_token"]
    assert "refresh_token" not in without


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"client_id": "oac_nobody"}, 403),
        ({"client_id": None}, 400),
        ({"client_secret": "wrong"}, 400),
        ({"client_secret": None}, 400),
        ({"code": "guessed"}, 400),
        ({"code": None}, 400),
        ({"grant_type": "password"}, 400),
        ({"grant_type": "refresh_token"}, 400),
        ({"grant_type": "refresh_token", "refresh_token": "guessed"}, 400),
        ({"code": 7}, 400),
        ({"colour": "blue"}, 400),
    ],
)
def test_wrong_exchanges_use_nothing_up(anyone, sso, changes, status):
    good = sso()
    wrong = {name: value for name, value in (good | changes).items() if value is not None}
    assert message(anyone.post(SSO, json=wrong), status)
    assert anyone.post(SSO, json=good).status_code == 200
    assert "once" in message(anyone.post(SSO, json=good))


@pytest.mark.parametrize("status", [400, 403, 500])
def test_a_provider_that_is_not_known_gets_each_documented_status(anyone, simulator, sso, status):
    simulator.oauth.unknown_sso_client = status
    assert message(anyone.post(SSO, json=sso() | {"client_id": "oac_nobody"}), status)


def test_refresh_tokens_live_for_thirty_days_and_work_once(anyone, simulator, sso):
    asked = sso(scope="openid offline_access")
    refresh = {**asked, "grant_type": "refresh_token"}
    del refresh["code"]
    first = anyone.post(SSO, json=asked).json()["refresh_token"]
    simulator.advance(30 * 86_400 - 1)
    second = anyone.post(SSO, json=refresh | {"refresh_token": first}).json()["refresh_token"]
    assert message(anyone.post(SSO, json=refresh | {"refresh_token": first}))
    simulator.advance(30 * 86_400)
    assert "expired" in message(anyone.post(SSO, json=refresh | {"refresh_token": second}))


@pytest.mark.parametrize("name", ["redirect_uri", "state"])
def test_what_a_code_is_bound_to_has_to_come_back(anyone, sso, name):
    good = sso(**{name: "https://provider.example/sso"})
    assert f"`{name}`" in message(anyone.post(SSO, json=good))
    assert f"`{name}`" in message(anyone.post(SSO, json=good | {name: "else"}))
    right = good | {name: "https://provider.example/sso"}
    assert anyone.post(SSO, json=right).status_code == 200
    assert anyone.post(SSO, json=sso() | {name: "any"}).status_code == 200, "bound to nothing"


def test_its_codes_are_its_own(anyone, sso, form):
    other = form()
    assert message(anyone.post(SSO, json=sso() | {"code": other["code"]}))
    assert message(anyone.post(SSO, json=other), 403)
    assert "expired" in message(anyone.post(SSO, json=sso(age_seconds=1800)))
