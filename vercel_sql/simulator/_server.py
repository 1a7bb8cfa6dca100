"""The simulated API as callers hold it: what it holds, and how it starts, pauses and stops."""

import socket
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from vercel_sql.simulator._app import SimulatedApi
from vercel_sql.simulator._bearers import new_token
from vercel_sql.simulator._claims import MARKETPLACE_PATH
from vercel_sql.simulator._clock import Clock
from vercel_sql.simulator._control import confirm
from vercel_sql.simulator._errors import ApiError
from vercel_sql.simulator._faults import Fault, Faults
from vercel_sql.simulator._history import TokenEvent
from vercel_sql.simulator._json import Object
from vercel_sql.simulator._kinds import Kind
from vercel_sql.simulator._limits import LIMITS, VERCEL, RateLimit, RateLimiter
from vercel_sql.simulator._oauth import OAuth
from vercel_sql.simulator._records import ReceivedRequest, Recorder
from vercel_sql.simulator._serving import HOST, Serving, bind
from vercel_sql.simulator._state import State


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
        self._serving: Serving | None = None
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
        bound = bind(self._wanted_port)
        self._port = bound.getsockname()[1]
        self._serving = Serving(self._api, bound)
        return self

    def stop(self) -> None:
        """Close all connections and the port, and wait for the thread; more than once is fine.

        Raises:
            RuntimeError: The thread did not end.
        """
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
        self._reserved = bind(self.port)

    def resume(self) -> None:
        """Serve again after `pause()`, at the same port.

        Raises:
            RuntimeError: It was not paused.
        """
        if self._reserved is None:
            raise RuntimeError("the simulator was not paused")
        bound, self._reserved = self._reserved, None
        self._serving = Serving(self._api, bound)

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
        return f"http://{HOST}:{self.port}"

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
        return new_token(kind, self.state, self.oauth).bearer

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
