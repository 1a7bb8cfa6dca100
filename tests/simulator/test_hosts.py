"""The simulated API answers callers of this machine, and no page that the web has put there."""

from __future__ import annotations

import http.client

import pytest

HERE = ["127.0.0.1:{port}", "localhost:{port}", "LocalHost", "[::1]:{port}", "127.0.0.1"]
ELSEWHERE = [
    "evil.example:{port}",
    "localhost.evil.example",
    "127.0.0.1.evil.example:{port}",
    "127.0.0.2",
    "[::2]:{port}",
    "[::1",
    "localhost@evil.example",
    "evil@localhost",
    "localhost:port",
    "",
]
PATHS = [
    "/v2/user",
    "/_simulator/faults",
    "/_simulator/clients",
    "/.well-known/openid-configuration",
]


def asked(simulator, path, headers, method="GET"):
    """The status and the body of a request with these headers alone."""
    connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=30)
    try:
        connection.putrequest(method, path, skip_host=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.putheader("Authorization", f"Bearer {simulator.token}")
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("path", PATHS)
def test_hosts(simulator, path):
    for host in HERE:
        assert asked(simulator, path, [("Host", host.format(port=simulator.port))])[0] == 200
    before = len(simulator.requests())
    for host in ELSEWHERE:
        status, body = asked(simulator, path, [("Host", host.format(port=simulator.port))])
        assert status in (400, 403), host  # 400 is of the server itself, where it is no host at all
        assert simulator.token not in body
    assert len(simulator.requests()) == before


@pytest.mark.parametrize("path", PATHS)
def test_origins(simulator, path):
    host = ("Host", f"localhost:{simulator.port}")
    for origin in (f"http://localhost:{simulator.port}", "http://127.0.0.1:3000", "http://[::1]"):
        assert asked(simulator, path, [host, ("Origin", origin)])[0] == 200
    for origin in ("https://evil.example", "null", "http://localhost.evil.example", "file://", ""):
        assert asked(simulator, path, [host, ("Origin", origin)])[0] == 403, origin


def test_a_page_of_elsewhere_changes_nothing(simulator):
    before = len(simulator.state.tokens())
    for headers in (
        [("Host", f"evil.example:{simulator.port}")],
        [("Host", f"localhost:{simulator.port}"), ("Origin", "https://evil.example")],
    ):
        for method, path in (("POST", "/_simulator/faults"), ("POST", "/v3/user/tokens")):
            assert asked(simulator, path, headers, method)[0] == 403
        (token, *_) = simulator.state.tokens()
        assert asked(simulator, f"/v3/user/tokens/{token.id}", headers, "DELETE")[0] == 403
    assert len(simulator.state.tokens()) == before
    assert simulator.requests() == []


def test_a_host_that_is_said_twice_is_not_one(simulator):
    hosts = [("Host", "localhost"), ("Host", "evil.example")]
    assert asked(simulator, "/v2/user", hosts)[0] in (400, 403)
