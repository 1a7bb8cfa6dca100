"""The same explanation through each door, and the listing that takes no team."""

from __future__ import annotations

import duckdb
import pytest

import vercel_sql
from vercel_sql.cli.main import main

from .table import DASHBOARD

T = "vercel.authentication.user_tokens"
SCOPED = "It may be limited to another team, a project or a few permissions"
NO_TEAM = "Vercel lists the tokens of a user, and takes no team here"


@pytest.fixture
def limited(sim, monkeypatch):
    """An account whose owner has a token that is limited to a team."""
    sim.state.calling_token = sim.state.find_bearer(sim.bearer("team"))
    monkeypatch.setenv("VERCEL_TOKEN", sim.token)
    monkeypatch.setenv("VERCEL_API_URL", sim.url)
    monkeypatch.setenv("VERCEL_OAUTH_URL", sim.url)
    return sim


@pytest.mark.parametrize(
    "arguments",
    [
        ("-c", f"SELECT name FROM {T}"),
        ("-c", f"SELECT name FROM {T} WHERE id = 'x'"),
        ("-c", "SELECT name FROM vercel.audit.user_tokens"),
        ("-c", f"DELETE FROM {T} WHERE id = 'x'"),
        ("-c", f"EXEC {T}._list_auth_tokens"),
        ("run", "queries/stale.sql"),
        ("snapshot", "--to", "{folder}/history.duckdb"),
    ],
)
def test_the_command_line(limited, capsys, tmp_path, arguments):
    given = [each.format(folder=tmp_path) for each in arguments]
    assert main(given) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert SCOPED in err
    assert DASHBOARD in err


def test_python_and_a_connection_of_duckdbs_own(limited, attached):
    with (
        vercel_sql.connect() as db,
        pytest.raises(vercel_sql.errors.ForbiddenError, match="It may be limited to another team"),
    ):
        db.execute(f"FROM {T}").fetchall()
    con = attached(limited)
    for query in (f"FROM {T}", "FROM vercel.authentication.get_auth_token('x')"):
        with pytest.raises(duckdb.Error, match="It may be limited to another team") as caught:
            con.execute(query).fetchall()
        assert DASHBOARD in str(caught.value)


@pytest.mark.parametrize(
    "statement",
    [
        f"SELECT name FROM {T} WHERE teamId = 'team_x'",
        "SELECT name FROM vercel.audit.user_tokens WHERE team_id = 'team_x'",
        f"SELECT slug FROM {T}",
        f"EXEC {T}._list_auth_tokens @teamId = 'team_x'",
        f"EXEC {T}.list_auth_tokens @slug = 'acme'",
        "FROM vercel.authentication.list_auth_tokens(teamId := 'team_x')",
        "FROM vercel.authentication.list_auth_tokens(slug := 'acme')",
    ],
)
def test_who_asks_for_a_team_is_told_how(sim, statement):
    with (
        vercel_sql.connect(sim.token, api_url=sim.url) as db,
        pytest.raises(vercel_sql.ProgrammingError, match=NO_TEAM) as caught,
    ):
        db.execute(statement).fetchall()
    assert "list_contains([s.teamId FOR s IN scopes], 'team_…')" in str(caught.value)
    assert sim.requests() == []


def test_and_that_way_gives_the_teams_tokens(sim):
    team = next(token.team_ids[0] for token in sim.state.tokens() if token.team_ids)
    wanted = {token.id for token in sim.state.tokens() if team in token.team_ids}
    with vercel_sql.connect(sim.token, api_url=sim.url) as db:
        where = "list_contains([s.teamId FOR s IN scopes], ?)"
        rows = db.execute(f"SELECT id FROM {T} WHERE {where}", [team]).fetchall()
    assert {id_ for (id_,) in rows} == wanted
    assert all("teamId" not in dict(request.query) for request in sim.requests())
