"""The simulated API as callers hold it: a server on a socket and in a thread, and the command."""

import argparse
import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import FrameType, TracebackType
from typing import Any, Self

from vercel_sql.simulator.app import SimulatedApi
from vercel_sql.simulator.endpoints import LIMITS, MARKETPLACE_PATH, RateLimit, RateLimiter
from vercel_sql.simulator.faults import Faults
from vercel_sql.simulator.messages import Connection, Object
from vercel_sql.simulator.models import KINDS, Clock, Kind, ReceivedRequest, TokenEvent
from vercel_sql.simulator.oauth import OAuth
from vercel_sql.simulator.store import State

_HOST = "127.0.0.1"
_PATIENCE_SECONDS = 10.0


def _bind(port: int) -> socket.socket:
    """Bind the port; it refuses connections until someone listens."""
    bound = socket.socket()
    try:
        if os.name == "posix":  # on Windows, another process could take the port as well
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((_HOST, port))
    except OSError:
        bound.close()
        raise
    return bound


class _Server:
    """Serves from a thread of its own until `end()`."""

    def __init__(self, api: SimulatedApi, bound: socket.socket) -> None:
        self._api = api
        self._listener = bound
        self._served: dict[asyncio.Task[None], socket.socket] = {}
        try:
            bound.setblocking(False)
            bound.listen(2048)
        except OSError:  # someone else listens there by now
            bound.close()
            raise
        self._loop = asyncio.SelectorEventLoop()
        self._loop.add_reader(bound, self._accept)
        self._thread = threading.Thread(target=self._run, name="vercel-simulator", daemon=True)
        self._thread.start()

    def end(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE_SECONDS)
        if self._thread.is_alive():
            raise RuntimeError("the simulated API did not stop")

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.remove_reader(self._listener)
        self._loop.run_until_complete(self._close())
        self._loop.close()

    def _accept(self) -> None:
        """Serve all connections that wait for it, and close each when it was served."""
        while True:
            try:
                accepted, _ = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            accepted.setblocking(False)
            # Else every answer would wait some 40 ms for the caller's delayed acknowledgement.
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = self._loop.create_task(self._api.serve(Connection(accepted)))
            self._served[task] = accepted
            task.add_done_callback(lambda served: self._served.pop(served).close())

    async def _close(self) -> None:
        self._accept()  # who has connected by now is told too
        self._listener.close()
        served = list(self._served)
        for task in served:
            task.cancel()
        await asyncio.gather(*served, return_exceptions=True)


class Simulator:
    """A simulated Vercel API over HTTP, to be used in a `with` statement.

    `state` is what the account holds, and `oauth` the authorization server and the apps and
    integrations that are registered there; both may be looked at and changed while it serves.
    `history()` tells what became of each token, `advance(seconds)` moves the account's clock on,
    `confirm(email=…)` confirms logins as their person would, and `pause()` makes the server dead
    for a while.

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
            raise ValueError(f"the limits must be {' or '.join(LIMITS)}, not {limits!r}")
        self.state = State(tokens, seed=seed, clock=Clock(now_ms), until_inclusive=until_inclusive)
        self.oauth = OAuth(self.state, seed)
        self._faults = Faults(seed)
        limiter = RateLimiter(limit, self.state.clock, limits)
        self._api = SimulatedApi(self.state, self.oauth, limiter, self._faults, latency_ms)
        self.clear_requests = self.state.received.clear
        self.clear_faults = self._faults.clear
        self.advance = self.state.clock.advance
        self.confirm = self.state.confirm
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
        self._reserved = _bind(self._wanted_port)
        self._port = self._reserved.getsockname()[1]
        self.resume()
        return self

    def stop(self) -> None:
        """Close all connections and the port, and wait for the thread; more than once is fine."""
        if self._reserved is not None:
            self._reserved.close()
        if self._server is not None:
            self._server.end()
        self._reserved = self._server = None

    def pause(self) -> None:
        """Go down: close all connections, and refuse new ones, until `resume()`.

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
        """Return a copy of each request that was received, in order."""
        with self.state.lock:
            return [replace(record) for record in self.state.received]

    def history(self) -> list[TokenEvent]:
        """Return what became of each token, in order; it outlives tokens and records.

        Tokens that expire, or that a test marks as revoked, are not removed: they stay listed. An
        event's `request` is the index of a record in `requests()`, as long as those are not
        forgotten: indexes begin anew with `clear_requests()`.
        """
        with self.state.lock:
            return list(self.state.events)

    def faults(self, *faults: Mapping[str, Any], **fault: Any) -> list[Object]:
        """Add faults, each as a mapping, or one by its keywords; return all that there are.

        They are described in the module `faults`. A ValueError names what is wrong with one.
        """
        self._faults.add([*faults, fault] if fault else faults)
        return self._faults.all()


# The command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    numbers: tuple[tuple[str, Callable[[str], int], int, str], ...] = (
        ("tokens", _count, 250, "how many tokens to generate (250)"),
        ("seed", int, 7, "the seed of the generated data (7)"),
        ("latency-ms", _count, 0, "how long every request takes (0)"),
    )
    where = "where to listen on loopback (default: any free port)"
    parser.add_argument("--port", type=_port, default=0, help=where)
    for name, type_, default, meaning in numbers:
        parser.add_argument(f"--{name}", type=type_, default=default, metavar="N", help=meaning)
    parser.add_argument(
        "--as",
        dest="kind",
        choices=[kind for kind in KINDS if kind != "integration"],
        default="full",
        help="which kind of token to print: of the full account, a team or a project, of an app's "
        "or the Vercel CLI's session, or of a few permissions (full)",
    )
    limits = parser.add_mutually_exclusive_group()
    limits.add_argument(
        "--limits",
        choices=LIMITS,
        default="vercel",
        help="the rate limits: Vercel's own, such as 50 deletions in 5 minutes, or none (vercel)",
    )
    limits.add_argument(
        "--rate-limit",
        type=_rate_limit,
        default=None,
        metavar="N/SECONDS",
        help="in place of these, how many requests each endpoint takes in so many seconds",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM, after four lines with the addresses and the token.

    Call it from the main thread. Gives the exit code: 0, or 1 if the port is taken.
    """
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    simulator = Simulator(
        arguments.tokens,
        seed=arguments.seed,
        latency_ms=arguments.latency_ms,
        limits=arguments.limits,
        rate_limit=arguments.rate_limit,
        port=arguments.port,
    )
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        simulator.start()
    except OSError as error:
        sys.stderr.write(f"cannot serve on port {arguments.port}: {error.strerror or error}\n")
        return 1
    else:
        sys.stdout.write(
            f"VERCEL_API_URL={simulator.url}\n"
            f"VERCEL_TOKEN={simulator.bearer(arguments.kind)}\n"
            f"VERCEL_OAUTH_URL={simulator.url}\nVERCEL_MARKETPLACE_URL={simulator.marketplace_url}\n"
        )
        sys.stdout.flush()
        ended.wait()
    finally:
        simulator.stop()
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _count(text: str) -> int:
    if int(text) < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return int(text)


def _port(text: str) -> int:
    if not 0 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port (0 to 65535)")
    return int(text)


def _rate_limit(text: str) -> RateLimit:
    try:
        return RateLimit.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
