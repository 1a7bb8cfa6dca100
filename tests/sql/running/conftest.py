"""Connections to a simulated account, and what the server has received."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import vercel_sql
from vercel_sql.simulator import ReceivedRequest, Simulator


@pytest.fixture
def connect(sim: Simulator) -> Iterator[Callable[..., vercel_sql.Connection]]:
    """Opens connections to the account: ``connect(expect_rows=1)``."""
    with ExitStack() as stack:

        def make(**options: Any) -> vercel_sql.Connection:
            options = {"token": sim.token, "attempts": 2, "patience": 1.0, **options}
            urls = {"api_url": sim.url, "oauth_url": sim.url}
            return stack.enter_context(vercel_sql.connect(**urls, **options))

        yield make


@pytest.fixture
def db(connect: Callable[..., vercel_sql.Connection]) -> vercel_sql.Connection:
    """A connection to the account, with nothing special about it."""
    return connect()


@pytest.fixture
def sent(sim: Simulator) -> Callable[..., list[ReceivedRequest]]:
    """What the server received so far, or only the requests of one HTTP method."""

    def received(method: str | None = None) -> list[ReceivedRequest]:
        return [each for each in sim.requests() if method in (None, each.method)]

    return received


@pytest.fixture
def ids(sim: Simulator) -> list[str]:
    """The ids of all tokens but the calling one, newest first."""
    return [token.id for token in sim.state.tokens() if token is not sim.state.calling_token]


@pytest.fixture
def exists(sim: Simulator) -> Callable[[str], bool]:
    """Whether the account still has a token of that id."""
    return lambda id_: sim.state.find_token(id_) is not None


@pytest.fixture
def authenticates(sim: Simulator) -> Callable[[str], bool]:
    """Whether a bearer token is good for calls."""

    def ask(bearer: str) -> bool:
        with vercel_sql.connect(bearer, api_url=sim.url) as other:
            try:
                other.execute("SELECT id FROM vercel.user.user").fetchall()
            except vercel_sql.OperationalError:
                return False
            return True

    return ask


@pytest.fixture
def team(sim: Simulator) -> Any:
    """A team that the caller may make tokens for."""
    return next(team for team in sim.state.teams if not team.limited_by)
