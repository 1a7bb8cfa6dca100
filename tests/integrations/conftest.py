"""Connections to a simulated account with an integration, its codes, and what was received."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import vercel_sql
from vercel_sql.simulator import ReceivedRequest, Simulator

from ..keys import keys_of_other_tests as keys_of_other_tests


@pytest.fixture
def sent(newly_sent: Callable[[], list[ReceivedRequest]]) -> Callable[[], list[ReceivedRequest]]:
    """What the server received since it was asked last."""
    return newly_sent


@pytest.fixture
def put(db: vercel_sql.Connection) -> Callable[..., dict[str, Any]]:
    """Inserts one row of these values into a table, and gives the row that came of it."""

    def insert(table: str, values: dict[str, Any], into: Any = None) -> dict[str, Any]:
        columns = ", ".join(values)
        places = ", ".join(f"${name}" for name in values)
        statement = f"INSERT INTO {table} ({columns}) SELECT {places}"
        cursor = (into or db).execute(statement, values)
        names = [column[0] for column in cursor.description]
        (row,) = cursor.fetchall()
        return dict(zip(names, row, strict=True))

    return insert


@pytest.fixture
def installed(sim: Simulator) -> Callable[..., dict[str, str]]:
    """Installs the integration; gives what its exchange takes: ``installed(team="acme")``."""
    client = sim.oauth.clients.integration

    def install(**options: Any) -> dict[str, str]:
        code = sim.oauth.mint_code("integration", **options)
        return {
            "client_id": client.client_id,
            "client_secret": client.client_secret,
            "code": code.code,
            "redirect_uri": code.redirect_uri,
        }

    return install


@pytest.fixture
def opened(sim: Simulator) -> Callable[..., dict[str, str]]:
    """Opens the provider from Vercel; gives what the SSO exchange takes."""
    client = sim.oauth.clients.sso

    def open_in_provider(**options: Any) -> dict[str, str]:
        code = sim.oauth.mint_code("sso", **options)
        return {
            "client_id": client.client_id,
            "client_secret": client.client_secret,
            "code": code.code,
        }

    return open_in_provider


@pytest.fixture
def team(sim: Simulator) -> Any:
    """A team."""
    return next(team for team in sim.state.teams if not team.limited_by)
