"""What an error means, told by what Vercel said and by what is known of the token."""

from __future__ import annotations

import json

import pytest

from vercel_sql.http.answers import Answer, api_error
from vercel_sql.http.requests import Request
from vercel_sql.manifest import vercel

ADVICE = vercel().provider.token_advice
TOKENS, USER = "authentication.user_tokens", "user.user"
SECRET = "A" * 56


def told(
    resource: str,
    name: str,
    message: str = "Not authorized",
    *,
    status: int = 403,
    marker: str = "vcp_",
    code: str | None = "forbidden",
    **extra: object,
) -> str:
    service, _, own = resource.partition(".")
    method = vercel().service(service).resources[own].methods[name]
    content = {"message": message, **extra} | ({} if code is None else {"code": code})
    body = json.dumps({"error": content}).encode()
    headers = {"content-type": "application/json"}
    bearer = f"Bearer {marker}{SECRET}" if method.auth else None
    answer = Answer(Request(method, method.path), status, headers, body)
    error = api_error(answer, authorization=bearer)
    assert SECRET not in str(error)
    assert (error.status, error.message) == (status, message)
    return str(error)


@pytest.mark.parametrize(
    "message",
    [
        "Only user authentication tokens can be used to create new tokens.",
        "Cannot create tokens for this app",
    ],
)
@pytest.mark.parametrize("code", ["forbidden", None])
@pytest.mark.parametrize("marker", ["vca_", "vci_", "vcp_", ""])
def test_a_refused_create(message, code, marker):
    text = told(TOKENS, "create_auth_token", message, code=code, marker=marker)
    assert "Sessions and integrations can't create tokens" in text
    assert text.endswith(ADVICE)


def test_a_refused_create_of_a_limited_token():
    message = 'To create a token you must be authenticated to scope "acme"'
    text = told(TOKENS, "create_auth_token", message)
    assert "limited to a team, a project or a few permissions" in text
    assert text.endswith(ADVICE)


@pytest.mark.parametrize(
    ("message", "said", "advised"),
    [
        ("Project-scoped tokens must be created within a team scope", "teamId or slug", False),
        ("projectId is not supported", "limited to a team", True),
    ],
)
def test_a_create_for_a_project(message, said, advised):
    text = told(TOKENS, "create_auth_token", message, status=400, code="bad_request")
    assert said in text
    assert text.endswith(ADVICE) is advised


def test_a_create_for_a_team_that_may_be_named_wrongly():
    text = told(TOKENS, "create_auth_token")
    assert "teamId takes the id of a team and slug its slug" in text
    assert text.endswith(ADVICE)


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ("vca_", "session of an app or of Vercel's command line"),
        ("vci_", "an integration's"),
        ("vck_", "an API key"),
        ("vcp_", "It may be limited to a team, a project or a few permissions"),
        ("", "It may be limited to a team, a project or a few permissions"),
    ],
)
@pytest.mark.parametrize(
    ("resource", "name"), [(TOKENS, "list_auth_tokens"), (USER, "get_auth_user")]
)
def test_what_is_refused_without_a_reason(marker, said, resource, name):
    text = told(resource, name, marker=marker)
    assert said in text
    assert text.endswith(ADVICE)


def test_another_scope_and_a_team_that_requires_saml():
    message = 'Not authorized: Trying to access resource under scope "acme". You must …'
    assert "does not reach that account or team" in told(TOKENS, "list_auth_tokens", message)
    text = told(TOKENS, "list_auth_tokens", message, saml=True)
    assert "SAML single sign-on" in text
    assert ADVICE not in text, "a full token would not help"


def test_a_dead_token_is_told_to_be_dead_whatever_it_is():
    for marker in ("vcp_", "vca_", "vci_", ""):
        text = told(USER, "get_auth_user", marker=marker, invalidToken=True)
        assert text.endswith("The token is dead: it was revoked, or it expired. Use another one")
    text = told(USER, "get_auth_user", marker="vcr_", invalidToken=True)
    assert "a refresh token or an API key, and not an access token" in text


@pytest.mark.parametrize("name", ["verify_token", "email_login"])
@pytest.mark.parametrize("status", [403, 404, 410])
def test_the_end_of_email_logins(name, status):
    text = told(TOKENS, name, status=status, code="gone")
    assert "email logins: it announced their end for February 2026" in text
    assert text.endswith(ADVICE)


def test_a_proxys_page_is_not_what_the_token_may_do():
    method = vercel().service("user").resources["user"].methods["get_auth_user"]
    headers = {"content-type": "text/html"}
    error = api_error(Answer(Request(method, "/v2/user"), 403, headers, b"<html>no</html>"))
    assert ADVICE not in str(error)


def test_every_explanation_is_a_sentence_without_its_full_stop():
    provider = vercel().provider
    for each in (*provider.explanations, *provider.token_kinds.values()):
        text = each.text if hasattr(each, "text") else each.limits
        assert text[0].isupper()
        assert not text.endswith(".")
