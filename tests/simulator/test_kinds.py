"""What each kind of token may do, and that nothing is allowed which Vercel may refuse."""

import re

import pytest

from vercel_sql.simulator import KINDS

from .served import served

ONLY_USERS = "Only user authentication tokens can be used to create new tokens."
OTHER_SCOPE = 'To create a token you must be authenticated to scope "ada-example"'
LIMITED_USER = {"limited", "id", "email", "name", "username", "avatar", "defaultTeamId"}
MAY = {
    "full": "user teams current list get create delete",
    "cli": "user teams current list get delete",
    "team": "user teams current",
    "limited": "user teams",
    "integration": "user teams current",
    "project": "",
    "app": "",
}


@pytest.fixture
def other(simulator):
    """Another token of the account."""
    return simulator.state.add_token({"name": "another"})


def requests(other):
    return {
        "user": ("GET", "/v2/user"),
        "teams": ("GET", "/v2/teams"),
        "current": ("GET", "/v5/user/tokens/current"),
        "list": ("GET", "/v6/user/tokens"),
        "get": ("GET", f"/v5/user/tokens/{other.id}"),
        "create": ("POST", "/v3/user/tokens"),
        "delete": ("DELETE", f"/v3/user/tokens/{other.id}"),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_may_do_what_is_certain_and_no_more(simulator, connect, other, kind):
    theirs = connect(simulator, simulator.bearer(kind))
    allowed = set()
    for act, (method, path) in requests(other).items():
        answer = theirs.request(method, path, json={"name": "x"} if method == "POST" else None)
        assert answer.status_code in (200, 403), answer.text
        if answer.status_code == 200:
            allowed.add(act)
        else:
            assert answer.json()["error"]["code"] == "forbidden"
            assert "invalidToken" not in answer.json()["error"]
    assert allowed == set(MAY[kind].split())
    assert (simulator.state.find_token(other.id) is None) == ("delete" in allowed)


@pytest.mark.parametrize(
    ("kind", "message"),
    [(kind, ONLY_USERS) for kind in ("app", "cli", "integration")]
    + [(kind, OTHER_SCOPE) for kind in ("team", "project", "limited")],
)
def test_a_refused_create_has_vercels_text(simulator, connect, kind, message):
    theirs = connect(simulator, simulator.bearer(kind))
    before = simulator.state.tokens()
    for query in ({}, {"teamId": simulator.state.find_team("acme").id}):
        if kind == "integration" and query:
            continue
        answer = theirs.post("/v3/user/tokens", params=query, json={"name": "x"})
        assert (answer.status_code, answer.json()["error"]["message"]) == (403, message)
    assert simulator.state.tokens() == before


@pytest.mark.parametrize("kind", ["team", "limited", "integration"])
def test_a_token_of_less_than_the_account_reads_a_limited_user(simulator, connect, kind):
    user = connect(simulator, simulator.bearer(kind)).get("/v2/user").json()["user"]
    assert set(user) == LIMITED_USER
    assert user["limited"] is True
    assert user["username"] == "ada-example"


def test_a_team_token_sees_its_own_team_whole_and_the_others_limited(simulator, connect):
    theirs = connect(simulator, simulator.bearer("team"))
    teams = {team["slug"]: team for team in theirs.get("/v2/teams").json()["teams"]}
    assert [slug for slug, team in teams.items() if "limited" not in team] == ["acme"]
    assert all("scope" in team["limitedBy"] for slug, team in teams.items() if slug != "acme")
    assert theirs.get("/v2/teams/acme").status_code == 200
    refused = theirs.get("/v2/teams/bright-labs")
    assert refused.status_code == 403
    assert 'under scope "bright-labs"' in refused.json()["error"]["message"]


@pytest.mark.parametrize("kind", ["full", "cli"])
@pytest.mark.parametrize("path", ["/v6/user/tokens", "/v5/user/tokens"])
@pytest.mark.parametrize("name", ["teamId", "slug"])
def test_the_listing_takes_no_team(simulator, connect, kind, path, name):
    theirs = connect(simulator, simulator.bearer(kind))
    assert theirs.get(path, params={"limit": 5}).status_code == 200
    refused = theirs.get(path, params={name: "acme"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")


def test_a_created_token_is_of_the_kind_that_was_asked_for(simulator, api, connect):
    team = {"teamId": simulator.state.find_team("acme").id}
    for query, body, kind in (
        ({}, {}, "full"),
        (team, {}, "team"),
        (team, {"projectId": "prj_1"}, "project"),
    ):
        made = api.post("/v3/user/tokens", params=query, json={"name": kind, **body}).json()
        assert simulator.state.find_token(made["token"]["id"]).kind == kind
        status = connect(simulator, made["bearerToken"]).get("/v2/user").status_code
        assert status == (403 if kind == "project" else 200)


def test_a_token_of_a_project_needs_its_team(simulator, api):
    refused = api.post("/v3/user/tokens", json={"name": "x", "projectId": "prj_1"})
    assert refused.status_code == 400
    assert "team scope" in refused.json()["error"]["message"]
    assert len(simulator.state.tokens()) == 31


def test_a_seeded_token_of_teams_alone_is_no_full_one(start, connect):
    simulator = start(60)
    kinds = {token.kind for token in simulator.state.tokens()}
    assert kinds == {"full", "team"}
    token = next(
        token
        for token in simulator.state.tokens()
        if token.kind == "team" and token.is_alive(simulator.state.clock.now_ms())
    )
    assert connect(simulator, token.bearer).get("/v6/user/tokens").status_code == 403


def test_markers_are_those_that_vercel_publishes(simulator):
    markers = {kind: simulator.bearer(kind)[:4] for kind in KINDS}
    assert markers.pop("integration") == "vci_"
    assert (markers.pop("app"), markers.pop("cli")) == ("vca_", "vca_")
    assert set(markers.values()) == {"vcp_"}


@pytest.mark.parametrize(
    ("kind", "status"), [("full", 200), ("cli", 200), ("team", 403), ("project", 403)]
)
def test_the_command_prints_a_token_of_the_kind(connect, monkeypatch, kind, status):
    answers = []

    def ask(printed):
        assert re.match("vc[ap]_", printed["VERCEL_TOKEN"])
        api = connect(_At(printed["VERCEL_API_URL"]), printed["VERCEL_TOKEN"])
        answers.append(api.get("/v6/user/tokens").status_code)

    served(monkeypatch, "--tokens", "2", "--as", kind, meanwhile=ask)
    assert answers == [status]


class _At:
    def __init__(self, url):
        self.url = url
