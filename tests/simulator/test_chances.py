"""Which requests a fault befalls: by the body's text, and by chance that can be repeated."""

CREATE = "/v3/user/tokens"
LIST = "/v6/user/tokens"


def test_a_fault_befalls_the_one_create_whose_body_it_names(api, simulator):
    api.post("/_simulator/faults", json={"kind": "status", "status": 500, "match": '"seventh"'})
    names = ["sixth", "seventh", "eighth", "seventh"]
    statuses = [api.post(CREATE, json={"name": name}).status_code for name in names]
    assert statuses == [200, 500, 200, 200]
    (fault,) = simulator.faults()
    assert (fault["seen"], fault["fired"]) == (2, 1)
    assert api.get(LIST).status_code == 200, "what has no body does not match"


def test_a_body_that_is_no_text_matches_as_far_as_it_is_one(api, simulator):
    simulator.faults(kind="status", status=418, match="name")
    assert api.post(CREATE, content=b"\xff name \x80").status_code == 418


def befallen(simulator, api, count=40):
    simulator.faults(kind="status", status=500, times=None, probability=0.5)
    found = [api.get("/v2/user").status_code == 500 for _ in range(count)]
    simulator.clear_faults()
    return found


def test_chance_hits_some_and_the_same_ones_again(start, connect):
    one, same, other = (start(0, seed=seed) for seed in (1, 1, 2))
    first = befallen(one, connect(one))
    assert 5 < sum(first) < 35
    assert befallen(same, connect(same)) == first
    assert befallen(other, connect(other)) != first
    assert befallen(one, connect(one)) != first, "the next fault draws anew"


def test_what_one_fault_draws_does_not_change_what_another_hits(start, connect):
    alone, beside = start(0), start(0)
    first = {"kind": "status", "path": "/v2/user", "status": 500, "times": None}
    second = {"kind": "status", "path": "/v2/teams", "status": 502, "times": None}
    alone.faults({**first, "probability": 0.3})
    beside.faults({**first, "probability": 0.3}, {**second, "probability": 0.5})
    quiet, busy = connect(alone), connect(beside)
    for _ in range(30):
        busy.get("/v2/teams")
        assert busy.get("/v2/user").status_code == quiet.get("/v2/user").status_code
    assert all(fault["fired"] for fault in beside.faults())


def test_chance_seen_and_fired_are_counted(api, simulator):
    simulator.faults(kind="status", status=500, after=3, times=2, probability=0.5)
    statuses = [api.get("/v2/user").status_code for _ in range(40)]
    assert statuses[:3] == [200] * 3
    assert statuses.count(500) == 2
    (fault,) = simulator.faults()
    assert (fault["seen"], fault["fired"], fault["probability"]) == (40, 2, 0.5)
