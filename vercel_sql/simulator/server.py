"""The simulated API as callers hold it: a server on a socket and in a thread of its own."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from vercel_sql.simulator.answers import CLOSE_CONNECTION
from vercel_sql.simulator.app import SimulatedApi
from vercel_sql.simulator.clock import Clock
from vercel_sql.simulator.endpoints import MARKETPLACE_PATH
from vercel_sql.simulator.faults import Faults
from vercel_sql.simulator.limits import LIMITS, VERCEL, RateLimit, RateLimiter
from vercel_sql.simulator.messages import Object
from vercel_sql.simulator.models import Kind, ReceivedRequest, TokenEvent
from vercel_sql.simulator.oauth import OAuth
from vercel_sql.simulator.store import State

_HOST = "127.0.0.1"
_PATIENCE_SECONDS = 10.0
_ACCEPTING_TURNS = 10
"""Turns of the loop within which a connection that was accepted is also known (it takes 3)."""


def _bind(port: int) -> socket.socket:
    """Take the port, which refuses connections until someone listens there."""
    # asyncio turns off Nagle's algorithm only where the protocol is named; with it, every
    # answer would wait some 40 ms for the caller's delayed acknowledgement.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # on Windows, another process could take the port as well
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((_HOST, port))
    except OSError:
        bound.close()
        raise
    return bound


class _Connection(H11Protocol):
    """HTTP/1.1, with a way for the application to close the raw connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, CLOSE_CONNECTION: transport.close}


class _Server(uvicorn.Server):
    """A uvicorn that serves from a thread once it is made, and that stops at once when told to."""

    def __init__(self, app: SimulatedApi, bound: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                workers=1,  # else it reads WEB_CONCURRENCY
                http=_Connection,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                timeout_keep_alive=75,  # an idle connection outlives any pause of a test
                date_header=False,  # the application tells the account's time
                headers=[("server", "Vercel")],
            )
        )
        try:
            bound.listen(2048)
        except OSError:  # someone else listens there by now
            bound.close()
            raise
        self._ready = threading.Event()
        self._leave: Callable[[], object] = lambda: None
        self._thread = threading.Thread(
            target=self.run, args=([bound],), name="vercel-simulator", daemon=True
        )
        self._thread.start()
        if not self._ready.wait(_PATIENCE_SECONDS):
            raise RuntimeError("the simulated API did not start")

    def end(self) -> None:
        """Close all connections and the port, and wait for the thread."""
        if self._thread.is_alive():
            self._leave()
        self._thread.join(_PATIENCE_SECONDS)
        if self._thread.is_alive():
            raise RuntimeError("the simulated API did not stop")

    async def main_loop(self) -> None:
        """Serve until told to leave."""
        leaving = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._leave = partial(loop.call_soon_threadsafe, leaving.set)
        await self.on_tick(0)
        self._ready.set()
        await leaving.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port and every connection, whatever is under way there.

        Connections are taken no more before the port is closed, since asyncio (of Python 3.13)
        forgets one whose server is closed between its being accepted and being made.
        """
        for listener in sockets or ():
            with suppress(NotImplementedError):  # the loop of Windows has no readers
                asyncio.get_running_loop().remove_reader(listener)
        for _ in range(_ACCEPTING_TURNS):
            for connection in list(self.server_state.connections):
                connection.transport.abort()
            await asyncio.sleep(0)  # lets connections be made, and learn that they are closed
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Simulator:
    """A simulated Vercel API over HTTP, to be used in a `with` statement.

    `state` is what the account holds, and `oauth` the authorization server and the apps and
    integrations that are registered there; both may be looked at and changed while it serves.
    `history()` tells what became of each token, and `pause()` makes the server dead for a while.

    Args:
        tokens: How many tokens to make beside the calling one, or the fields of each.
        seed: What the made data depends on, and which requests a fault of some probability hits.
        latency_ms: How long every request takes at least, in milliseconds.
        limits: `"vercel"` for the rate limits that Vercel documents, `"none"` for none.
        rate_limit: In place of those, how many requests each endpoint takes, such as `"100/60"`
            (in 60 s).
        port: Where to listen on loopback; 0 for any free port.
        now_ms: When the account's clock starts (ms since the epoch); None for the real time.
        until_inclusive: Whether `until` includes its own millisecond.

    Raises:
        ValueError: The rate limit is not one, or the limits are not.
        OSError: The port is taken (on entering).
    """

    def __init__(
        self,
        tokens: int | Iterable[Mapping[str, Any]] = 250,
        *,
        seed: int = 7,
        latency_ms: int = 0,
        limits: str = "none",
        rate_limit: RateLimit | str | None = None,
        port: int = 0,
        now_ms: int | None = None,
        until_inclusive: bool = True,
    ) -> None:
        limit = RateLimit.parse(rate_limit) if isinstance(rate_limit, str) else rate_limit
        if limits not in LIMITS:
            raise ValueError(f"the limits are {limits!r}, and may be {' or '.join(LIMITS)}")
        self.state = State(tokens, seed=seed, clock=Clock(now_ms), until_inclusive=until_inclusive)
        self.oauth = OAuth(self.state, seed)
        self._faults = Faults(seed)
        named = VERCEL if limits == "vercel" and limit is None else None
        limiter = RateLimiter(limit, self.state.clock, named)
        self._api = SimulatedApi(self.state, self.oauth, limiter, self._faults, latency_ms)
        self._wanted_port = port
        self._port: int | None = None
        self._server: _Server | None = None
        self._reserved: socket.socket | None = None

    def __repr__(self) -> str:
        return f"Simulator({self.url!r})" if self._port else "Simulator(not started)"

    # Its life

    def start(self) -> Self:
        """Listen, and serve from a thread; callers may connect once this returns."""
        if self._port is not None:
            raise RuntimeError("a simulator starts once")
        bound = _bind(self._wanted_port)
        self._port = bound.getsockname()[1]
        self._server = _Server(self._api, bound)
        return self

    def stop(self) -> None:
        """Close all connections and the port, and wait for the thread; more than once is fine."""
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None
        if self._server is not None:
            self._server.end()
            self._server = None

    def pause(self) -> None:
        """Be dead for a while: close all connections, and refuse new ones, until `resume()`.

        Requests that are under way end without an answer; what was not acted on is not acted on
        any more. The account, faults, limits and records stay, and so does the port, which
        nobody else gets.
        """
        if self._server is None:
            raise RuntimeError("the simulator does not serve")
        self._server.end()
        self._server = None
        self._reserved = _bind(self.port)

    def resume(self) -> None:
        """Serve again after `pause()`, at the same port."""
        if self._reserved is None:
            raise RuntimeError("the simulator was not paused")
        bound, self._reserved = self._reserved, None
        self._server = _Server(self._api, bound)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # What callers need

    @property
    def port(self) -> int:
        """The port that it listens on, once it is started."""
        if self._port is None:
            raise RuntimeError("the simulator was not started")
        return self._port

    @property
    def url(self) -> str:
        """The base URL of the simulated API."""
        return f"http://{_HOST}:{self.port}"

    @property
    def marketplace_url(self) -> str:
        """The base URL of the simulated marketplace, the issuer of SSO ID tokens."""
        return self.url + MARKETPLACE_PATH

    @property
    def token(self) -> str:
        """The bearer of the calling token."""
        return self.state.calling_token.bearer

    def bearer(self, kind: Kind) -> str:
        """The bearer of a new token of a kind; of `full`, that of the calling token."""
        return self.oauth.new_token(kind).bearer

    # What the control endpoints do, without HTTP

    def requests(self) -> list[ReceivedRequest]:
        """Give a copy of each request that was received, in order."""
        with self.state.lock:
            return [replace(record) for record in self.state.received]

    def clear_requests(self) -> None:
        """Forget what was received."""
        with self.state.lock:
            self.state.received.clear()

    def history(self) -> list[TokenEvent]:
        """Give what became of each token, in order; it outlives tokens and records.

        Tokens that expire, or that a test marks as revoked, are not removed: they stay listed. An
        event's `request` is the index of a record in `requests()`, as long as those are not
        forgotten: indexes begin anew with `clear_requests()`.
        """
        with self.state.lock:
            return list(self.state.events)

    def faults(self, *faults: Mapping[str, Any], **fault: Any) -> list[Object]:
        """Add faults, each as a mapping, or one by its keywords; give all that there are.

        They are described in the module `faults`. A ValueError names what is wrong with one.
        """
        self._faults.add([*faults, fault] if fault else faults)
        return self._faults.all()

    def clear_faults(self) -> None:
        """Forget all faults."""
        self._faults.clear()

    def advance(self, seconds: float) -> int:
        """Let so much time pass at once on the account's clock; give its time (ms)."""
        return self.state.clock.advance(seconds)

    def confirm(self, *, email: str | None = None, token: str | None = None) -> int:
        """Confirm logins as their person would: see `State.confirm`."""
        return self.state.confirm(email=email, token=token)
