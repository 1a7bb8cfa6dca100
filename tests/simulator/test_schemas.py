"""No answer of the simulated API differs from the API's schemas: neither a page nor an error."""

import itertools

import pytest

from ..scale import scaled
from .strict import problems

NOW = 1_780_000_000_000
SEEDS = range(1, scaled(25, 250) + 1)


class Checker:
    """Sends requests, and collects what is wrong with their answers."""

    def __init__(self, client):
        self._client = client
        self.found = []
        self.statuses = set()

    def __call__(self, method, path, name=None, *, status=200, **more):
        """Sends one request; `name` is the path of its schema, where it differs."""
        answer = self._client.request(method, path, **more)
        kind, schema = "answers", f"{method} {name or path}"
        if answer.status_code != 200:
            kind, schema = "errors", str(min(answer.status_code, 500))
        self.statuses.add(answer.status_code)
        self.found += [f"{method} {path}: {each}" for each in problems(kind, schema, answer.json())]
        if answer.status_code != status:
            self.found.append(f"{method} {path}: status {answer.status_code}: {answer.text[:200]}")
        return answer.json()

    def pages(self, path, limit):
        """Reads a listing to its end; gives its rows."""
        rows, cursor = [], {}
        for _ in range(400):
            body = self("GET", path, params={"limit": limit, **cursor})
            pagination = body.pop("pagination")
            ((_, found),) = body.items()
            rows += found
            if pagination["next"] is None:
                return rows
            cursor = {"until": pagination["next"]}
        raise AssertionError(f"{path} does not end")


@pytest.fixture
def check(connect):
    """Gives the checker of a simulator and a bearer; nothing may be wrong at the end."""
    checkers = []

    def checker(simulator, bearer=...):
        checkers.append(Checker(connect(simulator, bearer)))
        return checkers[-1]

    yield checker
    assert [problem for each in checkers for problem in each.found] == []


def test_every_page_of_every_account(check, start):
    for seed in SEEDS:
        simulator = start(210, seed=seed, now_ms=NOW, until_inclusive=seed % 2 == 0)
        send = check(simulator)
        for path, limit in (("/v6/user/tokens", 20), ("/v5/user/tokens", 100)):
            rows = send.pages(path, limit)
            assert len({row["id"] for row in rows}) == 211
        for limit in (1, 2, 100):
            assert len({row["id"] for row in send.pages("/v2/teams", limit)}) == 5
        for row in rows[:5]:
            send("GET", f"/v5/user/tokens/{row['id']}", "/v5/user/tokens/{tokenId}")
        send("GET", "/v5/user/tokens/current", "/v5/user/tokens/{tokenId}")
        send("GET", "/v2/user")
        simulator.stop()


def test_every_write(check, start):
    for seed in SEEDS[:: len(SEEDS) // 2]:
        simulator = start(5, seed=seed)
        send, nobody = check(simulator), check(simulator, None)
        now_ms = simulator.state.clock.now_ms()
        bodies = [{"name": "a"}, {"name": "b", "expiresAt": now_ms + 60_000.5}]
        for body, query in itertools.product(bodies, ({}, {"slug": "acme"})):
            made = send("POST", "/v3/user/tokens", json=body, params=query)
            id_ = made["token"]["id"]
            send("DELETE", f"/v3/user/tokens/{id_}", "/v3/user/tokens/{tokenId}")
        for team in simulator.state.teams:
            for path in ("/v2/teams", "/teams"):
                status = 403 if team.limited_by else 200
                send("GET", f"{path}/{team.id}", f"{path}/{{teamId}}", status=status)
        for query in ({}, {"teamName": "New", "teamPlan": "pro"}):
            token = nobody("POST", "/registration", json={"email": "a@b.c"})["token"]
            simulator.confirm(token=token)
            nobody("GET", "/registration/verify", params={"token": token, **query})
        client = simulator.oauth.clients.sso
        for team in (None, "acme"):
            form = {
                "client_id": client.client_id,
                "client_secret": client.client_secret,
                "code": simulator.oauth.mint_code("sso", team=team).code,
            }
            nobody("POST", "/v1/integrations/sso/token", json=form)
        send.pages("/v2/teams", 100)
        send.pages("/v6/user/tokens", 100)
        simulator.stop()


def test_every_error(check, start):
    simulator = start(30)
    send, token = check(simulator), "/v3/user/tokens/nope"
    for query in ({"limit": 0}, {"limit": 101}, {"limit": "x"}, {"until": "x"}, {"limit": [1, 2]}):
        send("GET", "/v6/user/tokens", params=query, status=400)
        send("GET", "/v2/teams", params=query, status=400)
    send("GET", "/v2/teams", params={"since": "soon"}, status=400)
    for body in ({}, {"name": ""}, {"name": 1}, {"name": "a", "expiresAt": 1}, {"x": 1}, []):
        send("POST", "/v3/user/tokens", json=body, status=400)
    send("POST", "/v3/user/tokens", content=b"{", status=400)
    send("POST", "/registration", json={"email": "nobody"}, status=400)
    send("GET", "/registration/verify", status=400)
    send("GET", "/registration/verify", params={"token": "nope"}, status=403)
    send("POST", "/v3/user/tokens", json={"name": "a"}, params={"slug": "umbra"}, status=403)
    for method, path in (("GET", "/v5/user/tokens/nope"), ("DELETE", token), ("GET", "/teams/x")):
        send(method, path, status=404)
    send("GET", "/nowhere", status=404)
    send("PUT", "/v2/user", status=405)
    simulator.faults(kind="status", status=503)
    send("GET", "/v2/user", status=503)
    for bearer in (None, "dead"):
        check(simulator, bearer)("GET", "/v2/user", status=403)
    send("GET", "/v2/user", headers={"Authorization": "Basic YTpi"}, status=401)
    limited = check(start(3, rate_limit="1/60"))
    limited("GET", "/v2/user")
    limited("GET", "/v2/user", status=429)
    assert send.statuses | limited.statuses == {200, 400, 401, 403, 404, 405, 429, 503}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GET /v5/user/tokens/{tokenId}", {"token": {"id": "t"}}),
        ("DELETE /v3/user/tokens/{tokenId}", {"tokenId": "t", "name": "n"}),
        ("DELETE /v3/user/tokens/{tokenId}", {"tokenId": 1}),
        ("GET /v6/user/tokens", {"tokens": [], "pagination": {"count": 0, "next": "a", "prev": 1}}),
        ("GET /v2/teams", {"teams": [], "pagination": {"count": 0, "next": "a", "prev": None}}),
    ],
)
def test_the_check_finds_what_is_wrong(name, value):
    assert problems("answers", name, value)
