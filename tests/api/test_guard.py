"""The guard in the HTTP client, and the hook through which callers see each request."""

from __future__ import annotations

import threading

import pytest

from vercel_sql.errors import InterfaceError, MissingTokenError, NotFoundError, ReadOnlyError
from vercel_sql.http.requests import build_request
from vercel_sql.manifest import vercel
from vercel_sql.runtime.scope import CancelScope

METHODS = vercel().service("authentication").resources["user_tokens"].methods
ARGUMENTS = {"tokenId": "t", "name": "n", "token": "v", "email": "a@b.c"}


def request(name: str):
    method = METHODS[name]
    arguments = {p.name: ARGUMENTS[p.name] for p in method.required}
    return build_request(method, arguments)


@pytest.mark.parametrize("name", METHODS)
def test_a_read_only_client_sends_only_what_the_manifest_calls_a_read(sim, make_client, name):
    client = make_client(sim, read_only=True)
    if METHODS[name].effect == "read":
        with pytest.raises(NotFoundError) if name == "get_auth_token" else _nothing():
            client.send(request(name))
        assert len(sim.requests()) == (2 if name == "get_auth_token" else 1)
    else:
        with pytest.raises(ReadOnlyError, match=f"{name} changes something"):
            client.send(request(name))
        assert sim.requests() == []


class _nothing:
    def __enter__(self):
        return None

    def __exit__(self, *_):
        return False


def test_verify_token_is_a_write_although_it_is_a_get():
    assert METHODS["verify_token"].http == "GET"
    assert METHODS["verify_token"].effect == "write"
    assert METHODS["verify_token"].retry == "refused"


def test_a_client_is_guarded_for_a_while(sim, make_client):
    client = make_client(sim)
    with client.guarded(), client.guarded():
        assert client.read_only
    with client.guarded():
        with pytest.raises(ReadOnlyError):
            client.send(request("create_auth_token"))
        client.send(request("list_auth_tokens"))
    assert not client.read_only
    assert client.send(request("create_auth_token")).status == 200
    assert [r.method for r in sim.requests()] == ["GET", "POST"]


def test_the_guard_ends_with_an_error_too(sim, make_client):
    client = make_client(sim)
    with pytest.raises(ZeroDivisionError), client.guarded():
        raise ZeroDivisionError
    assert not client.read_only


def test_observers_see_each_attempt(sim, make_client, monkeypatch):
    monkeypatch.setattr(CancelScope, "sleep", lambda scope, seconds, **_what: None)
    client, seen = make_client(sim), []
    sim.faults({"kind": "status", "status": 503}, {"kind": "drop_before"})
    with client.observed(seen.append):
        client.send(request("list_auth_tokens"))
    client.send(request("list_auth_tokens"))
    assert [(event.status, event.attempt) for event in seen] == [(503, 1), (None, 2), (200, 3)]
    assert {(event.method, event.path) for event in seen} == {("GET", "/v6/user/tokens")}
    assert {event.api_method for event in seen} == {"list_auth_tokens"}
    assert {event.resource for event in seen} == {"authentication.user_tokens"}
    assert all(event.milliseconds > 0 for event in seen)


def test_observers_see_the_body_and_the_query_but_no_secret(sim, make_client):
    client, seen = make_client(sim), []
    method = METHODS["verify_token"]
    with (
        client.observed(seen.append),
        pytest.raises(Exception, match=r"\(GET /registration/verify, "),
    ):
        client.send(build_request(method, {"token": "secret-value", "email": "a@b.c"}))
    with client.observed(seen.append):
        client.send(request("create_auth_token"))
    assert seen[0].query == {"token": "[secret]", "email": "a@b.c"}
    assert seen[1].body == {"name": "n"}
    assert "secret-value" not in repr(seen)


def test_a_client_without_a_token_says_where_it_was_sought(sim, make_client):
    client = make_client(sim, token=None)
    with pytest.raises(MissingTokenError, match="get_auth_token needs a Vercel token"):
        client.send(request("get_auth_token"))
    assert sim.requests() == []
    assert client.send(request("email_login")).status == 200
    assert "authorization" not in sim.requests()[0].headers


def test_methods_without_auth_do_not_carry_the_token(sim, make_client):
    client = make_client(sim)
    client.send(request("email_login"))
    client.send(request("list_auth_tokens"))
    carried = [record.headers.get("authorization") for record in sim.requests()]
    assert carried == [None, f"Bearer {sim.token}"]


def test_a_closed_client_sends_nothing(sim, make_client):
    client = make_client(sim)
    client.send(request("list_auth_tokens"))
    client.close()
    client.close()
    with pytest.raises(InterfaceError, match="closed"):
        client.send(request("list_auth_tokens"))
    assert len(sim.requests()) == 1


def test_threads_share_a_client(sim, make_client):
    client, statuses = make_client(sim), []
    gate = threading.Barrier(8)

    def work() -> None:
        gate.wait(10)
        statuses.append(client.send(request("list_auth_tokens")).status)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert statuses == [200] * 8
