"""Each statement of document 001, as it is printed there, through the command line."""

import json
from pathlib import Path

TABLE = "vercel.authentication.user_tokens"
GET = """SELECT
token
FROM vercel.authentication.user_tokens
WHERE tokenId = '{{ tokenId }}' -- required
;"""
LIST = """SELECT
id,
name,
activeAt,
createdAt,
expiresAt,
origin,
scopes,
type
FROM vercel.authentication.user_tokens
;"""
INSERT = """INSERT INTO vercel.authentication.user_tokens (
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
;"""
DELETE = """DELETE FROM vercel.authentication.user_tokens
WHERE tokenId = '{{ tokenId }}' --required
;"""
LIST_BY_EXEC = """EXEC vercel.authentication.user_tokens._list_auth_tokens
;"""
VERIFY = """EXEC vercel.authentication.user_tokens.verify_token
@token='{{ token }}' --required,
@email='{{ email }}',
@tokenName='{{ tokenName }}',
@ssoUserId='{{ ssoUserId }}',
@teamName='{{ teamName }}',
@teamSlug='{{ teamSlug }}',
@teamPlan='{{ teamPlan }}'
;"""
LOGIN = """EXEC vercel.authentication.user_tokens.email_login
@@json=
'{
"email": "{{ email }}",
"tokenName": "{{ tokenName }}"
}'
;"""


def test_the_statements_of_document_001(here, sim, tmp_path):
    def run(sql, **values):
        file = tmp_path / "statement.sql"
        file.write_text(sql)
        given = [word for name, value in values.items() for word in ("--param", f"{name}={value}")]
        ended = here("-o", "json", "-f", str(file), *given, sim=sim)
        assert (ended.code, ended.err) == (0, ""), sql
        return json.loads(ended.out)

    assert len(run(LIST)) == len(sim.state.tokens()) == 31
    team = run("SELECT defaultTeamId AS id FROM vercel.user.user")[0]["id"]
    (made,) = run(INSERT, name="ci", expiresAt=4070908800000, teamId=team)
    assert made["token"]["name"] == "ci"
    assert made["token"]["expiresAt"] == 4070908800000
    (found,) = run(GET, tokenId=made["token"]["id"])
    assert found["token"] == made["token"]
    assert run(GET, tokenId="current") != []
    (listed,) = run(LIST_BY_EXEC)
    assert len(listed["tokens"]) == 32
    assert run(DELETE, tokenId=made["token"]["id"]) == [{"Count": 1}]
    assert run(GET, tokenId=made["token"]["id"]) == []
    (login,) = run(LOGIN, email="ada@example.com", tokenName="by email")
    sim.confirm(email="ada@example.com")
    secret = tmp_path / "verification"
    secret.write_text(login["token"] + "\n")
    (verified,) = run(VERIFY, token=f"@{secret}", email="ada@example.com", tokenName="by email")
    assert verified["email"] == "ada@example.com"
    assert verified["token"] in {token.bearer for token in sim.state.tokens()}
    assert run(LOGIN, email="bob@example.com")[0]["securityCode"]


def test_they_are_those_of_the_document():
    source = Path(__file__).parents[3] / "shared/documents/001_d399afe649505b5c.txt"
    if source.exists():
        text = source.read_text()
        for statement in (GET, LIST, INSERT, DELETE, LIST_BY_EXEC, VERIFY, LOGIN):
            assert statement in text
