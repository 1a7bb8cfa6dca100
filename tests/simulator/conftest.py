"""What the tests of the simulated API share."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from vercel_sql.simulator import Simulator

from ..keys import keys_of_other_tests as keys_of_other_tests

Connect = Callable[..., httpx.Client]


@pytest.fixture
def start() -> Iterator[Callable[..., Simulator]]:
    """Start simulators that end with the test."""
    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(Simulator(*args, **kwargs))


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Open HTTP clients that end with the test; `bearer=None` sends no credentials."""
    with ExitStack() as stack:

        def client(simulator: Simulator, bearer: Any = ...) -> httpx.Client:
            token = simulator.token if bearer is ... else bearer
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            return stack.enter_context(
                # Without TLS, since reading the certificates is what takes most of such a test.
                httpx.Client(
                    base_url=simulator.url,
                    headers=headers,
                    trust_env=False,
                    verify=False,
                    timeout=10,
                )
            )

        yield client


@pytest.fixture
def simulator(start: Callable[..., Simulator]) -> Simulator:
    """A small account."""
    return start(30)


@pytest.fixture
def api(simulator: Simulator, connect: Connect) -> httpx.Client:
    """A client with the calling token."""
    return connect(simulator)
