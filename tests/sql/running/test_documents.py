"""Every statement that document 001 prints does what it says, run as it is printed."""

import time

import pytest

import vercel_sql

GET = """\
SELECT
token
FROM vercel.authentication.user_tokens
WHERE tokenId = '{{ tokenId }}' -- required
;
"""
LIST = """\
SELECT
id,
name,
activeAt,
createdAt,
expiresAt,
origin,
scopes,
type
FROM vercel.authentication.user_tokens
;
"""
CREATE = """\
INSERT INTO vercel.authentication.user_tokens (
data__name,
data__expiresAt,
teamId
)
SELECT
'{{ name }}' /* required */,
{{ expiresAt }},
'{{ teamId }}'
RETURNING
bearerToken,
token
;
"""
DELETE = """\
DELETE FROM vercel.authentication.user_tokens
WHERE tokenId = '{{ tokenId }}' --required
;
"""
LIST_ALL = """\
EXEC vercel.authentication.user_tokens._list_auth_tokens
;
"""
VERIFY = """\
EXEC vercel.authentication.user_tokens.verify_token
@token='{{ token }}' --required,
@email='{{ email }}',
@tokenName='{{ tokenName }}',
@ssoUserId='{{ ssoUserId }}',
@teamName='{{ teamName }}',
@teamSlug='{{ teamSlug }}',
@teamPlan='{{ teamPlan }}'
;
"""
LOGIN = """\
EXEC vercel.authentication.user_tokens.email_login
@@json=
'{
"email": "{{ email }}",
"tokenName": "{{ tokenName }}"
}'
;
"""


@pytest.fixture
def one(db):
    """Runs a statement that gives one row, as a dict."""

    def run(statement, parameters=None):
        cursor = db.execute(statement, parameters)
        (row,) = cursor.fetchall()
        return dict(zip([column[0] for column in cursor.description], row, strict=True))

    return run


def test_get(one, sim, ids, sent):
    assert one(GET, {"tokenId": ids[3]})["token"]["id"] == ids[3]
    (request,) = sent()
    assert (request.method, request.path, request.query) == (
        "GET",
        f"/v5/user/tokens/{ids[3]}",
        [],
    )
    assert request.headers["authorization"] == f"Bearer {sim.token}"


def test_list(db, sim, sent):
    rows = db.execute(LIST).fetchall()
    assert [column[0] for column in db.description] == [
        *("id", "name", "activeAt", "createdAt", "expiresAt", "origin", "scopes", "type")
    ]
    tokens = {token.id: token for token in sim.state.tokens()}
    assert {row[0]: row[1] for row in rows} == {id_: t["name"] for id_, t in tokens.items()}
    assert {row[0]: row[4] for row in rows} == {
        id_: t.get("expiresAt") for id_, t in tokens.items()
    }
    assert [(r.method, r.path) for r in sent()] == [("GET", "/v6/user/tokens")]


def test_create(one, team, sent, authenticates):
    expires = time.time_ns() // 1_000_000 + 86_400_000
    made = one(CREATE, {"name": "ci", "expiresAt": expires, "teamId": team.id})
    (request,) = sent()
    assert (request.method, request.path) == ("POST", "/v3/user/tokens")
    assert request.query == [("teamId", team.id)]
    assert request.body == {"name": "ci", "expiresAt": expires}
    assert (made["token"]["name"], made["token"]["expiresAt"]) == ("ci", expires)
    assert authenticates(made["bearerToken"])


def test_delete(db, ids, sent, exists):
    assert db.execute(DELETE, {"tokenId": ids[0]}).rowcount == 1
    assert not exists(ids[0])
    assert (sent("DELETE")[0].path, len(sent("DELETE"))) == (f"/v3/user/tokens/{ids[0]}", 1)


def test_list_all(one, sim, sent):
    body = one(LIST_ALL)
    assert set(body) == {"tokens", "pagination", "testingToken", "additional_fields"}
    assert body["tokens"].count('"createdAt"') >= len(sim.state.tokens())
    assert [(r.method, r.path) for r in sent()] == [("GET", "/v6/user/tokens")]


def test_login_and_verify(one, sim, sent, authenticates):
    asked = one(LOGIN, {"email": "ada@example.com", "tokenName": "laptop"})
    assert set(asked) >= {"token", "securityCode"}
    sim.confirm(email="ada@example.com")
    verified = one(
        VERIFY,
        {
            "token": asked["token"],
            "email": "ada@example.com",
            "tokenName": "desk",
            "ssoUserId": "sso_1",
            "teamName": "Ada's team",
            "teamSlug": "adas-team",
            "teamPlan": "hobby",
        },
    )
    login, verify = sent()
    assert (login.method, login.path) == ("POST", "/registration")
    assert login.body == {"email": "ada@example.com", "tokenName": "laptop"}
    assert (verify.method, verify.path) == ("GET", "/registration/verify")
    assert dict(verify.query) == {
        "token": asked["token"],
        "email": "ada@example.com",
        "tokenName": "desk",
        "ssoUserId": "sso_1",
        "teamName": "Ada's team",
        "teamSlug": "adas-team",
        "teamPlan": "hobby",
    }
    assert not any("authorization" in request.headers for request in (login, verify))
    assert verified["email"] == "ada@example.com"
    assert authenticates(verified["token"])


def test_what_is_optional_may_have_no_value(one, sim, sent):
    asked = one(LOGIN, {"email": "ada@example.com"})
    sim.confirm(email="ada@example.com")
    one(VERIFY, {"token": asked["token"]})
    login, verify = sent()
    assert login.body == {"email": "ada@example.com"}
    assert verify.query == [("token", asked["token"])]


@pytest.mark.parametrize(
    ("statement", "given", "missing"),
    [
        (GET, {}, "tokenId"),
        (DELETE, {}, "tokenId"),
        (CREATE, {"name": "ci", "teamId": "t"}, "expiresAt"),
        (VERIFY, {"email": "ada@example.com"}, "token"),
        (LOGIN, {"tokenName": "laptop"}, "email"),
    ],
)
def test_what_is_required_must_have_a_value(db, statement, given, missing, sent):
    with pytest.raises(vercel_sql.ParameterError, match=rf"\b{missing}\b"):
        db.execute(statement, given)
    assert sent() == []


def test_a_value_is_never_pasted_as_sql(db, sent):
    trick = "x' OR tokenId <> '"
    assert db.execute(DELETE, {"tokenId": trick}).rowcount == 0
    assert [r.decoded_path for r in sent("DELETE")] == [f"/v3/user/tokens/{trick}"]


def test_all_of_them_as_one_script(db, sim, ids, sent):
    script = GET + LIST + DELETE + LIST_ALL
    db.execute(script, {"tokenId": ids[5]})
    assert [r.method for r in sent()] == ["GET", "GET", "GET", "DELETE", "GET"]
