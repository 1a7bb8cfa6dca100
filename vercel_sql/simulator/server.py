"""The simulated API as callers hold it: a server on a socket and in a thread of its own."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
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
from vercel_sql.simulator.models import Kind
from vercel_sql.simulator.oauth import OAuth
from vercel_sql.simulator.records import ReceivedRequest, Recorder, TokenEvent
from vercel_sql.simulator.store import State

_HOST = "127.0.0.1"
_PATIENCE_SECONDS = 10.0
_ACCEPTING_TURNS = 10
"""Turns of the loop within which a connection that was accepted is also known (it takes 3)."""


def _bind(port: int) -> socket.socket:
    """Take the port, which refuses connections until someone listens there.

    Raises:
        OSError: It is taken.
    """
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


class _Serving:
    """One time of serving, from its making to its end; callers may connect once it is made.

    Args:
        api: What to serve.
        bound: The port to listen on, which is closed at the end.

    Raises:
        OSError: Someone else listens there by now.
        RuntimeError: It does not start.
    """

    def __init__(self, api: SimulatedApi, bound: socket.socket) -> None:
        try:
            bound.listen(2048)
        except OSError:
            bound.close()
            raise
        self._server = _Server(api)
        self._thread = threading.Thread(
            target=self._server.run, args=([bound],), name="vercel-simulator", daemon=True
        )
        self._thread.start()
        if not self._server.ready.wait(_PATIENCE_SECONDS):
            raise RuntimeError("the simulated API did not start")

    def end(self) -> None:
        """Close all connections and the port, and wait for the thread.

        Raises:
            RuntimeError: The thread did not end.
        """
        if not self._thread.is_alive():
            return
        self._server.leave()
        self._thread.join(_PATIENCE_SECONDS)
        if self._thread.is_alive():
            raise RuntimeError("the simulated API did not stop")


class _Connection(H11Protocol):
    """HTTP/1.1, with a way for the application to close the raw connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, CLOSE_CONNECTION: transport.close}


class _Server(uvicorn.Server):
    """A uvicorn that says when it is ready, and that stops at once when it is told to."""

    def __init__(self, app: SimulatedApi) -> None:
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
        self.ready = threading.Event()
        self.leave: Callable[[], object] = lambda: None
        """Stops the server, from any thread, once it is ready."""

    async def main_loop(self) -> None:
        """Serve until told to leave."""
        leaving = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.leave = partial(loop.call_soon_threadsafe, leaving.set)
        await self.on_tick(0)
        self.ready.set()
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
        self._recorder = Recorder()
        named = VERCEL if limits == "vercel" and limit is None else None
        limiter = RateLimiter(limit, self.state.clock, named)
        self._api = SimulatedApi(
            self.state, self.oauth, limiter, self._faults, self._recorder, latency_ms
        )
        self._wanted_port = port
        self._port: int | None = None
        self._serving: _Serving | None = None
        self._reserved: socket.socket | None = None

    def __repr__(self) -> str:
        return f"Simulator({self.url!r})" if self._port else "Simulator(not started)"

    # Its life

    def start(self) -> Self:
        """Listen, and serve from a thread; callers may connect once this returns.

        Raises:
            OSError: The port is taken.
            RuntimeError: It was started before.
        """
        if self._port is not None:
            raise RuntimeError("a simulator starts once")
        bound = _bind(self._wanted_port)
        self._port = bound.getsockname()[1]
        self._serving = _Serving(self._api, bound)
        return self

    def stop(self) -> None:
        """Close all connections and the port, and wait for the thread; more than once is fine."""
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None
        if self._serving is not None:
            self._serving.end()
            self._serving = None

    def pause(self) -> None:
        """Be dead for a while: close all connections, and refuse new ones, until `resume()`.

        Requests that are under way end without an answer; what was not acted on is not acted on
        any more. The account, faults, limits and records stay, and so does the port, which
        nobody else gets.

        Raises:
            RuntimeError: It does not serve, or the thread did not end.
            OSError: Someone else got the port all the same.
        """
        if self._serving is None:
            raise RuntimeError("the simulator does not serve")
        self._serving.end()
        self._serving = None
        self._reserved = _bind(self.port)

    def resume(self) -> None:
        """Serve again after `pause()`, at the same port.

        Raises:
            RuntimeError: It was not paused.
        """
        if self._reserved is None:
            raise RuntimeError("the simulator was not paused")
        bound, self._reserved = self._reserved, None
        self._serving = _Serving(self._api, bound)

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
        """The port that it listens on.

        Raises:
            RuntimeError: It was not started.
        """
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
        """Give what was received, in order."""
        return self._recorder.all()

    def clear_requests(self) -> None:
        """Forget what was received."""
        self._recorder.clear()

    def history(self) -> list[TokenEvent]:
        """Give what became of each token, in order; it outlives tokens and records.

        An event's `request` is the index of a record in `requests()`, as long as those are not
        forgotten: indexes begin anew with `clear_requests()`.
        """
        return self.state.history.all()

    def faults(self, *faults: Mapping[str, Any], **fault: Any) -> list[Object]:
        """Add faults, each as a mapping, or one by its keywords; give all that there are.

        Raises:
            ValueError: A fault is not one; the message names what is wrong.
        """
        self._faults.add([*faults, fault] if fault else faults)
        return self._faults.all()

    def clear_faults(self) -> None:
        """Forget all faults."""
        self._faults.clear()

    def advance(self, seconds: float) -> int:
        """Let so much time pass at once on the account's clock; give its time (ms).

        Raises:
            ValueError: The clock would go back.
        """
        return self.state.clock.advance(seconds)

    def confirm(self, *, email: str | None = None, token: str | None = None) -> int:
        """Confirm the logins of an email address, or the one of a token; give how many.

        Raises:
            LookupError: No login waits for it.
        """
        return self.state.confirm(email=email, token=token)
