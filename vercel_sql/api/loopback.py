"""Receives the redirect of a sign-in: one path on a loopback port, until the one answer comes."""

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

from vercel_sql.api.logger import logger
from vercel_sql.errors import OperationalError

log = logger("api")

_HOST = "127.0.0.1"
_PATH = "/callback"
# A connection that has not asked within so many seconds is closed: browsers open some in advance.
_IDLE_SECONDS = 10.0
_MOST_CONNECTIONS = 64
_MOST_BYTES = 16_384
_MOST_FIELDS = 20
# How long the thread that serves is waited for, at the end.
_CLOSING_SECONDS = 2.0
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
    """Listens on loopback while its context lasts.

    Args:
        port: where to listen; 0 is any free port.

    Raises:
        OperationalError: the port can't be listened on (on entering).
    """

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self._server: _Server | None = None

    def __enter__(self) -> Self:
        try:
            listening = socket.create_server((_HOST, self._port), backlog=_MOST_CONNECTIONS)
        except OSError as error:
            raise OperationalError(
                f"the redirect can't be received on port {self._port}: "
                f"{error.strerror or 'unknown error'}. --port takes another one, whose callback "
                "has to be registered with the app"
            ) from None
        self._server = _Server(listening)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listening.close()

    @property
    def redirect_uri(self) -> str:
        """The address that the browser is to be sent back to."""
        return f"http://{_HOST}:{self._listening.port}{_PATH}"

    def expect(self, state: str) -> None:
        """Takes the redirect with this state from now on; before that, none is taken."""
        self._listening.state = state

    def wait(self, seconds: float) -> str:
        """The code that the redirect brought.

        Raises:
            OperationalError: it brought an error, or did not come in time.
        """
        try:
            outcome = self._listening.outcomes.get(timeout=seconds)
        except queue.Empty:
            raise OperationalError(
                f"nobody signed in within {seconds:.0f} s, and nothing was saved. If the browser "
                f"showed an error: is the callback {self.redirect_uri} registered with the app?"
            ) from None
        if isinstance(outcome, OperationalError):
            raise outcome
        return outcome

    @property
    def _listening(self) -> _Server:
        assert self._server is not None  # noqa: S101 - used within the context
        return self._server


class _Server:
    """Serves one path on its own thread; whoever connects, it holds a bounded number of them.

    Args:
        listening: the socket that the browser connects to.
    """

    def __init__(self, listening: socket.socket) -> None:
        self.port: int = listening.getsockname()[1]
        self.state: str | None = None
        self.outcomes: queue.Queue[str | OperationalError] = queue.Queue(maxsize=1)
        self._listening = listening
        self._open: dict[asyncio.StreamWriter, None] = {}
        self._warned = False
        self._ended = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        # Else it would write to standard error what a connection failed with, the code among it.
        self._loop.set_exception_handler(lambda _loop, _context: None)
        self._thread = threading.Thread(target=self._run, name="vercel-sql-redirect", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends it, and whatever is connected."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(_CLOSING_SECONDS)

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
            # The oldest has said nothing for the longest time. A browser asks at once.
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
                    self.outcomes.put_nowait(outcome)

    def _judged(self, request: object) -> tuple[int, str, str | OperationalError | None]:
        """The status and the text of the answer to a request, and what it ends the sign-in with."""
        if not isinstance(request, h11.Request):
            return 400, _NOTHING, None
        try:
            target = urlsplit(request.target.decode("ascii"))
            pairs = parse_qsl(target.query, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError:
            return 400, _NOTHING, None
        # Another name for loopback may be a foreign page's (DNS rebinding).
        host = [value for name, value in request.headers if name == b"host"]
        if host != [f"{_HOST}:{self.port}".encode()] or target.path != _PATH:
            return 404, _NOTHING, None
        if request.method != b"GET":
            return 405, _NOTHING, None
        if not self._is_ours(pairs):
            return 400, _NOT_OURS, None
        outcome = _outcome(pairs)
        return (200, _RECEIVED, outcome) if isinstance(outcome, str) else (400, _REFUSED, outcome)

    def _is_ours(self, pairs: Sequence[tuple[str, str]]) -> bool:
        """Whether somebody who knows the state sent it; who does not can't end the sign-in."""
        states = [value.encode() for name, value in pairs if name == "state"]
        expected = None if self.state is None else self.state.encode()
        if states and expected and all(hmac.compare_digest(one, expected) for one in states):
            return True
        if states and not self._warned:
            self._warned = True
            log.warning(
                "a redirect brought another state than was sent, and was refused: it may be "
                "somebody else's. Still waiting for the sign-in"
            )
        return False


def _outcome(pairs: Sequence[tuple[str, str]]) -> str | OperationalError:
    """The code that a redirect brought, or why there is none."""
    given = dict(pairs)
    if len(given) != len(pairs):
        return OperationalError("the redirect names a parameter twice: the sign-in is refused")
    if "error" in given:
        reason = given.get("error_description") or given["error"]
        return OperationalError(f"the sign-in was not allowed: {given['error']}: {reason[:300]}")
    return given.get("code") or OperationalError("the redirect brought no code")
