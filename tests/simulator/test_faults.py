"""Faults on demand, as an HTTP client sees them."""

import json
import time

import httpx
import pytest

LIST = "/v6/user/tokens"


def test_a_status_without_acting(api, simulator):
    fault = {"kind": "status", "method": "POST", "path": "/v3/user/tokens", "status": 503}
    assert api.post("/_simulator/faults", json=fault).status_code == 200
    answer = api.post("/v3/user/tokens", json={"name": "x"})
    assert answer.status_code == 503
    assert answer.json() == {
        "error": {"code": "internal_server_error", "message": "Internal Server Error"}
    }
    assert len(simulator.state.tokens()) == 31
    (record,) = simulator.requests()
    assert (record.status, record.acted, record.faults) == (503, False, ["status"])
    assert record.token_id == simulator.state.calling_token.id
    assert api.post("/v3/user/tokens", json={"name": "x"}).status_code == 200


def test_a_status_in_full(api):
    fault = {
        "kind": "status",
        "path": "/v2/*",
        "status": 429,
        "code": "rate_limited",
        "message": "Slow down",
        "extra": {"limit": {"remaining": 0, "reset": 1, "resetMs": 1000, "total": 5}},
        "headers": {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"},
    }
    api.post("/_simulator/faults", json=[fault])
    answer = api.get("/v2/user")
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == fault["headers"]["Retry-After"]
    assert answer.json() == {
        "error": {"code": "rate_limited", "message": "Slow down", **fault["extra"]}
    }


def test_a_status_after_the_server_acted(api, simulator):
    simulator.faults(kind="status", status=500, acts=True)
    assert api.post("/v3/user/tokens", json={"name": "x"}).status_code == 500
    assert simulator.state.tokens()[0]["name"] == "x"
    assert simulator.requests()[0].acted


def test_500_on_the_third_page(api, simulator):
    simulator.faults(kind="status", path=LIST, status=500, after=2, times=2)
    statuses = [api.get(LIST).status_code for _ in range(6)]
    assert statuses == [200, 200, 500, 500, 200, 200]


def test_faults_of_a_sequence_wait_for_their_turn(api, simulator):
    simulator.faults({"kind": "status", "status": 500}, {"kind": "status", "status": 502})
    assert [api.get(LIST).status_code for _ in range(3)] == [500, 502, 200]


def test_times_null_means_always(api, simulator):
    simulator.faults(kind="status", status=500, times=None)
    assert [api.get(LIST).status_code for _ in range(5)] == [500] * 5
    simulator.clear_faults()
    assert api.get(LIST).status_code == 200


@pytest.mark.parametrize(
    ("fault", "befallen"),
    [
        ({"path": LIST}, [LIST]),
        ({"path": "/v6/*"}, [LIST]),
        ({"path": "/v2"}, []),
        ({"path": "/v[26]/*"}, []),
        ({"path": "*/user*", "method": "get"}, [LIST, "/v2/user"]),
        ({"method": "DELETE"}, []),
        ({}, [LIST, "/v2/user", "/v2/teams"]),
    ],
)
def test_methods_and_paths_that_match(api, simulator, fault, befallen):
    simulator.faults(kind="status", status=500, times=None, **fault)
    paths = [LIST, "/v2/user", "/v2/teams"]
    assert [path for path in paths if api.get(path).status_code == 500] == befallen


def test_latency_comes_before_acting_and_joins_other_faults(api, simulator):
    simulator.faults(
        {"kind": "latency", "ms": 80}, {"kind": "latency", "ms": 40}, {"kind": "drop_before"}
    )
    began = time.monotonic()
    with pytest.raises(httpx.RemoteProtocolError):
        api.get(LIST)
    assert time.monotonic() - began >= 0.12
    assert api.get(LIST).status_code == 200
    assert [record.faults for record in simulator.requests()] == [
        ["latency", "latency", "drop_before"],
        [],
    ]


def test_a_caller_who_gives_up_does_not_undo_the_act(api, simulator):
    simulator.faults(kind="latency", ms=150, method="POST")
    with pytest.raises(httpx.ReadTimeout):
        api.post("/v3/user/tokens", json={"name": "late"}, timeout=0.03)
    deadline = time.monotonic() + 5
    while simulator.state.tokens()[0]["name"] != "late" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert simulator.state.tokens()[0]["name"] == "late"


def test_garbage_in_place_of_the_answer(api, simulator):
    simulator.faults({"kind": "garbage_body"}, {"kind": "garbage_body", "html": True})
    first = api.post("/v3/user/tokens", json={"name": "x"})
    assert first.status_code == 200
    with pytest.raises(ValueError):
        json.loads(first.content)
    with pytest.raises(UnicodeDecodeError):
        first.content.decode()
    assert simulator.state.tokens()[0]["name"] == "x", "the server acted"
    second = api.get("/v2/user")
    assert second.headers["content-type"] == "text/html; charset=utf-8"
    assert second.text.startswith("<!DOCTYPE html>")


def test_another_body(api, simulator):
    simulator.faults(
        {"kind": "body", "body": '{"a":1,"a":2}'},
        {"kind": "body", "body": [1.5], "status": 203, "headers": {"X-Y": 1}},
        {"kind": "body", "body": "", "content_type": "text/plain", "status": 418},
    )
    assert api.get(LIST).text == '{"a":1,"a":2}'
    second = api.get(LIST)
    assert (second.status_code, second.text, second.headers["x-y"]) == (203, "[1.5]", "1")
    third = api.get(LIST)
    assert (third.status_code, third.text) == (418, "")


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_that_has_no_body(api, simulator, status):
    simulator.faults(kind="body", body="ignored", status=status)
    answer = api.get(LIST)
    assert (answer.status_code, answer.content) == (status, b"")
    assert api.get(LIST).status_code == 200


def test_a_patch_changes_parts_of_the_answer(api, simulator):
    patch = {
        "pagination": {"count": 7},
        "tokens": {"0": {"activeAt": 1.5}, "-1": {"name": None}, "*": {"surprise": 2**70}},
        "testingToken": {"id": "t"},
    }
    simulator.faults(kind="patch", path=LIST, patch=patch)
    body = api.get(LIST).json()
    assert body["pagination"]["count"] == 7
    assert body["tokens"][0]["activeAt"] == 1.5
    assert body["tokens"][-1]["name"] is None
    assert {token["surprise"] for token in body["tokens"]} == {2**70}
    assert body["testingToken"] == {"id": "t"}
    assert "surprise" not in api.get(LIST).text


def test_a_replaced_text_may_break_the_json(api, simulator):
    simulator.faults(kind="patch", replace_text=['"user":{', '"user":{"id":1,'])
    assert api.get("/v2/user").text.startswith('{"user":{"id":1,"id":')


def test_a_patch_that_does_not_fit_is_a_500_that_says_so(api, simulator):
    simulator.faults(kind="patch", path=LIST, patch={"tokens": {"9999": 1}})
    answer = api.get(LIST)
    assert answer.status_code == 500
    assert "patch" in answer.json()["error"]["message"]


def test_a_repeated_cursor(api, simulator):
    simulator.faults(kind="repeat_cursor", times=2)
    first = api.get(LIST, params={"limit": 10}).json()["pagination"]["next"]
    query = {"limit": 10, "until": first}
    assert [api.get(LIST, params=query).json()["pagination"]["next"] for _ in range(2)] == [
        first,
        first,
    ]
    assert api.get(LIST, params=query).json()["pagination"]["next"] != first


def test_a_redirect(api, simulator):
    simulator.faults(
        {"kind": "redirect", "location": "http://127.0.0.1:9/elsewhere"},
        {"kind": "redirect", "location": "/v2/teams", "status": 301},
    )
    first, second = api.get("/v2/user"), api.get("/v2/user")
    assert (first.status_code, first.headers["location"]) == (307, "http://127.0.0.1:9/elsewhere")
    assert (second.status_code, second.headers["location"]) == (301, "/v2/teams")


def test_faults_are_listed_counted_and_cleared(api):
    given = {"kind": "latency", "ms": 1, "path": LIST, "times": 3, "after": 1}
    api.post("/_simulator/faults", json=given)
    api.get(LIST)
    api.get(LIST)
    (listed,) = api.get("/_simulator/faults").json()["faults"]
    others = {"method": None, "match": None, "probability": 1}
    assert listed == given | others | {"seen": 2, "fired": 1}
    assert api.delete("/_simulator/faults").json() == {"faults": []}


@pytest.mark.parametrize(
    "fault",
    [
        "status",
        None,
        {},
        {"kind": "explosion"},
        {"kind": []},
        {"kind": "status"},
        {"kind": "status", "status": 99},
        {"kind": "status", "status": True},
        {"kind": "status", "status": 500, "time": 1},
        {"kind": "latency", "ms": "1"},
        {"kind": "latency", "ms": -1},
        {"kind": "latency", "ms": 1, "status": 500},
        {"kind": "drop_before", "times": 0},
        {"kind": "drop_before", "path": 1},
        {"kind": "patch", "replace_text": ["a"]},
        {"kind": "redirect"},
        {"kind": "redirect", "location": "/a\r\nX-Y: z"},
        {"kind": "status", "status": 500, "headers": {"X Y": "z"}},
        {"kind": "status", "status": 500, "headers": {"X-Y": "\u2026"}},
        {"kind": "drop_before", "match": 1},
        {"kind": "drop_before", "probability": 0},
        {"kind": "drop_before", "probability": 1.1},
        {"kind": "drop_before", "probability": True},
        {"kind": "latency", "ms": 1, "acts_first": 1},
        {"kind": "hang", "ms": -1},
        {"kind": "hang", "acts": "yes"},
        {"kind": "drip"},
        {"kind": "drip", "ms": 1, "bytes": 0},
        {"kind": "body"},
        {"kind": "body", "body": 1, "raw": "AA=="},
        {"kind": "body", "raw": "A"},
        {"kind": "body", "raw": "\u00e4"},
        {"kind": "page"},
        {"kind": "clock_skew"},
        {"kind": "clock_skew", "seconds": "1"},
        {"kind": "clock_skew", "seconds": 1e10},
    ],
)
def test_what_is_no_fault_is_refused_whole(api, simulator, fault):
    answer = api.post("/_simulator/faults", json=[{"kind": "drop_before"}, fault])
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "bad_request"
    assert api.get("/_simulator/faults").json() == {"faults": []}
    if isinstance(fault, dict) and fault:
        with pytest.raises(ValueError):
            simulator.faults(fault)


def test_control_endpoints_do_not_suffer_their_own_faults(api, simulator):
    simulator.faults(kind="drop_before", times=None)
    assert api.get("/_simulator/faults").status_code == 200
    assert api.get("/_simulator/nothing").json()["error"]["code"] == "not_found"
    assert api.put("/_simulator/faults").json()["error"]["code"] == "method_unknown"
    assert api.post("/_simulator/faults", content=b"{").status_code == 400
    assert simulator.requests() == []
