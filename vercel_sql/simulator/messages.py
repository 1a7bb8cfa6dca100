"""HTTP and JSON as the simulated API speaks them, and its errors in Vercel's shapes."""

import asyncio
import json
import socket
from collections.abc import Mapping
from typing import Any

import h11

Object = dict[str, Any]

FORM = "application/x-www-form-urlencoded"
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
"""Keeps secrets out of caches (RFC 6749, section 5.1)."""

_DEFAULTS: Mapping[int, tuple[str, str]] = {
    400: ("bad_request", "Invalid request"),
    401: ("unauthorized", "Unauthorized"),
    403: ("forbidden", "Not authorized"),
    404: ("not_found", "Not found"),
    405: ("method_unknown", "This endpoint does not take that HTTP method"),
    408: ("request_timeout", "The request took too long"),
    429: ("rate_limited", "Rate limit exceeded"),
}
"""The code and message of each documented status, for errors that name neither."""

_IDLE_SECONDS = 75
"""How long a connection may be idle: longer than any pause of a test."""


def encode(value: Any) -> bytes:
    """Write compact UTF-8 JSON; integers keep every digit."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # a lone surrogate is escaped, as JavaScript does
        return json.dumps(value, separators=(",", ":")).encode()


def decode(data: bytes) -> Any:
    """Read JSON strictly: a repeated key or a NaN is a ValueError."""

    def unique(pairs: list[tuple[str, Any]]) -> Object:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise ValueError("a key occurs twice")
        return result

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not JSON")

    try:
        return json.loads(data, object_pairs_hook=unique, parse_constant=refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


class Response:
    """A whole answer; its headers have lower-case names."""

    def __init__(
        self,
        body: bytes = b"",
        status: int = 200,
        headers: Mapping[str, Any] | None = None,
        content_type: str | None = None,
    ) -> None:
        self.status = status
        self.headers: dict[str, str] = {}
        self.set_body(body, content_type)
        self.set_headers(headers or {})

    def set_body(self, body: bytes, content_type: str | None) -> None:
        """Change the body, and the headers that describe it."""
        self.body = body
        described = {"Content-Length": len(body), "Content-Type": content_type}
        self.set_headers({k: v for k, v in described.items() if v is not None})

    def set_headers(self, headers: Mapping[str, Any]) -> None:
        self.headers |= {name.lower(): str(value) for name, value in headers.items()}


def answer(value: Object, headers: Mapping[str, str] | None = None, status: int = 200) -> Response:
    return Response(encode(value), status, headers, "application/json")


def no_store(value: Object) -> Response:
    """Answer with JSON that no cache may keep."""
    return answer(value, NO_STORE)


class RefusalError(Exception):
    """An answer other than success, which endpoints raise."""

    def __init__(self, message: str, response: Response) -> None:
        self.response = response
        super().__init__(message)


class ApiError(RefusalError):
    """The API's errors: `{"error": {"code": …, "message": …, **extra}}`."""

    def __init__(
        self,
        status: int,
        message: str | None = None,
        *,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        default = _DEFAULTS.get(status, ("internal_server_error", "Internal Server Error"))
        message = default[1] if message is None else message
        error = {"code": code or default[0], "message": message, **(extra or {})}
        super().__init__(message, answer({"error": error}, headers, status))


class OAuthError(RefusalError):
    """The authorization server's errors: `{"error": …, "error_description": …}`."""

    def __init__(
        self,
        code: str,
        description: str,
        *,
        status: int = 400,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        error = {"error": code, "error_description": description}
        super().__init__(description, answer(error, {**NO_STORE, **(headers or {})}, status))


def invalid(message: str) -> ApiError:
    return ApiError(400, f"Invalid request: {message}")


class Connection:
    """HTTP/1.1 on an accepted socket, one request at a time."""

    def __init__(self, accepted: socket.socket) -> None:
        self._socket = accepted
        self._loop = asyncio.get_running_loop()
        self._http = h11.Connection(h11.SERVER)
        self._has_body = True
        host, port = accepted.getsockname()[:2]
        self.url = f"http://{host}:{port}"

    async def receive(self) -> tuple[h11.Request, bytes] | None:
        """Read the next request; None if the caller leaves before its end, or sends no HTTP."""
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        if self._http.our_state is not h11.IDLE:
            return None  # the last answer was the last
        try:
            async with asyncio.timeout(_IDLE_SECONDS):
                return await self._read()
        except h11.RemoteProtocolError:
            wrong = Response(b"Invalid HTTP request received.", 400, {"Connection": "close"})
            wrong.set_headers({"Content-Type": "text/plain; charset=utf-8"})
            await self.write(self.head(wrong) + self.part(wrong.body) + self.end())
            return None

    async def _read(self) -> tuple[h11.Request, bytes] | None:
        request, chunks = None, []
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                if self._http.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    await self.write(self._http.send(go_on) or b"")
                data = await self._loop.sock_recv(self._socket, 65536)
                if not data:
                    return None
                self._http.receive_data(data)
            elif isinstance(event, h11.Request):
                request = event
                self._has_body = request.method != b"HEAD"
            elif isinstance(event, h11.Data):
                chunks.append(bytes(event.data))
            elif request is None or not isinstance(event, h11.EndOfMessage):
                return None
            else:
                return request, b"".join(chunks)

    def head(self, response: Response) -> bytes:
        """Write the beginning of an answer; some statuses have no body."""
        if response.status in (204, 304):
            response.body, self._has_body = b"", False
            kept = {k: v for k, v in response.headers.items() if not k.startswith("content-")}
            response.headers = kept
        headers = {"server": "Vercel", **response.headers}
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        return self._http.send(h11.Response(status_code=response.status, headers=raw)) or b""

    def part(self, body: bytes) -> bytes:
        """Write a part of the body, which answers to HEAD don't have."""
        return self._http.send(h11.Data(data=body)) or b"" if self._has_body else b""

    def end(self) -> bytes:
        return self._http.send(h11.EndOfMessage()) or b""

    async def write(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._socket, data)

    async def send(self, response: Response) -> None:
        await self.write(self.head(response) + self.part(response.body) + self.end())

    async def left_within(self, milliseconds: int | None) -> bool:
        """Wait so long (None: for ever); return whether the caller left meanwhile."""
        try:
            async with asyncio.timeout(None if milliseconds is None else milliseconds / 1000):
                while data := await self._loop.sock_recv(self._socket, 65536):
                    self._http.receive_data(data)
        except TimeoutError:
            return False
        except OSError:
            return True
        return True
