"""Situations in which a statement would go on for half a minute or for ever; tests end it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from vercel_sql.simulator import Simulator

TABLE = "vercel.authentication.user_tokens"
LONG = 40  # seconds that a fault lasts
PROMPT = 15  # and that ending it may take, on a busy machine
_PATIENCE = 60
_IDS = ", ".join(f"'t{number}'" for number in range(8))


@dataclass
class Stuck:
    """A statement that is going to be stuck.

    Attributes:
        url: the base URL of the API.
        token: the token.
        sql: the statement.
        is_stuck: whether it is, by now; None where only time tells.
        free: makes statements work again; None where nothing does.
    """

    url: str
    token: str
    sql: str
    is_stuck: Callable[[], bool] | None = None
    free: Callable[[], None] | None = field(default=None)

    def wait(self) -> None:
        """Waits until the statement is stuck."""
        deadline = time.monotonic() + _PATIENCE
        while self.is_stuck is not None and not self.is_stuck():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.5)  # from the last sign of it to where it waits


def _simulated(
    sql: str, requests: int, *faults: dict[str, Any], **options: Any
) -> Callable[[ExitStack], Stuck]:
    """A situation on a simulated account, after which so many requests have come in."""

    def begin(stack: ExitStack) -> Stuck:
        sim = stack.enter_context(Simulator(1000, **options))
        for fault in faults:
            sim.faults({"times": None, **fault})
        is_stuck = (lambda: len(sim.requests()) >= requests) if requests else None
        return Stuck(sim.url, sim.token, sql, is_stuck, sim.clear_faults)

    return begin


def _full(stack: ExitStack) -> Stuck:
    """Nobody takes the connection: the queue of the port is full."""
    listener = stack.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    for _ in range(4):
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        with suppress(BlockingIOError):
            waiting.connect(listener.getsockname())
    return Stuck(f"http://127.0.0.1:{listener.getsockname()[1]}", "vcp_ofNobody00000001", _ROW)


def _silent_tls(stack: ExitStack) -> Stuck:
    """The connection is taken, and the TLS handshake is never answered."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    return Stuck(f"https://127.0.0.1:{listener.getsockname()[1]}", "vcp_ofNobody00000001", _ROW)


_ROW = f"SELECT id FROM {TABLE} WHERE id = 'x'"
_HANG = {"kind": "hang", "ms": LONG * 1000}
_SLOW = {"kind": "drip", "ms": 200, "path": "/v6/*"}
_ENDLESS = "range(100000000) a, range(100000000) b"
SITUATIONS: dict[str, Callable[[ExitStack], Stuck]] = {
    "an answer": _simulated(_ROW, 1, {**_HANG, "path": "/v5/*"}),
    "a body that drips": _simulated(f"SELECT id FROM {TABLE}", 1, _SLOW),
    "headers that do not come": _simulated(
        f"SELECT id FROM {TABLE}", 1, {**_SLOW, "ms": LONG * 1000, "headers_first": False}
    ),
    "the first page": _simulated(
        f"SELECT name, count(*) FROM {TABLE} GROUP BY name ORDER BY name",
        1,
        {**_HANG, "path": "/v6/*"},
    ),
    "a later page": _simulated(
        f"SELECT max(name) FROM {TABLE}", 4, {**_HANG, "path": "/v6/*", "after": 3}
    ),
    "two scans": _simulated(
        f"SELECT a.id FROM {TABLE} a JOIN {TABLE} b USING (name)", 1, {**_HANG, "path": "/v6/*"}
    ),
    "lookups side by side": _simulated(
        f"SELECT id FROM {TABLE} WHERE id IN ({_IDS})",
        8,
        {**_HANG, "path": "/v5/*", "after": 1},
    ),
    "an EXEC": _simulated(
        f"EXEC {TABLE}.get_auth_token @tokenId = 'x'", 1, {**_HANG, "path": "/v5/*"}
    ),
    "the rows of a DELETE": _simulated(
        f"DELETE FROM {TABLE} WHERE name LIKE 'x%'", 1, {**_HANG, "path": "/v6/*"}
    ),
    "a rate limit": _simulated(f"SELECT max(name) FROM {TABLE}", 1, rate_limit=f"1/{LONG}"),
    "a pause before it is sent again": _simulated(
        _ROW, 1, {"kind": "status", "status": 503, "headers": {"Retry-After": str(LONG)}}
    ),
    "a connection that is not taken": _full,
    "a TLS handshake": _silent_tls,
    "a computation of DuckDB's": _simulated(f"SELECT max(createdAt) FROM {TABLE}, {_ENDLESS}", 2),
    "a computation without any request": _simulated(f"SELECT count(*) FROM {_ENDLESS}", 0),
}
"""What a statement waits for."""


@contextmanager
def stuck_in(name: str) -> Iterator[Stuck]:
    """A situation, by its name."""
    with ExitStack() as stack:
        yield SITUATIONS[name](stack)
