"""Every refusal of the API is an exception that carries what Vercel said."""

from __future__ import annotations

import pytest

from vercel_sql import errors
from vercel_sql.http.requests import build_request

BY_STATUS = [
    (400, "bad_request", errors.BadRequestError),
    (401, "unauthorized", errors.UnauthorizedError),
    (403, "forbidden", errors.ForbiddenError),
    (403, "integration_configuration_disabled", errors.ForbiddenError),
    (404, "not_found", errors.NotFoundError),
    (405, "method_unknown", errors.MethodNotAllowedError),
    (409, "conflict", errors.APIError),
    (429, "too_many_tokens", errors.RateLimitedError),
    (500, "internal_server_error", errors.ServerError),
    (503, "internal_server_error", errors.ServerError),
]
CALLS = [
    ("get_auth_token", {"tokenId": "t"}, "GET", "/v5/user/tokens/t"),
    ("list_auth_tokens", {}, "GET", "/v6/user/tokens"),
    ("create_auth_token", {"name": "x"}, "POST", "/v3/user/tokens"),
    ("delete_auth_token", {"tokenId": "t"}, "DELETE", "/v3/user/tokens/t"),
    ("verify_token", {"token": "v"}, "GET", "/registration/verify"),
    ("email_login", {"email": "a@b.c"}, "POST", "/registration"),
]


@pytest.fixture
def client(sim, make_client):
    return make_client(sim, attempts=1, max_wait=0)


@pytest.mark.parametrize(("status", "code", "kind"), BY_STATUS)
@pytest.mark.parametrize(("name", "arguments", "http", "path"), CALLS)
def test_each_status_on_each_method(
    client, sim, method, status, code, kind, name, arguments, http, path
):
    fault = {"code": code, "message": "Why", "extra": {"more": [1]}, "times": None}
    sim.faults(kind="status", status=status, **fault)
    with pytest.raises(errors.APIError) as raised:
        client.send(build_request(method(name), arguments))
    error = raised.value
    assert type(error) is kind
    assert (error.status, error.code, error.message) == (status, code, "Why")
    assert (error.method, error.path) == (http, path)
    assert error.extra == {"more": [1]}
    assert str(error).startswith(f"Why ({http} {path}, {status}")


def test_the_tree_is_pep_249s():
    for _, _, kind in BY_STATUS:
        assert issubclass(kind, errors.APIError)
    assert issubclass(errors.APIError, errors.OperationalError)
    assert issubclass(errors.OperationalError, errors.DatabaseError)
    assert issubclass(errors.DatabaseError, errors.Error)
    assert not issubclass(errors.Error, errors.Warning)


@pytest.mark.parametrize(
    ("token", "hint", "status"),
    [("vcp_unknownToAllTheWorld", "The token is dead", 403)],
)
def test_a_dead_token_is_called_dead(sim, make_client, method, token, hint, status):
    client = make_client(sim, token=token)
    with pytest.raises(errors.ForbiddenError, match=hint) as raised:
        client.send(build_request(method("get_auth_token"), {"tokenId": "current"}))
    assert raised.value.status == status
    assert raised.value.extra == {"invalidToken": True}


def test_an_oauth_error(client, sim, method):
    body = {"error": "invalid_grant", "error_description": "The code is spent"}
    sim.faults(kind="body", status=400, body=body)
    with pytest.raises(
        errors.BadRequestError,
        match=r"^The code is spent \(POST /registration, 400 invalid_grant\)",
    ):
        client.send(build_request(method("email_login"), {"email": "a@b.c"}))


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ("<html>Bad gateway</html>", "text/html", "an HTML page, not one of Vercel's errors"),
        ("", "text/plain", "the body is text/plain, not one of Vercel's errors"),
        ("[1]", "application/json", "the body is application/json, not one of Vercel's errors"),
    ],
)
def test_an_error_that_is_not_vercels(client, sim, method, body, kind, words):
    sim.faults(kind="body", status=502, body=body, content_type=kind)
    with pytest.raises(errors.ServerError, match=rf"^{words} \(GET /v6/user/tokens, 502\)"):
        client.send(build_request(method("list_auth_tokens"), {}))


def test_a_long_message_is_cut(client, sim, method):
    sim.faults(kind="status", status=400, message="x" * 5000)
    with pytest.raises(errors.BadRequestError) as raised:
        client.send(build_request(method("list_auth_tokens"), {}))
    assert len(raised.value.message) == 500


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "garbage_body"},
        {"kind": "garbage_body", "html": True},
        {"kind": "body", "body": ""},
    ],
)
def test_a_good_status_with_a_bad_body(client, sim, method, fault):
    sim.faults(fault)
    answer = client.send(build_request(method("create_auth_token"), {"name": "x"}))
    with pytest.raises(errors.AnswerError, match="can't be used") as raised:
        answer.json()
    assert raised.value.outcome_unknown, "it was carried out, and what it gave is lost"


def test_redirects_are_not_followed(client, sim, method, simulate):
    elsewhere = simulate(1)
    for location in (elsewhere.url + "/v2/user", "/v2/user"):
        sim.faults(kind="redirect", location=location)
        with pytest.raises(errors.RedirectError, match="Redirects are not followed"):
            client.send(build_request(method("list_auth_tokens"), {}))
    assert elsewhere.requests() == []
    assert [record.path for record in sim.requests()] == ["/v6/user/tokens"] * 2


def test_an_answer_for_a_cache_is_no_redirect(client, sim, method):
    sim.faults(kind="status", status=304, times=None)
    with pytest.raises(errors.APIError, match="Only a cache is answered so") as raised:
        client.send(build_request(method("list_auth_tokens"), {}))
    assert not isinstance(raised.value, errors.RedirectError)
    assert "Redirects" not in str(raised.value)
