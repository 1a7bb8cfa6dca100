"""Answers that are not what they should be: raw bytes, wrong dates, pages beyond their size."""

import gzip
from base64 import b64encode
from email.utils import parsedate_to_datetime

import httpx
import pytest

LIST = "/v6/user/tokens"


def raw(data, **options):
    return {"kind": "body", "raw": b64encode(data).decode(), **options}


def test_bytes_that_are_no_text(api):
    assert api.post("/_simulator/faults", json=raw(b"\xff\x00\xfe")).status_code == 200
    answer = api.get(LIST)
    assert (answer.status_code, answer.content) == (200, b"\xff\x00\xfe")
    assert answer.headers["content-type"] == "application/json"


def test_an_encoding_is_kept_as_it_is_given(api, simulator):
    packed = gzip.compress(b" " * 100_000)
    encoded = {"Content-Encoding": "gzip"}
    simulator.faults(raw(packed, headers=encoded), raw(b"no gzip", headers=encoded))
    assert api.get(LIST).content == b" " * 100_000
    with pytest.raises(httpx.DecodingError):
        api.get(LIST)
    assert api.get(LIST).status_code == 200


@pytest.mark.parametrize("seconds", [3600, -86_400, 0.5])
def test_a_date_that_is_wrong(start, connect, seconds):
    simulator = start(0, now_ms=1_780_000_000_000)
    api = connect(simulator)
    simulator.faults(kind="clock_skew", seconds=seconds, path="/v2/user")
    wrong, right = (
        parsedate_to_datetime(api.get("/v2/user").headers["date"]).timestamp() for _ in range(2)
    )
    assert -10 <= wrong - right - int(seconds) <= 1
    assert [record.faults for record in simulator.requests()] == [["clock_skew"], []]


def test_a_wrong_date_joins_other_faults(start, connect):
    simulator = start(0, now_ms=1_780_000_000_000)
    simulator.faults({"kind": "clock_skew", "seconds": -1e9}, {"kind": "status", "status": 503})
    answer = connect(simulator).get(LIST)
    assert answer.status_code == 503
    assert parsedate_to_datetime(answer.headers["date"]).year == 1994


def test_a_page_beyond_its_size(api, simulator):
    proper = api.get(LIST, params={"limit": 5}).json()
    simulator.faults(kind="page", rows=1000, path=LIST)
    page = api.get(LIST, params={"limit": 5}).json()
    assert page["pagination"] == {**proper["pagination"], "count": 1005}
    assert [token["id"] for token in page["tokens"][:5]] == [t["id"] for t in proper["tokens"]]
    assert len({token["id"] for token in page["tokens"]}) == 1005
    assert {frozenset(token) for token in page["tokens"][5:]} == {frozenset(page["tokens"][4])}


def test_what_is_no_page_can_not_be_made_longer(api, simulator):
    simulator.faults({"kind": "page", "rows": 1}, {"kind": "page", "rows": 1, "path": "/nowhere"})
    answer = api.get("/v2/user")
    assert answer.status_code == 500
    assert "page" in answer.json()["error"]["message"]
    assert api.get("/nowhere").status_code == 404, "an error stays the error that it is"
