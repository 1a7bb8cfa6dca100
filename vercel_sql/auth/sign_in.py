"""The ways to log in: by email, by browser, and by a browser on another device.

Each returns a login that is complete and verified, and saves nothing.
"""

from __future__ import annotations

import asyncio
import hmac
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import h11

from vercel_sql.auth.calls import call, find_method
from vercel_sql.auth.jwt import verify_id_token
from vercel_sql.auth.login_store import App, SavedLogin, now_ms
from vercel_sql.errors import (
    AnswerError,
    APIError,
    BadRequestError,
    Error,
    NotSupportedError,
    OperationalError,
    RequestError,
    TransportError,
    WaitTooLongError,
)
from vercel_sql.http.client import Client
from vercel_sql.ledger.journal import JournalHandle, PendingCreate, is_unsent
from vercel_sql.logger import logger
from vercel_sql.manifest import vercel

log = logger("api")
_Failure: TypeAlias = APIError | RequestError | WaitTooLongError

# How often Vercel is asked whether the email was confirmed, in seconds.
_EMAIL_INTERVAL = 2.0
# RFC 8628: the interval if the server names none, and how many seconds the answers that tell a
# device to wait add to it.
_DEVICE_INTERVAL = 5.0
_LONGER = {"authorization_pending": 0.0, "slow_down": 5.0}
# A server that doesn't answer is asked ever less often, down to once in so many seconds.
_LONGEST_INTERVAL = 60.0

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


@dataclass(frozen=True)
class DevicePrompt:
    """What a person needs to sign in a device; the complete address has the code in it."""

    user_code: str
    address: str
    complete_address: str | None


def by_email(
    client: Client,
    email: str,
    *,
    token_name: str | None,
    show_code: Callable[[str], None],
    seconds: float,
) -> SavedLogin:
    """Logs in by an email that the person confirms, after comparing a security code.

    ``token_name`` is the name of the new token, or None for Vercel's default.
    """
    arguments = {"email": email, "tokenName": token_name}
    begun = call(client, *vercel().named("email_begin"), arguments)
    if not isinstance(begun.get("securityCode"), str):
        raise OperationalError("the answer to email_login holds no security code to compare")
    show_code(begun["securityCode"])
    client.create_results.release("shown")
    arguments |= {"token": begun["token"]}

    def ask(handle: JournalHandle) -> dict[str, Any]:
        return call(client, *vercel().named("email_tokens"), arguments, handle)

    poll = _Poll(
        lambda error: 0.0 if isinstance(error, BadRequestError) else None,
        "nobody confirmed the login",
    )
    made = poll.until_allowed(ask, _EMAIL_INTERVAL, seconds)
    return SavedLogin(
        kind="token",
        access_token=made["token"],
        api_url=client.urls["api"],
        oauth_url=client.urls["oauth"],
        saved_at=now_ms(),
        team_id=made.get("teamId") if isinstance(made.get("teamId"), str) else None,
    )


def by_browser(
    client: Client,
    app: App,
    *,
    port: int,
    show: Callable[[str, str], None],
    seconds: float,
    prompt: str | None = None,
) -> SavedLogin:
    """Signs in with a browser on this machine (authorization code, PKCE, loopback redirect).

    ``show`` opens or shows its first argument, an address, in a browser; the second is where the
    browser comes back to, which must be registered with the app. Port 0 is any free port.
    """
    app.credentials(client)  # fails now rather than with the person at the browser
    with RedirectReceiver(port) as receiver:
        arguments = {
            "client_id": app.client_id,
            "redirect_uri": receiver.redirect_uri,
            "scope": app.scope,
            "prompt": prompt,
        }
        begun = call(client, *vercel().named("browser_begin"), arguments)
        receiver.expect(begun["state"])
        show(begun["url"], receiver.redirect_uri)
        code = receiver.wait(seconds)
        redirect_uri = receiver.redirect_uri
    exchange = {
        **app.credentials(client),
        "code": code,
        "code_verifier": begun["code_verifier"],
        "redirect_uri": redirect_uri,
    }
    tokens = call(client, *vercel().named("browser_tokens"), exchange)
    return _checked(client, app, tokens, nonce=begun["nonce"])


def by_device(
    client: Client, app: App, *, show: Callable[[DevicePrompt], None], seconds: float
) -> SavedLogin:
    """Signs in with a browser on another device (RFC 8628)."""
    method = find_method(*vercel().named("device_begin"))
    document = client.servers.discovery(method.server).document(client)
    if document is not None and document.get(method.endpoint or "") is None:
        raise NotSupportedError(
            f"the authorization server {client.urls[method.server]} does not offer to sign in "
            "devices; without --device, a browser on this machine is used"
        )
    arguments = {**app.credentials(client), "scope": app.scope}
    begun = call(client, *vercel().named("device_begin"), arguments)
    # Useless before the person allows it, and valid for minutes only.
    client.create_results.release("asked")
    show(_prompt(begun))
    lifetime = _number(begun.get("expires_in"), seconds)
    interval = _number(begun.get("interval"), _DEVICE_INTERVAL)

    def ask(handle: JournalHandle) -> dict[str, Any]:
        exchange = {**app.credentials(client), "device_code": begun["device_code"]}
        return call(client, *vercel().named("device_tokens"), exchange, handle)

    poll = _Poll(lambda error: _LONGER.get(error.code), "nobody allowed the device")
    tokens = poll.until_allowed(ask, interval, min(seconds, lifetime))
    return _checked(client, app, tokens, nonce=None)


class _Poll:
    """Polls until the person has agreed.

    A request that gets no answer, or an error of the server, is sent again, ever less often
    (RFC 8628, section 3.5). Its code works once: a lost answer can't be fetched again, but a login
    that comes later shows that none was lost.

    Args:
        longer: how many seconds an error that only says to wait adds to the interval; None for any
            other error.
        nobody: who did not do what, for the error.
    """

    def __init__(self, longer: Callable[[APIError], float | None], nobody: str) -> None:
        self._longer = longer
        self._nobody = nobody
        self._failure: Error | None = None
        self._lost: list[PendingCreate] = []

    def until_allowed(
        self, ask: Callable[[JournalHandle], dict[str, Any]], interval: float, seconds: float
    ) -> dict[str, Any]:
        """The answer once the person has agreed, within so many seconds."""
        deadline, pause = time.monotonic() + seconds, interval
        while True:
            handle = JournalHandle()
            try:
                answer = ask(handle)
            except (APIError, RequestError, WaitTooLongError) as error:
                added = self._longer(error) if isinstance(error, APIError) else None
                if added is None:
                    self._remember(error, handle)
                    pause = max(interval, min(pause * 2, _LONGEST_INTERVAL))
                else:
                    # Of the answers that say to wait, RFC 8628's show that no login was lost.
                    if not self._lost or getattr(error, "code", "") in _LONGER:
                        self._none_lost()
                    pause = interval = interval + added
            else:
                self._none_lost()
                return answer
            if time.monotonic() + pause > deadline:
                raise self._too_late()
            if added is None:
                log.warning("%s; asking again in %.0f s", _in_short(self._failure), pause)
            time.sleep(pause)

    def _none_lost(self) -> None:
        self._failure = None
        while self._lost:
            self._lost.pop().unsent("a later answer showed that no login resulted from it")

    def _remember(self, error: _Failure, handle: JournalHandle) -> None:
        """Remembers a failure that may pass; raises any other."""
        if not _may_pass(error):
            if self._lost and getattr(error, "code", "") != "access_denied":
                raise OperationalError(
                    f"the login may have been lost on its way: {_in_short(self._failure)} before, "
                    "and a login is given once. Nothing was saved here; begin the sign-in again. "
                    f"The server now says: {error}"
                ) from None
            raise error
        self._failure = error
        if handle.create is not None and not is_unsent(error):
            self._lost.append(handle.create)

    def _too_late(self) -> OperationalError:
        if self._failure is None:
            return OperationalError(f"{self._nobody} in time, and nothing was saved")
        return OperationalError(
            "no login came in time, and nothing was saved. The last question that failed: "
            f"{self._failure}"
        )


def _may_pass(error: _Failure) -> bool:
    if isinstance(error, APIError):
        return error.status >= 500 or error.status in (408, 429)
    return not (isinstance(error, TransportError) and error.lasting)


def _in_short(error: Error | None) -> str:
    if isinstance(error, APIError):
        return f"the server answered with status {error.status}"
    if isinstance(error, AnswerError):
        return "the server's answer can't be used"
    if isinstance(error, WaitTooLongError):
        return "the server's rate limit is spent"
    return "the server did not answer"


def _prompt(begun: Mapping[str, Any]) -> DevicePrompt:
    code, address = begun.get("user_code"), begun.get("verification_uri")
    complete = begun.get("verification_uri_complete")
    if not isinstance(code, str) or not _is_web_address(address):
        raise OperationalError(
            "the authorization server sent no code for the person, or no address to enter it at"
        )
    return DevicePrompt(code, str(address), str(complete) if _is_web_address(complete) else None)


def _is_web_address(value: object) -> bool:
    return isinstance(value, str) and value.startswith(("https://", "http://"))


def _checked(
    client: Client, app: App, tokens: Mapping[str, Any], *, nonce: str | None
) -> SavedLogin:
    """The login of new tokens whose ID token holds; if it does not, they are revoked."""
    issuer, id_token = client.urls["oauth"], tokens.get("id_token")
    try:
        if not isinstance(id_token, str):
            raise OperationalError(
                "the authorization server sent no ID token: the sign-in can't be verified, and "
                "nothing was saved"
            )
        verify_id_token(client, id_token, audience=app.client_id, nonce=nonce, issuer=issuer)
    except Error:
        with suppress(Error):
            revoked = {**app.credentials(client), "token": tokens["access_token"]}
            call(client, *vercel().named("revoke"), revoked)
            client.create_results.release("revoked")
        raise
    login = SavedLogin(
        kind="oauth",
        access_token=tokens["access_token"],
        api_url=client.urls["api"],
        oauth_url=issuer,
        saved_at=now_ms(),
        client_id=app.client_id,
        client_secret_file=app.client_secret_file,
        client_signing=app.signing,
    )
    return login.with_tokens(tokens)


def _number(value: object, otherwise: float) -> float:
    try:
        number = float(str(value))
    except ValueError:
        return otherwise
    return number if 0 < number < 86_400 else otherwise


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

    def __exit__(self, *_exception: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(_CLOSING_SECONDS)

    @property
    def redirect_uri(self) -> str:
        return f"http://{_HOST}:{self._port}{_PATH}"

    def expect(self, state: str) -> None:
        """Accepts the redirect with this state from now on; before that, none is accepted."""
        self._state = state

    def wait(self, seconds: float) -> str:
        """The code of the redirect; `OperationalError` if it has none, or does not come in time."""
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
    values = dict(pairs)
    if len(values) != len(pairs):
        return OperationalError("the redirect has a parameter twice: the sign-in is refused")
    if "error" in values:
        reason = values.get("error_description") or values["error"]
        return OperationalError(f"the sign-in was not allowed: {values['error']}: {reason[:300]}")
    return values.get("code") or OperationalError("the redirect has no code")
