"""Every statement that document 001 prints parses as it is printed."""

from vercel_sql.sql import Delete, Exec, Insert, Native, Parameters, check, parse

SCRIPT = """
SELECT
token
FROM vercel.authentication.user_tokens
WHERE tokenId = '{{ tokenId }}' -- required
;
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
DELETE FROM vercel.authentication.user_tokens
WHERE tokenId = '{{ tokenId }}' --required
;
EXEC vercel.authentication.user_tokens._list_auth_tokens
;
EXEC vercel.authentication.user_tokens.verify_token
@token='{{ token }}' --required,
@email='{{ email }}',
@tokenName='{{ tokenName }}',
@ssoUserId='{{ ssoUserId }}',
@teamName='{{ teamName }}',
@teamSlug='{{ teamSlug }}',
@teamPlan='{{ teamPlan }}'
;
EXEC vercel.authentication.user_tokens.email_login
@@json=
'{
"email": "{{ email }}",
"tokenName": "{{ tokenName }}"
}'
;
"""
GET, LIST, CREATE, REVOKE, LIST_EXEC, VERIFY, LOGIN = parse(SCRIPT)
RESOURCE = ("vercel", "authentication", "user_tokens")


def test_select_is_duckdbs_with_its_placeholder_bound():
    assert isinstance(GET, Native)
    assert isinstance(LIST, Native)
    sql, values = GET.fragment.bind(Parameters({"tokenId": "it's"}))
    assert sql == "SELECT\ntoken\nFROM vercel.authentication.user_tokens\nWHERE tokenId = $tokenid"
    assert values == {"tokenid": "it's"}


def test_insert():
    assert isinstance(CREATE, Insert)
    assert CREATE.target.parts == RESOURCE
    assert CREATE.columns == ("data__name", "data__expiresAt", "teamId")
    sql, values = CREATE.source.bind(Parameters({"name": "ci", "expiresAt": 1, "teamId": "t"}))
    assert sql == "SELECT\n$name /* required */,\n$expiresat,\n$teamid"
    assert values == {"name": "ci", "expiresat": 1, "teamid": "t"}
    assert CREATE.returning.text == "bearerToken,\ntoken"


def test_delete():
    assert isinstance(REVOKE, Delete)
    match = REVOKE.constant_match(Parameters({"tokenId": "current"}))
    assert (match.column, match.values, match.equality) == ("tokenId", ("current",), True)


def test_exec():
    assert isinstance(LIST_EXEC, Exec)
    assert LIST_EXEC.name.parts == (*RESOURCE, "_list_auth_tokens")
    assert LIST_EXEC.arguments == ()


def test_exec_where_a_comment_swallowed_the_comma():
    assert isinstance(VERIFY, Exec)
    names = ["token", "email", "tokenName", "ssoUserId", "teamName", "teamSlug", "teamPlan"]
    assert [argument.name for argument in VERIFY.arguments] == names
    soles = [argument.value.sole for argument in VERIFY.arguments]
    assert [sole.name for sole in soles] == [name.lower() for name in names]


def test_exec_of_json():
    assert isinstance(LOGIN, Exec)
    value = LOGIN.json.resolve(Parameters({"email": 'a"b@example.com'}))
    assert value == {"email": 'a"b@example.com'}


def test_what_exec_may_leave_out_needs_no_value():
    check([VERIFY, LOGIN], Parameters({"email": "a@example.com", "token": "t"}))
