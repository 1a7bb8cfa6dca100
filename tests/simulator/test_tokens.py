"""The endpoints of the tokens keep the state that they show."""

import re
import threading
import time

import pytest

DEAD = {"code": "forbidden", "message": "Not authorized", "invalidToken": True}


def test_lists_on_both_versions_with_the_same_body(api, simulator):
    v6 = api.get("/v6/user/tokens", params={"limit": 100})
    assert v6.status_code == 200
    assert v6.headers["content-type"] == "application/json"
    body = v6.json()
    assert set(body) == {"tokens", "pagination"}
    assert body["pagination"]["count"] == len(body["tokens"]) == 31
    assert body["pagination"]["next"] is None
    v5 = api.get("/v5/user/tokens", params={"limit": 100}).json()
    calling = simulator.state.calling_token.id
    assert [t for t in v5["tokens"] if t["id"] != calling] == [
        t for t in body["tokens"] if t["id"] != calling
    ]


def test_lists_newest_first_twenty_by_default(api):
    body = api.get("/v6/user/tokens").json()
    created = [token["createdAt"] for token in body["tokens"]]
    assert len(created) == 20
    assert created == sorted(created, reverse=True)


WRONG_PAGING = """
    limit=0 limit=101 limit=-1 limit= limit=ten limit=1.5 limit=² limit=1&limit=2
    until=yesterday until= until=-5 until=1.5 until=¹ until=1&until=2
    until=cur_! until=cur_MTI until=cur_MTphYg==
"""


@pytest.mark.parametrize("path", ["/v6/user/tokens", "/v2/teams"])
@pytest.mark.parametrize("query", WRONG_PAGING.split())
def test_refuses_bad_paging(api, path, query):
    answer = api.get(f"{path}?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "bad_request"


def test_gets_one_by_id_and_the_calling_one(api, simulator):
    other = next(t for t in simulator.state.tokens() if t is not simulator.state.calling_token)
    assert api.get(f"/v5/user/tokens/{other.id}").json() == {"token": other.fields}
    current = api.get("/v5/user/tokens/current").json()["token"]
    assert current["id"] == simulator.state.calling_token.id


def test_unknown_ids_are_not_found(api):
    for method, path in [("GET", "/v5/user/tokens/nope"), ("DELETE", "/v3/user/tokens/nope")]:
        answer = api.request(method, path)
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "not_found"


def test_an_encoded_slash_stays_in_its_segment(api, simulator):
    answer = api.get("/v5/user/tokens/..%2F..%2Fv2%2Fuser")
    assert answer.status_code == 404
    assert "Token not found" in answer.json()["error"]["message"]
    (record,) = simulator.requests()
    assert record.path == "/v5/user/tokens/..%2F..%2Fv2%2Fuser"
    assert record.decoded_path == "/v5/user/tokens/../../v2/user"


def test_ids_may_hold_any_character(api, simulator):
    token = simulator.state.add_token({"id": "a/b c?d#é%2F"})
    answer = api.get("/v5/user/tokens/a%2Fb%20c%3Fd%23%C3%A9%252F")
    assert answer.json()["token"]["id"] == token.id


def test_what_is_created_is_listed_and_authenticates(api, simulator, connect):
    before = int(time.time() * 1000)
    answer = api.post("/v3/user/tokens", json={"name": "fresh"})
    assert answer.status_code == 200
    body = answer.json()
    token = body["token"]
    assert set(body) == {"token", "bearerToken"}
    assert token["name"] == "fresh"
    assert token["activeAt"] == token["createdAt"] >= before
    assert "expiresAt" not in token
    assert [scope["type"] for scope in token["scopes"]] == ["user"]
    assert re.fullmatch("[0-9a-f]{64}", token["id"])
    assert body["bearerToken"].startswith(token["prefix"])
    assert body["bearerToken"].endswith(token["suffix"])
    assert api.get("/v6/user/tokens").json()["tokens"][0] == token
    mine = connect(simulator, body["bearerToken"])
    assert mine.get("/v5/user/tokens/current").json()["token"]["id"] == token["id"]
    assert body["bearerToken"] not in api.get("/v6/user/tokens").text


@pytest.mark.parametrize("param", ["teamId", "slug"])
def test_creates_for_a_team(api, simulator, connect, param):
    team = simulator.state.find_team("acme")
    value = team.id if param == "teamId" else team.slug
    expires_at = int(time.time() * 1000) + 60_000
    body = {"name": "ci", "expiresAt": expires_at}
    created = api.post("/v3/user/tokens", params={param: value}, json=body).json()
    (scope,) = created["token"]["scopes"]
    assert (scope["type"], scope["teamId"]) == ("team", team.id)
    assert scope["expiresAt"] == created["token"]["expiresAt"] == expires_at
    refused = connect(simulator, created["bearerToken"]).post("/v3/user/tokens", json={"name": "x"})
    assert refused.status_code == 403
    assert refused.json()["error"] == {
        "code": "forbidden",
        "message": 'To create a token you must be authenticated to scope "ada-example"',
    }


@pytest.mark.parametrize(
    "query", ["teamId=team_x", "slug=nope", "slug=northwind", "teamId=acme", "teamId="]
)
def test_creates_for_no_team_that_the_user_cannot_use(api, simulator, query):
    answer = api.post(f"/v3/user/tokens?{query}", json={"name": "x"})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "forbidden"
    assert len(simulator.state.tokens()) == 31


def test_refuses_two_teams_at_once(api, simulator):
    path = f"/v3/user/tokens?teamId={simulator.state.find_team('acme').id}"
    answer = api.post(f"{path}&slug=bright-labs", json={"name": "x"})
    assert answer.status_code == 400
    same = api.post(f"{path}&slug=acme", json={"name": "x"})
    assert same.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"name":""}',
        b'{"name":null}',
        b'{"name":1}',
        b'{"name":"x","expiresAt":"1999999999999"}',
        b'{"name":"x","expiresAt":null}',
        b'{"name":"x","expiresAt":true}',
        b'{"name":"x","expiresAt":NaN}',
        b'{"name":"x","expiresAt":1e999}',
        b'{"name":"x","expiresAt":1}',
        b'{"name":"x","projectId":1}',
        b'{"name":"x","surprise":1}',
        b'{"name":"x","name":"y"}',
        b'{"name":"\xff"}',
        b"[" * 100_000,
    ],
)
def test_creates_nothing_from_a_wrong_body(api, simulator, body):
    answer = api.post("/v3/user/tokens", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "bad_request"
    assert len(simulator.state.tokens()) == 31


def test_creates_nothing_from_a_form(api):
    assert api.post("/v3/user/tokens", data={"name": "x"}).status_code == 400


@pytest.mark.parametrize("name", ["=1+1", 'it\'s "quoted"', "東京 🚀", "\ud800", "a\x00b"])
def test_names_come_back_as_they_went(api, name):
    content = b'{"name":"\\ud800"}' if name == "\ud800" else None
    headers = {"content-type": "application/json"}
    answer = (
        api.post("/v3/user/tokens", content=content, headers=headers)
        if content
        else api.post("/v3/user/tokens", json={"name": name})
    )
    token = answer.json()["token"]
    assert token["name"] == name
    assert api.get(f"/v5/user/tokens/{token['id']}").json()["token"]["name"] == name


def test_a_whole_float_is_written_as_javascript_writes_it(api):
    answer = api.post("/v3/user/tokens", json={"name": "x", "expiresAt": 4e12})
    assert '"expiresAt":4000000000000}' in answer.text


def test_what_is_deleted_stops_working(api, simulator, connect):
    created = api.post("/v3/user/tokens", json={"name": "short"}).json()
    id_ = created["token"]["id"]
    mine = connect(simulator, created["bearerToken"])
    assert api.delete(f"/v3/user/tokens/{id_}").json() == {"tokenId": id_}
    assert mine.get("/v2/user").json()["error"] == DEAD
    assert api.get(f"/v5/user/tokens/{id_}").status_code == 404
    assert api.delete(f"/v3/user/tokens/{id_}").status_code == 404
    assert id_ not in api.get("/v6/user/tokens?limit=100").text


def test_the_calling_token_can_delete_itself(api, simulator):
    id_ = simulator.state.calling_token.id
    assert api.delete("/v3/user/tokens/current").json() == {"tokenId": id_}
    answer = api.get("/v2/user")
    assert answer.status_code == 403
    assert answer.json()["error"] == DEAD


def test_dead_tokens_are_listed_but_do_not_authenticate(api, simulator, connect):
    now_ms = simulator.state.clock.now_ms()
    expired = simulator.state.add_token({"expiresAt": now_ms})
    revoked = simulator.state.add_token({"revokedAt": now_ms})
    leaked = simulator.state.add_token({"leakedAt": now_ms})
    for token in (expired, revoked):
        answer = connect(simulator, token.bearer).get("/v2/user")
        assert (answer.status_code, answer.json()["error"]) == (403, DEAD)
        assert api.get(f"/v5/user/tokens/{token.id}").status_code == 200
    assert connect(simulator, leaked.bearer).get("/v2/user").status_code == 200


def test_credentials_that_are_missing_or_of_another_kind(simulator, connect):
    nobody = connect(simulator, None)
    answer = nobody.get("/v6/user/tokens")
    assert answer.status_code == 403
    assert answer.json()["error"] == {
        "code": "forbidden",
        "message": "Not authorized",
        "missingToken": True,
    }
    for wrong in ("Basic eDp5", "Bearer", simulator.token):
        answer = nobody.get("/v6/user/tokens", headers={"authorization": wrong})
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "unauthorized"
    answer = nobody.get("/v6/user/tokens", headers={"authorization": "Bearer nope"})
    assert answer.json()["error"] == DEAD


def test_a_token_that_dies_while_its_request_waits_is_refused(simulator, connect):
    token = simulator.state.add_token()
    simulator.faults(kind="latency", ms=100)
    timer = threading.Timer(0.03, simulator.state.remove_token, [token])
    timer.start()
    assert connect(simulator, token.bearer).get("/v2/user").json()["error"] == DEAD
    timer.join(5)


def test_active_at_moves_when_a_token_is_used(api, simulator):
    def active_at():
        return api.get("/v5/user/tokens/current").json()["token"]["activeAt"]

    first = active_at()
    simulator.advance(0.01)
    assert first < active_at() <= simulator.state.clock.now_ms()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v6/user/tokens"),
        ("DELETE", "/v5/user/tokens/x"),
        ("GET", "/v3/user/tokens"),
        ("GET", "/v3/user/tokens/x"),
        ("PATCH", "/v2/user"),
        ("PUT", "/v2/teams"),
        ("GET", "/registration"),
        ("POST", "/registration/verify"),
    ],
)
def test_other_methods_are_unknown(api, simulator, method, path):
    answer = api.request(method, path)
    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "method_unknown"
    assert answer.headers["allow"]
    assert not simulator.requests()[0].acted


@pytest.mark.parametrize("path", ["/", "/v7/user/tokens", "/v5/user/tokens/", "/v2/user/", "//"])
def test_other_paths_are_not_found(api, path):
    answer = api.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
