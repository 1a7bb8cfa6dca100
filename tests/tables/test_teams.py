"""What an audit wants to know of the teams."""

import json

import pytest

TEAMS = "vercel.teams.teams"
MOMENTS = [
    "personalAccessTokensInvalidatedAt",
    "appTokensInvalidatedAt",
    "integrationTokensInvalidatedAt",
    "apiKeysInvalidatedAt",
]


@pytest.fixture
def shown(sim):
    """The teams as the API shows them, by slug."""
    return {team.slug: team.as_json() for team in sim.state.teams}


@pytest.mark.parametrize("column", [*MOMENTS, "creatorId", "updatedAt", "description"])
def test_a_field_is_a_column(con, shown, column):
    rows = dict(con.execute(f"SELECT slug, {column} FROM {TEAMS}").fetchall())
    assert rows == {slug: team.get(column) for slug, team in shown.items()}
    assert any(value is not None for value in rows.values())


@pytest.mark.parametrize(("outer", "inner"), [("saml", "enforced"), ("billing", "plan")])
def test_a_field_within_a_field_is_one_too(con, shown, outer, inner):
    rows = dict(con.execute(f"SELECT slug, {outer}.{inner} FROM {TEAMS}").fetchall())
    assert rows == {slug: team.get(outer, {}).get(inner) for slug, team in shown.items()}
    assert len(set(rows.values())) > 2


def test_what_else_stands_there_is_kept(con, sim):
    roles = {"roles": {"developers": "DEVELOPER"}}
    sim.faults(kind="patch", path="/v2/teams", patch={"teams": {"-1": {"saml": roles}}})
    query = f"SELECT additional_fields FROM {TEAMS} WHERE additional_fields IS NOT NULL"
    ((text,),) = con.execute(query).fetchall()
    assert json.loads(text) == {"saml": roles}


def test_one_odd_value_hides_no_team(con, sim):
    sim.faults(kind="patch", path="/v2/teams", patch={"teams": {"*": {"saml": "x", "billing": 1}}})
    rows = con.execute(f"SELECT slug, saml.enforced, billing.plan FROM {TEAMS}").fetchall()
    assert len(rows) == 5
    assert {row[1:] for row in rows} == {(None, None)}
