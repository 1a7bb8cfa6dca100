"""Login by email: ask, confirm, verify."""

import pytest


@pytest.fixture
def anyone(simulator, connect):
    """A client without credentials."""
    return connect(simulator, None)


def test_a_confirmed_login_gives_a_token_that_works(anyone, simulator, connect):
    asked = anyone.post("/registration", json={"email": "ada@example.com", "tokenName": "shell"})
    assert asked.status_code == 200
    login = asked.json()
    assert set(login) == {"token", "securityCode"}
    query = {"token": login["token"], "email": "ada@example.com"}
    waiting = anyone.get("/registration/verify", params=query)
    assert (waiting.status_code, waiting.json()["error"]["code"]) == (400, "bad_request")
    confirmed = anyone.post("/_simulator/confirm", json={"email": "ada@example.com"})
    assert confirmed.json() == {"confirmed": 1}
    verified = anyone.get("/registration/verify", params=query)
    assert verified.status_code == 200
    body = verified.json()
    assert set(body) == {"token", "email"}
    assert body["email"] == "ada@example.com"
    current = connect(simulator, body["token"]).get("/v5/user/tokens/current").json()["token"]
    assert (current["name"], current["origin"]) == ("shell", "email")
    again = anyone.get("/registration/verify", params=query)
    assert again.status_code == 403, "a verification token works once"


def test_the_name_given_at_verification_wins(anyone, simulator):
    token = anyone.post("/registration", json={"email": "a@b.c", "tokenName": "x"}).json()["token"]
    assert simulator.confirm(token=token) == 1
    anyone.get("/registration/verify", params={"token": token, "tokenName": "y"})
    assert simulator.state.tokens()[0]["name"] == "y"


@pytest.mark.parametrize(
    ("query", "known"),
    [({"teamSlug": "acme"}, True), ({"teamName": "New Team", "teamPlan": "pro"}, False)],
)
def test_a_login_may_join_or_found_a_team(anyone, simulator, query, known):
    before = {team.id for team in simulator.state.teams}
    token = anyone.post("/registration", json={"email": "a@b.c"}).json()["token"]
    simulator.confirm(email="a@b.c")
    query |= {"token": token, "ssoUserId": "saml-1"}
    team_id = anyone.get("/registration/verify", params=query).json()["teamId"]
    assert (team_id in before) is known
    assert team_id in {team.id for team in simulator.state.teams}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 400),
        ({"token": ""}, 400),
        ({"token": "nope"}, 403),
        ({"token": "T", "email": "someone@else.com"}, 403),
        ({"token": "T", "teamPlan": "enterprise"}, 400),
    ],
)
def test_wrong_verifications_give_nothing(anyone, simulator, query, status):
    token = anyone.post("/registration", json={"email": "a@b.c"}).json()["token"]
    simulator.confirm(email="a@b.c")
    query = {name: token if value == "T" else value for name, value in query.items()}
    assert anyone.get("/registration/verify", params=query).status_code == status
    assert anyone.get("/registration/verify", params={"token": token}).status_code == 200


@pytest.mark.parametrize(
    "body", [{}, {"email": ""}, {"email": "ada"}, {"email": 1}, {"email": "a@b", "x": 1}, []]
)
def test_wrong_logins_are_refused(anyone, body):
    assert anyone.post("/registration", json=body).status_code == 400


@pytest.mark.parametrize(
    ("body", "status"), [({"email": "a@b.c"}, 404), ({}, 400), ({"email": "a", "token": "b"}, 400)]
)
def test_only_what_waits_can_be_confirmed(anyone, simulator, body, status):
    assert anyone.post("/_simulator/confirm", json=body).status_code == status
    assert anyone.get("/_simulator/confirm").status_code == 405
    with pytest.raises(LookupError):
        simulator.confirm(email="a@b.c")
