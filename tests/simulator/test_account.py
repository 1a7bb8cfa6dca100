"""The user and the teams."""


def test_the_user_is_a_full_account(api, simulator):
    user = api.get("/v2/user").json()["user"]
    assert set(user) == {
        *("id", "email", "name", "username", "avatar", "defaultTeamId", "createdAt"),
        *("softBlock", "billing", "resourceConfig", "stagingPrefix", "hasTrialAvailable"),
    }
    assert user["softBlock"] is user["billing"] is None
    assert isinstance(user["resourceConfig"], dict)
    assert user["defaultTeamId"] == simulator.state.find_team("acme").id


def test_a_test_may_make_the_user_a_limited_one(api, simulator):
    simulator.state.user = {"id": "u", "limited": True, "name": None}
    assert api.get("/v2/user").json() == {"user": {"id": "u", "limited": True, "name": None}}


def test_teams_are_listed_in_both_forms(api):
    body = api.get("/v2/teams").json()
    assert body["pagination"]["count"] == len(body["teams"]) == 5
    always = {"id", "slug", "name", "avatar", "createdAt", "membership"}
    whole = {"creatorId", "updatedAt", "description", "stagingPrefix", "billing"}
    audited = {
        *("personalAccessTokensInvalidatedAt", "appTokensInvalidatedAt", "saml"),
        *("integrationTokensInvalidatedAt", "apiKeysInvalidatedAt"),
    }
    limited = [team for team in body["teams"] if "limited" in team]
    assert limited
    for team in body["teams"]:
        more = {"limited", "limitedBy"} if team in limited else whole
        assert set(team) - audited == always | more
        assert team["membership"]["role"]
        assert team["membership"]["created"] == team["createdAt"]
    assert set().union(*body["teams"]) >= audited
    assert all(team["limited"] is True for team in limited)
    assert {each for team in limited for each in team["limitedBy"]} == {
        *("invalidated", "mfa", "scope"),
    }
    assert {team["name"] is None for team in body["teams"]} == {True, False}
    assert {team["avatar"] is None for team in body["teams"]} == {True, False}


def test_teams_are_paged(api):
    everything = api.get("/v2/teams").json()["teams"]
    first = api.get("/v2/teams?limit=3").json()
    assert first["pagination"]["next"] == first["teams"][-1]["createdAt"]
    rest = api.get("/v2/teams", params={"until": first["pagination"]["next"]}).json()
    assert rest["pagination"]["next"] is None
    assert [*first["teams"], *rest["teams"][1:]] == everything
    since = api.get("/v2/teams", params={"since": everything[1]["createdAt"]}).json()
    assert since["teams"] == everything[:2]
    assert api.get("/v2/teams?since=soon").status_code == 400


def test_a_team_is_found_by_id_and_slug_on_both_paths(api, simulator):
    team = simulator.state.find_team("acme")
    for path in (f"/teams/{team.id}", "/teams/acme", f"/v2/teams/{team.id}", "/v2/teams/acme"):
        assert api.get(path, params={"teamId": team.id}).json() == team.as_json()
    assert api.get("/v2/teams/nope").json()["error"]["code"] == "not_found"
    assert api.get("/v2/teams/umbra").status_code == 403, "no schema has a limited one here"


def test_the_account_needs_credentials(simulator, connect):
    for path in ("/v2/user", "/v2/teams", "/v2/teams/acme", "/teams/acme"):
        answer = connect(simulator, None).get(path)
        assert (answer.status_code, answer.json()["error"]["missingToken"]) == (403, True)
