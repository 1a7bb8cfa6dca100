"""The record of what was received."""

import time


def test_a_record_says_all_there_is(api, simulator):
    before = int(time.time() * 1000)
    api.post(
        "/v3/user/tokens?slug=acme&x=&x=%20y+z", json={"name": "é"}, headers={"X-Thing": "Value"}
    )
    (record,) = api.get("/_simulator/requests").json()["requests"]
    headers = record.pop("headers")
    assert before <= record.pop("time_ms") <= int(time.time() * 1000)
    assert record == {
        "index": 0,
        "method": "POST",
        "path": "/v3/user/tokens",
        "decoded_path": "/v3/user/tokens",
        "query": [["slug", "acme"], ["x", ""], ["x", " y z"]],
        "body": {"name": "é"},
        "form": None,
        "status": 200,
        "token_id": simulator.state.calling_token.id,
        "acted": True,
        "faults": [],
    }
    assert headers["authorization"] == f"Bearer {simulator.token}"
    assert headers["x-thing"] == "Value"


def test_records_are_in_order_and_can_be_cleared(api, simulator):
    for path in ("/v2/user", "/v2/teams", "/nowhere"):
        api.get(path)
    assert [(r.index, r.path, r.status, r.acted) for r in simulator.requests()] == [
        (0, "/v2/user", 200, True),
        (1, "/v2/teams", 200, True),
        (2, "/nowhere", 404, False),
    ]
    assert api.delete("/_simulator/requests").json() == {"requests": []}
    api.get("/v2/user")
    assert [record.index for record in simulator.requests()] == [0]
    simulator.clear_requests()
    assert simulator.requests() == []


def test_bodies_of_other_kinds(api, simulator):
    api.post("/nowhere", data={"a": "1 2", "b": ""})
    api.post("/nowhere", content=b"\xff{")
    api.post("/nowhere", content=b"[1.0, 12345678901234567890]")
    form, text, array = simulator.requests()
    assert (form.form, form.body) == ([("a", "1 2"), ("b", "")], "a=1+2&b=")
    assert (text.form, text.body) == (None, "\ufffd{")
    assert array.body == [1.0, 12345678901234567890]


def test_records_without_credentials(simulator, connect):
    connect(simulator, None).get("/v2/user")
    connect(simulator, "dead").get("/v2/user")
    first, second = simulator.requests()
    assert first.token_id is second.token_id is None
    assert "authorization" not in first.headers
    assert (first.status, first.acted) == (403, False)


def test_a_copy_is_given(api, simulator):
    api.get("/v2/user")
    simulator.requests()[0].method = "changed"
    assert simulator.requests()[0].method == "GET"
