"""A connection that adopts an integration's access token names its team in every call."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

import vercel_sql

TOKENS = "vercel.authentication.user_tokens"


@pytest.fixture
def adopted(connect, put, installed, sent):
    """A connection with the token of an exchange, on a team or not, and the exchange's row."""

    def adopt(team=None):
        db = connect()
        options = {} if team is None else {"team": team.slug}
        row = put("vercel.integrations.access_tokens", installed(**options), db)
        db.adopt(row["access_token"], row["team_id"])
        sent()
        return db, row

    return adopt


CALLS = {
    "listing": ("SELECT count(*) FROM vercel.teams.teams", [("limit", "100")]),
    "lookup": (f"SELECT name FROM {TOKENS} WHERE tokenId = 'current'", []),
    "other service": ("SELECT id FROM vercel.user.user", []),
    "exec": (f"EXEC {TOKENS}.get_auth_token @tokenId = 'current'", []),
    "function": ("FROM vercel.authentication.get_auth_token('current')", []),
}


def run(db, statement):
    # The simulated API may refuse it; what counts is what was sent.
    with suppress(vercel_sql.OperationalError):
        db.execute(statement).fetchall()


@pytest.mark.parametrize("call", CALLS)
def test_every_call_names_the_team(call, adopted, team, sent):
    statement, query = CALLS[call]
    db, row = adopted(team)
    run(db, statement)
    (request,) = sent()
    assert request.headers["authorization"] == f"Bearer {row['access_token']}"
    assert request.query == [*query, ("teamId", team.id)]


@pytest.mark.parametrize("method", ["SELECT count(*) FROM {}", "EXEC {}._list_auth_tokens"])
def test_but_the_listing_of_tokens_takes_no_team(method, adopted, team, sent):
    db, _ = adopted(team)
    with pytest.raises(vercel_sql.errors.ForbiddenError, match="never the tokens of a user"):
        db.execute(method.format(TOKENS)).fetchall()
    (request,) = sent()
    assert request.query == [("limit", "100")]


@pytest.mark.parametrize("call", CALLS)
def test_without_a_team_none_is_named(call, adopted, sent):
    statement, query = CALLS[call]
    db, _ = adopted()
    run(db, statement)
    (request,) = sent()
    assert request.query == query


def test_insert_names_the_team_once(adopted, team, sent):
    db, _ = adopted(team)
    run(db, f"INSERT INTO {TOKENS} (name) SELECT 'a'")
    run(db, f"INSERT INTO {TOKENS} (name, teamId) SELECT 'a', 'team_other'")
    # The refusals are confirmed by a read each.
    assert [request.query for request in sent() if request.method == "POST"] == [
        [("teamId", team.id)],
        [("teamId", "team_other")],
    ]


def test_explain_shows_the_team(adopted, team, sent):
    db, _ = adopted(team)
    ((_, method, path, query, *_),) = db.execute(
        f"EXPLAIN INSERT INTO {TOKENS} (name) SELECT 'a'"
    ).fetchall()
    assert (method, path, json.loads(query)) == ("POST", "/v3/user/tokens", {"teamId": team.id})
    plan = dict(db.execute(f"EXPLAIN SELECT * FROM {TOKENS}").fetchall())["vercel_requests"]
    assert "GET /v6/user/tokens?limit=100, then" in plan
    plan = dict(db.execute("EXPLAIN FROM vercel.teams.teams").fetchall())["vercel_requests"]
    assert f"GET /v2/teams?limit=100&teamId={team.id}, then" in plan
    one = dict(db.execute(f"EXPLAIN SELECT * FROM {TOKENS} WHERE id = 'x'").fetchall())
    assert one["vercel_requests"].endswith(f"GET /v5/user/tokens/x?teamId={team.id}")
    assert sent() == []


def test_calls_without_the_adopted_token_do_not_name_the_team(adopted, team, sent, sim, opened):
    db, _ = adopted(team)
    run(db, f"EXEC {TOKENS}.email_login @email = 'a@example.com'")
    run(db, "FROM vercel.oauth.openid_configuration")
    run(db, "FROM vercel.oauth.introspection WHERE token = 'x'")
    run(db, f"FROM vercel.oauth.get_userinfo(access_token := '{sim.token}')")
    requests = sent()
    asked = [request.path for request in requests]
    assert len(requests) == 6, f"a token that is not active is looked up twice: {asked}"
    assert [request.query for request in requests] == [[]] * 6


def test_adopting_another_token_forgets_the_team(adopted, team, sent, sim):
    db, _ = adopted(team)
    db.adopt(sim.token)
    assert db.execute(f"SELECT count(*) FROM {TOKENS}").fetchone() == (31,)
    assert [request.query for request in sent()] == [[("limit", "100")]]


def test_the_api_wants_the_team(adopted, team):
    """The simulated API is as strict as document 003: without the team it refuses."""
    db, row = adopted(team)
    db.execute("SELECT id FROM vercel.user.user").fetchall()
    db.adopt(row["access_token"])
    with pytest.raises(vercel_sql.errors.ForbiddenError):
        db.execute("SELECT id FROM vercel.user.user").fetchall()


def test_a_token_that_is_none_is_refused(db):
    with pytest.raises(vercel_sql.ParameterError, match="characters that no token has"):
        db.adopt("a\nb")


def test_a_disabled_integration_is_explained(adopted, team, sim):
    db, row = adopted(team)
    sim.oauth.disable_configuration(row["installation_id"])
    with pytest.raises(vercel_sql.errors.ForbiddenError) as raised:
        db.execute("SELECT id FROM vercel.user.user").fetchall()
    error = raised.value
    assert (error.status, error.code) == (403, "integration_configuration_disabled")
    assert "the person who owned it left the team" in str(error)
    assert "transfer its ownership within 30 days" in str(error)
    assert row["access_token"] not in str(error)
