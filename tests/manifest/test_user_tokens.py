"""The packaged manifest against the facts of document 001, and of the API's own pages.

The tables stand here as the document has them, so that the manifest can't agree with itself.
"""

from __future__ import annotations

import pytest

from vercel_sql.manifest import vercel

RESOURCE = vercel().service("authentication").resources["user_tokens"]

FIELDS = {  # document 001: "Fields"
    "id": "string", "name": "string", "activeAt": "number", "createdAt": "number",
    "expiresAt": "number", "origin": "string", "scopes": "array", "type": "string",
}  # fmt: skip
TYPES = {"string": "VARCHAR", "number": "BIGINT"}

# Document 001: "Methods". teamId is optional, as document 000 and the official clients have it;
# expiresAt is in the document's INSERT example; projectId and slug are the official clients'.
METHODS = {
    "get_auth_token": ("select", ["tokenId"], []),
    "list_auth_tokens": ("select", [], []),
    "create_auth_token": ("insert", ["name"], ["expiresAt", "projectId", "teamId", "slug"]),
    "delete_auth_token": ("delete", ["tokenId"], []),
    "_list_auth_tokens": ("exec", [], []),
    "verify_token": (
        "exec",
        ["token"],
        ["email", "tokenName", "ssoUserId", "teamName", "teamSlug", "teamPlan"],
    ),
    "email_login": ("exec", ["email"], ["tokenName"]),
}
REQUESTS = {
    "get_auth_token": ("GET", "/v5/user/tokens/{tokenId}", True, "read"),
    "list_auth_tokens": ("GET", "/v6/user/tokens", True, "read"),
    "create_auth_token": ("POST", "/v3/user/tokens", True, "write"),
    "delete_auth_token": ("DELETE", "/v3/user/tokens/{tokenId}", True, "write"),
    "_list_auth_tokens": ("GET", "/v6/user/tokens", True, "read"),
    "verify_token": ("GET", "/registration/verify", False, "write"),
    "email_login": ("POST", "/registration", False, "write"),
}
LOCATIONS = {
    "create_auth_token": {
        "name": "body", "expiresAt": "body", "projectId": "body",
        "teamId": "query", "slug": "query",
    },
    "email_login": {"email": "body", "tokenName": "body"},
    "get_auth_token": {"tokenId": "path"},
    "delete_auth_token": {"tokenId": "path"},
}  # fmt: skip


def test_the_columns_begin_with_the_documents_fields_in_their_order():
    assert [column.name for column in RESOURCE.columns][: len(FIELDS)] == list(FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_has_the_documents_type(name):
    (column,) = [column for column in RESOURCE.columns if column.name == name]
    if FIELDS[name] == "array":
        assert column.type.endswith("[]")
    else:
        assert column.type == TYPES[FIELDS[name]]


def test_the_newer_fields_and_our_own_columns_are_there():
    names = [column.name for column in RESOURCE.public_columns][len(FIELDS) :]
    assert names == [
        "prefix", "suffix", "revokedAt", "leakedAt", "leakedUrl",
        "token", "tokenId", "additional_fields",
    ]  # fmt: skip


def test_the_methods_are_the_documents_and_a_procedure_of_ours():
    assert set(RESOURCE.methods) == {*METHODS, "rotate_token"}
    assert [name for name, m in RESOURCE.methods.items() if m.procedure] == ["rotate_token"]


@pytest.mark.parametrize("name", METHODS)
def test_each_method_takes_what_the_document_says(name):
    verb, required, optional = METHODS[name]
    method = RESOURCE.methods[name]
    assert method.verb == verb
    assert [parameter.name for parameter in method.required] == required
    assert [parameter.name for parameter in method.optional] == optional


@pytest.mark.parametrize("name", METHODS)
def test_each_method_sends_what_the_api_takes(name):
    method = RESOURCE.methods[name]
    assert (method.http, method.path, method.auth, method.effect) == REQUESTS[name]
    places = {p.name: p.location for p in method.parameters}
    assert places == LOCATIONS.get(name, dict.fromkeys(places, "query"))


def test_what_changes_something_is_not_sent_again():
    for method in RESOURCE.methods.values():
        assert method.retry == ("safe" if method.effect == "read" else "refused")


def test_the_verbs_are_served_by_the_right_methods():
    assert RESOURCE.getter.name == "get_auth_token"
    assert RESOURCE.lister.name == "list_auth_tokens"
    assert RESOURCE.creator.name == "create_auth_token"
    assert RESOURCE.remover.name == "delete_auth_token"


def test_what_is_secret():
    secrets = {name: set(method.secrets) for name, method in RESOURCE.methods.items()}
    assert {name: found for name, found in secrets.items() if found} == {
        "create_auth_token": {"bearerToken"},
        "verify_token": {"token"},
        "email_login": {"token"},
        "rotate_token": {"bearerToken"},
    }


def test_paging_is_the_apis():
    paging = RESOURCE.lister.paging
    assert (paging.parameter, paging.size_parameter, paging.size) == ("until", "limit", 100)
    assert (paging.cursor, paging.count) == (["pagination", "next"], ["pagination", "count"])


def test_current_stands_for_the_calling_token():
    assert (RESOURCE.self_reference.column, RESOURCE.self_reference.value) == ("tokenId", "current")


def test_plans_are_pro_or_hobby():
    assert RESOURCE.methods["verify_token"].parameter("TEAMPLAN").allowed == ["pro", "hobby"]


def test_everything_is_described():
    assert all(column.description.strip() for column in RESOURCE.columns)
    for method in RESOURCE.methods.values():
        assert method.description.strip()
        assert all(p.description.strip() for p in method.parameters)
        assert all(column.description.strip() for column in method.returns)


def test_every_service_that_the_provider_names_loads():
    manifest = vercel()
    assert {resource.service for resource in manifest.resources()} == set(manifest.service_names)


def test_only_a_new_token_can_be_traced_and_by_what_the_listing_has():
    traces = {method.name: method.trace for method in RESOURCE.methods.values() if method.trace}
    (trace,) = traces.values()
    assert list(traces) == ["create_auth_token"]
    assert trace.key == ["token", "id"]
    assert (trace.matches, trace.since) == ({"name": "name"}, "createdAt")


def test_what_shows_a_secret_once_is_known_as_such():
    makers = {method.name for method in RESOURCE.methods.values() if method.makes_secret}
    assert makers == {"create_auth_token", "verify_token", "email_login", "rotate_token"}
