"""The simulated API on a socket of its own, in a thread of its own."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from vercel_sql.simulator._app import SimulatedApi
from vercel_sql.simulator._clock import Clock
from vercel_sql.simulator._control import confirm
from vercel_sql.simulator._delivery import CLOSE_CONNECTION
from vercel_sql.simulator._errors import ApiError
from vercel_sql.simulator._faults import Fault, Faults
from vercel_sql.simulator._json import Object
from vercel_sql.simulator._limits import RateLimit, RateLimiter
from vercel_sql.simulator._oauth import OAuth
from vercel_sql.simulator._records import ReceivedRequest, Recorder
from vercel_sql.simulator._state import State

_HOST = "127.0.0.1"
_PATIENCE_SECONDS = 10.0
_ACCEPTING_TURNS = 10
"""Turns of the loop within which a connection that was accepted is also known (it takes 3)."""


class Simulator:
    """A simulated Vercel API over HTTP, to be used in a `with` statement.

    `state` is what the account holds, and `oauth` the authorization server and the apps and
    integrations that are registered there; both may be looked at and changed while it serves.

    Args:
        tokens: How many tokens to make beside the calling one, or the fields of each.
        seed: What the made data depends on, and which requests a fault of some probability hits.
        latency_ms: How long every request takes at least, in milliseconds.
        rate_limit: How many requests each endpoint takes, such as `"100/60"` (in 60 s).
        port: Where to listen on loopback; 0 for any free port.
        now_ms: When the account's clock starts (ms since the epoch); None for the real time.
        until_inclusive: Whether `until` includes its own millisecond.

    Raises:
        ValueError: The rate limit is not one.
        OSError: The port is taken (on entering).
    """

    def __init__(
        self,
        tokens: int | Iterable[Mapping[str, Any]] = 250,
        *,
        seed: int = 7,
        latency_ms: int = 0,
        rate_limit: RateLimit | str | None = None,
        port: int = 0,
        now_ms: int | None = None,
        until_inclusive: bool = True,
    ) -> None:
        limit = RateLimit.parse(rate_limit) if isinstance(rate_limit, str) else rate_limit
        self.state = State(tokens, seed=seed, clock=Clock(now_ms), until_inclusive=until_inclusive)
        self.oauth = OAuth(self.state, seed)
        self._faults = Faults(seed)
        self._recorder = Recorder()
        limiter = RateLimiter(limit, self.state.clock)
        self._server = _Server(
            SimulatedApi(self.state, self.oauth, limiter, self._faults, self._recorder, latency_ms)
        )
        self._wanted_port = port
        self._port: int | None = None
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"Simulator({self.url!r})" if self._port else "Simulator(not started)"

    # Its life

    def start(self) -> Self:
        """Listen, and serve from a thread; callers may connect once this returns.

        Raises:
            OSError: The port is taken.
            RuntimeError: It was started before.
        """
        if self._thread is not None:
            raise RuntimeError("a simulator starts once")
        listener = _listen(self._wanted_port)
        self._port = listener.getsockname()[1]
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="vercel-simulator", daemon=True
        )
        self._thread.start()
        if not self._server.ready.wait(_PATIENCE_SECONDS):
            raise RuntimeError("the simulated API did not start")
        return self

    def stop(self) -> None:
        """Close all connections and the port, and wait for the thread; more than once is fine.

        Raises:
            RuntimeError: The thread did not end.
        """
        if self._thread is None or not self._thread.is_alive():
            return
        self._server.leave()
        self._thread.join(_PATIENCE_SECONDS)
        if self._thread.is_alive():
            raise RuntimeError("the simulated API did not stop")

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
    def token(self) -> str:
        """The bearer of the calling token."""
        return self.state.calling_token.bearer

    # What the control endpoints do, without HTTP

    def requests(self) -> list[ReceivedRequest]:
        """Give what was received, in order."""
        return self._recorder.all()

    def clear_requests(self) -> None:
        """Forget what was received."""
        self._recorder.clear()

    def faults(self, *faults: Mapping[str, Any], **fault: Any) -> list[Object]:
        """Add faults, each as a mapping, or one by its keywords; give all that there are.

        Raises:
            ValueError: A fault is not one; the message names what is wrong.
        """
        given = [*faults, fault] if fault else list(faults)
        try:
            self._faults.add([Fault.parse(each) for each in given])
        except ApiError as error:
            raise ValueError(error.message) from None
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
        try:
            return confirm(self.state, email=email, token=token)
        except ApiError as error:
            raise LookupError(error.message) from None


def _listen(port: int) -> socket.socket:
    """Open the port, so that it is known and takes connections before the server runs."""
    # asyncio turns off Nagle's algorithm only where the protocol is named; with it, every
    # answer would wait some 40 ms for the caller's delayed acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


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
