"""The faults of the table: what goes wrong, and how the simulated API is made to do it."""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass, field
from typing import Any

_DEEP = "[" * 100_000 + "]" * 100_000


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


_BOMB = _encoded(gzip.compress(bytes(64 * 2**20)))


@dataclass(frozen=True)
class Fault:
    """One row of the table.

    Attributes:
        name: what goes wrong, for the reader.
        options: the simulated API's fault; empty where the fault is elsewhere.
        dead: the server is down: nothing listens.
        once: it befalls one request, and the next one is answered.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    dead: bool = False
    once: bool = False


def _status(status: int, text: str, *, once: bool = False, **more: Any) -> Fault:
    return Fault(text, {"kind": "status", "status": status, **more}, once=once)


def _body(text: str, body: Any = None, **more: Any) -> Fault:
    options = {"kind": "body", **({} if body is None else {"body": body}), **more}
    return Fault(text, options)


FAULTS = [
    Fault("nothing, for comparison", {}),
    Fault("the server is down", dead=True),
    Fault("the connection breaks before the server acts, once", {"kind": "drop_before"}, once=True),
    Fault("the connection breaks before the server acts", {"kind": "drop_before"}),
    Fault("the answer is lost after the server acted, once", {"kind": "drop_after"}, once=True),
    Fault("the answer is lost after the server acted", {"kind": "drop_after"}),
    Fault("no answer in time; the server did not act", {"kind": "hang"}),
    Fault("no answer in time; the server acted", {"kind": "hang", "acts": True}),
    Fault("the answer breaks off in the middle, once", {"kind": "cut_body"}, once=True),
    Fault("the answer breaks off in the middle", {"kind": "cut_body"}),
    Fault("bytes that are no text", {"kind": "garbage_body"}),
    Fault("a proxy's HTML page with 200", {"kind": "garbage_body", "html": True}),
    _body(
        "a gateway's HTML page with 502",
        "<html><title>Bad gateway</title></html>",
        status=502,
        content_type="text/html",
    ),
    Fault(
        "a captive portal's redirect",
        {"kind": "redirect", "location": "https://portal.example/login"},
    ),
    _status(400, "400", code="bad_request", message="`it` is not acceptable."),
    _status(401, "401", code="unauthorized"),
    _status(403, "403, the token is dead", extra={"invalidToken": True}),
    _status(403, "403, not allowed"),
    _status(404, "404"),
    _status(429, "429, once", once=True, headers={"Retry-After": "0"}),
    _status(429, "429 for longer than we wait", headers={"Retry-After": "600"}),
    _status(500, "500, once", once=True),
    _status(500, "500; the server did not act"),
    _status(500, "500; the server acted", acts=True),
    _body("NaN for a number", '{"tokens": NaN, "token": NaN}'),
    _body("a key that stands twice", '{"token": {}, "token": {}, "tokens": [], "tokens": []}'),
    _body("nested 100,000 deep", f'{{"token": {_DEEP}, "tokens": {_DEEP}}}'),
    _body("invalid UTF-8", raw=_encoded(b'{"token": "\xff", "tokens": "\xff"}')),
    _body("wrong types", {"token": 7, "tokens": {"a": 1}, "tokenId": [], "bearerToken": 1}),
    _body("64 KiB that unpack to 64 MiB", raw=_BOMB, headers={"Content-Encoding": "gzip"}),
    _body("an encoding that nobody asked for", {}, headers={"Content-Encoding": "br"}),
]
