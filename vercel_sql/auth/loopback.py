"""Receives the redirect of a sign-in: one path on a loopback port, until the answer comes."""

from __future__ import annotations

import asyncio
import hmac
import queue
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

import h11

from vercel_sql.errors import OperationalError
from vercel_sql.logger import logger

log = logger("api")

_HOST = "127.0.0.1"
_PATH = "/callback"
# A connection without a request is closed after so many seconds: browsers open some in advance.
_IDLE_SECONDS = 10.0
_MOST_CONNECTIONS = 64
_MOST_BYTES = 16_384
_MOST_FIELDS = 20
_CLOSING_SECONDS = 2.0  # how long to wait for the thread, at the end
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Connection": "close",
}
_RECEIVED = "The sign-in was received. Go back to the terminal; this window can be closed."
_REFUSED = "The sign-in was refused. The terminal says why; this window can be closed."
_NOT_OURS = "This does not belong to the sign-in that the terminal waits for, which goes on."
_NOTHING = "There is nothing here."


class RedirectReceiver:
    """Listens on a loopback port on a thread of its own, while its context lasts.

    Whoever connects, it keeps a bounded number of connections. Port 0 is any free port.
    """

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self._state: str | None = None
        self._outcomes: queue.Queue[str | OperationalError] = queue.Queue(maxsize=1)
        self._open: dict[asyncio.StreamWriter, None] = {}
        self._warned = False

    def __enter__(self) -> Self:
        try:
            self._listening = socket.create_server((_HOST, self._port), backlog=_MOST_CONNECTIONS)
        except OSError as error:
            raise OperationalError(
                f"the redirect can't be received on port {self._port}: "
                f"{error.strerror or 'unknown error'}. --port takes another one, whose callback "
                "must be registered with the app"
            ) from None
        self._port = self._listening.getsockname()[1]
        self._ended = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        # It would write to standard error what a connection failed with, including the code.
        self._loop.set_exception_handler(lambda _loop, _context: None)
        self._thread = threading.Thread(target=self._run, name="vercel-sql-redirect", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(_CLOSING_SECONDS)

    @property
    def redirect_uri(self) -> str:
        """The address that the browser is sent back to."""
        return f"http://{_HOST}:{self._port}{_PATH}"

    def expect(self, state: str) -> None:
        """Accepts the redirect with this state from now on; before that, none is accepted."""
        self._state = state

    def wait(self, seconds: float) -> str:
        """The code of the redirect.

        Raises:
            OperationalError: it has an error instead, or did not come in time.
        """
        try:
            outcome = self._outcomes.get(timeout=seconds)
        except queue.Empty:
            raise OperationalError(
                f"nobody signed in within {seconds:.0f} s, and nothing was saved. If the browser "
                f"showed an error: is the callback {self.redirect_uri} registered with the app?"
            ) from None
        if isinstance(outcome, OperationalError):
            raise outcome
        return outcome

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(
            self._connected, sock=self._listening, backlog=_MOST_CONNECTIONS
        )
        await self._ended.wait()
        server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= _MOST_CONNECTIONS:
            # The oldest has been silent for the longest time. A browser asks at once.
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.transport.abort()
        self._open[writer] = None
        try:
            async with asyncio.timeout(_IDLE_SECONDS):
                await self._answer(reader, writer)
        except (OSError, TimeoutError, h11.ProtocolError):
            pass
        finally:
            self._open.pop(writer, None)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_BYTES)
        try:
            while (event := connection.next_event()) is h11.NEED_DATA:
                connection.receive_data(await reader.read(_MOST_BYTES))
        except h11.RemoteProtocolError:
            event = None
        status, text, outcome = self._judged(event)
        body = f"<!DOCTYPE html><title>vercel-sql</title><p>{text}</p>".encode()
        headers = {**_HEADERS, "Content-Length": str(len(body))}
        try:
            if connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                writer.write(
                    connection.send(h11.Response(status_code=status, headers=list(headers.items())))
                )
                writer.write(connection.send(h11.Data(data=body)))
                await writer.drain()
        finally:
            if outcome is not None:
                with suppress(queue.Full):  # the first answer counts
                    self._outcomes.put_nowait(outcome)

    def _judged(self, request: object) -> tuple[int, str, str | OperationalError | None]:
        """The status and text of the answer, and what the request ends the sign-in with."""
        if not isinstance(request, h11.Request):
            return 400, _NOTHING, None
        try:
            target = urlsplit(request.target.decode("ascii"))
            pairs = parse_qsl(target.query, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError:
            return 400, _NOTHING, None
        # Any other host may be a foreign page's name for loopback (DNS rebinding).
        host = [value for name, value in request.headers if name == b"host"]
        if host != [f"{_HOST}:{self._port}".encode()] or target.path != _PATH:
            return 404, _NOTHING, None
        if request.method != b"GET":
            return 405, _NOTHING, None
        if not self._is_ours(pairs):
            return 400, _NOT_OURS, None
        outcome = _outcome(pairs)
        return (200, _RECEIVED, outcome) if isinstance(outcome, str) else (400, _REFUSED, outcome)

    def _is_ours(self, pairs: Sequence[tuple[str, str]]) -> bool:
        """Whether the sender knows the state; nobody else can end the sign-in."""
        states = [value.encode() for name, value in pairs if name == "state"]
        expected = None if self._state is None else self._state.encode()
        if states and expected and all(hmac.compare_digest(one, expected) for one in states):
            return True
        if states and not self._warned:
            self._warned = True
            log.warning(
                "a redirect with a state that was not sent was refused: it may be somebody "
                "else's. Still waiting for the sign-in"
            )
        return False


def _outcome(pairs: Sequence[tuple[str, str]]) -> str | OperationalError:
    """The code of a redirect, or why there is none."""
    values = dict(pairs)
    if len(values) != len(pairs):
        return OperationalError("the redirect has a parameter twice: the sign-in is refused")
    if "error" in values:
        reason = values.get("error_description") or values["error"]
        return OperationalError(f"the sign-in was not allowed: {values['error']}: {reason[:300]}")
    return values.get("code") or OperationalError("the redirect has no code")
