"""Receives the redirect of a sign-in: one path on a loopback port, until the one answer comes."""

from __future__ import annotations

import hmac
import queue
import threading
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from vercel_sql.errors import OperationalError

_HOST = "127.0.0.1"
_PATH = "/callback"
# A connection that says nothing for so many seconds is closed: browsers open some in advance.
_IDLE_SECONDS = 10
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_RECEIVED = "The sign-in was received. Go back to the terminal; this window can be closed."
_REFUSED = "The sign-in was refused. The terminal says why; this window can be closed."
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
            self._server = _Server((_HOST, self._port), _Handler)
        except OSError as error:
            raise OperationalError(
                f"the redirect can't be received on port {self._port}: "
                f"{error.strerror or 'unknown error'}"
            ) from None
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listening.shutdown()
        self._listening.server_close()

    @property
    def redirect_uri(self) -> str:
        """The address that the browser is to be sent back to."""
        return f"http://{_HOST}:{self._listening.server_address[1]}{_PATH}"

    def expect(self, state: str) -> None:
        """Takes the redirect with this state from now on; before that, none is taken."""
        self._listening.state = state

    def wait(self, seconds: float) -> str:
        """The code that the redirect brought.

        Raises:
            OperationalError: it brought another state or an error, or did not come in time.
        """
        try:
            outcome = self._listening.outcomes.get(timeout=seconds)
        except queue.Empty:
            raise OperationalError(
                f"nobody signed in within {seconds:.0f} s, and nothing was saved"
            ) from None
        if isinstance(outcome, OperationalError):
            raise outcome
        return outcome

    @property
    def _listening(self) -> _Server:
        assert self._server is not None  # noqa: S101 - used within the context
        return self._server


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = False
    state: str | None = None

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.outcomes: queue.Queue[str | OperationalError] = queue.Queue(maxsize=1)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: its traceback would go to standard error, the code among it."""

    def judge(self, query: str) -> str | OperationalError | None:
        """What a redirect brought: the code or an error; None where it is no redirect of ours."""
        pairs = parse_qsl(query, keep_blank_values=True)
        given = dict(pairs)
        if self.state is None or "state" not in given:
            return None
        if len(given) != len(pairs):
            return OperationalError("the redirect names a parameter twice: the sign-in is refused")
        # Bytes, since compare_digest takes no text beyond ASCII.
        if not hmac.compare_digest(given["state"].encode(), self.state.encode()):
            return OperationalError(
                "the redirect brought another state than was sent: the sign-in is refused, since "
                "it may be somebody else's"
            )
        return _code(given)


def _code(given: Mapping[str, str]) -> str | OperationalError:
    if "error" in given:
        reason = given.get("error_description") or given["error"]
        return OperationalError(f"the sign-in was not allowed: {given['error']}: {reason[:300]}")
    return given.get("code") or OperationalError("the redirect brought no code")


class _Handler(BaseHTTPRequestHandler):
    timeout = _IDLE_SECONDS
    server: _Server

    def version_string(self) -> str:
        return "vercel-sql"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Says nothing: the address holds the code."""

    def do_GET(self) -> None:
        host, port = self.server.server_address[:2]
        target = urlsplit(self.path)
        # Another name for loopback may be a foreign page's (DNS rebinding).
        if self.headers.get("Host") != f"{host!s}:{port}" or target.path != _PATH:
            self._page(404, _NOTHING)
            return
        try:
            outcome = self.server.judge(target.query)
        except ValueError:
            outcome = None
        if outcome is None:
            self._page(400, _NOTHING)
            return
        try:
            self._page(*((200, _RECEIVED) if isinstance(outcome, str) else (400, _REFUSED)))
        finally:
            with suppress(queue.Full):  # the first answer counts
                self.server.outcomes.put_nowait(outcome)

    def _page(self, status: int, text: str) -> None:
        body = f"<!DOCTYPE html><title>vercel-sql</title><p>{text}</p>".encode()
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
