"""The proxy, and accounts whose authorization server is behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from vercel_sql.simulator import Simulator

from .proxy import MixingProxy


@pytest.fixture
def proxied() -> Iterator[Callable[..., MixingProxy]]:
    """Starts proxies."""
    started: list[MixingProxy] = []

    def start(*arguments: object, **options: object) -> MixingProxy:
        started.append(MixingProxy(*arguments, **options))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def behind(
    simulate: Callable[..., Simulator], monkeypatch: pytest.MonkeyPatch
) -> Callable[[int], Simulator]:
    """Makes accounts of so many tokens; their servers' own URL is the proxy's."""
    issuer = property(lambda call: f"http://{call.request.headers['host']}")
    monkeypatch.setattr("vercel_sql.simulator.endpoints.Call.issuer", issuer)
    return simulate
