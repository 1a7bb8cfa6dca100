"""How faults spoil answers, and how far they let an answer go on its way to the wire."""

import asyncio
from base64 import b64decode
from collections.abc import Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from vercel_sql.simulator.faults import Fault
from vercel_sql.simulator.messages import ApiError, decode, encode
from vercel_sql.simulator.models import ReceivedRequest

CLOSE_CONNECTION = "vercel_sql.simulator.close_connection"
"""Under this name in the scope's state the server puts what closes the raw connection."""

_WITHOUT_BODY = (204, 304)
_GARBAGE = b"\x00\xff\xfe not JSON, not even text \x80\x81"
_HTML = b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"


def instead(fault: Fault) -> Response:
    """Make the answer that a `status` or `redirect` fault gives instead of the endpoint's."""
    options = fault.options
    if fault.kind == "redirect":
        answer = Response(status_code=options.get("status", 307))
        _set_headers(answer, {"Location": options["location"]})
    else:
        shown = {name: options.get(name) for name in ("message", "code", "extra")}
        answer = ApiError(options["status"], **shown).response
    _set_headers(answer, options.get("headers", {}))
    return answer


def spoil(answer: Response, fault: Fault, cursor: str | None) -> None:
    """Change an answer as a fault says; a LookupError or ValueError if it does not fit."""
    match fault.kind:
        case "garbage_body":
            answer.status_code = 200
            if fault.options.get("html", False):
                _set_body(answer, _HTML, "text/html; charset=utf-8")
            else:
                _set_body(answer, _GARBAGE)
        case "body":
            _replace(answer, fault)
        case "page" if answer.status_code == 200:
            _lengthen(answer, fault.options["rows"])
        case "patch":
            _patch(answer, fault)
        case "repeat_cursor" if cursor is not None:
            again = int(cursor) if cursor.isdecimal() else cursor
            patch = {"pagination": {"next": again}}
            _set_body(answer, encode(_merge(decode(bytes(answer.body)), patch)))


def _set_body(answer: Response, body: bytes, content_type: str = "application/json") -> None:
    """Change the body, and the headers that describe it."""
    answer.body = body
    _set_headers(answer, {"Content-Length": len(body), "Content-Type": content_type})


def _set_headers(answer: Response, headers: dict[str, Any]) -> None:
    """Set headers, over those of the same name."""
    for name, value in headers.items():
        answer.headers[name] = str(value)


def _replace(answer: Response, fault: Fault) -> None:
    options = fault.options
    body = b64decode(options["raw"]) if "raw" in options else options["body"]
    answer.status_code = options.get("status", 200)
    if isinstance(body, str):
        body = body.encode()
    elif not isinstance(body, bytes):
        body = encode(body)
    _set_body(answer, body, options.get("content_type", "application/json"))
    _set_headers(answer, options.get("headers", {}))


def _lengthen(answer: Response, count: int) -> None:
    """Put made-up rows at the end of a listing's page; they look like its last row."""
    value = decode(bytes(answer.body))
    value = value if isinstance(value, dict) else {}
    lists = [each for each in value.values() if isinstance(each, list) and each]
    rows = next((each for each in lists if isinstance(each[-1], dict)), None)
    if rows is None or not isinstance(value.get("pagination"), dict):
        raise ValueError("it is not a page with a row to copy")
    rows += [{**rows[-1], "id": f"made-up-{number}"} for number in range(count)]
    value["pagination"]["count"] = len(rows)
    _set_body(answer, encode(value))


def _patch(answer: Response, fault: Fault) -> None:
    body = bytes(answer.body)
    if "patch" in fault.options:
        body = encode(_merge(decode(body), fault.options["patch"]))
    if "replace_text" in fault.options:
        old, new = fault.options["replace_text"]
        body = body.replace(old.encode(), new.encode())
    _set_body(answer, body)


def _merge(value: Any, patch: Any) -> Any:
    """Merge a patch into a JSON value.

    An object is merged into an object key by key, and into a list element by element: its keys
    are then positions (`"0"`, `"-1"`), or `"*"` for all. Anything else, including null, replaces
    the value.
    """
    if not isinstance(patch, dict):
        return patch
    if isinstance(value, list):
        merged = list(value)
        for key, part in patch.items():
            for index in range(len(merged)) if key == "*" else (int(key),):
                merged[index] = _merge(merged[index], part)
        return merged
    base = value if isinstance(value, dict) else {}
    return {**base, **{key: _merge(base.get(key), part) for key, part in patch.items()}}


async def deliver(
    answer: Response | None,
    end: Fault | None,
    record: ReceivedRequest,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Send the answer, as far as the fault that decides the request's end lets it go."""
    kind = None if end is None else end.kind
    if end is not None and kind == "hang":
        await _left_within(end.options.get("ms"), receive)
    if answer is None or kind in ("drop_after", "hang"):
        await _close(scope, receive)
        return
    record.status = answer.status_code  # before the caller can ask for the record
    if end is not None and kind == "cut_body":
        length = len(answer.body)
        keep = max(0, min(end.options.get("bytes", length // 2), length - 1))
        await send(_start(answer))
        await send(_part(bytes(answer.body[:keep]), more=True))
        await _close(scope, receive)
    elif end is not None and kind == "drip":
        await _send_dripping(answer, end, receive, send)
    else:
        await send_whole(answer, send)


async def send_whole(answer: Response, send: Send) -> None:
    """Send an answer as it is."""
    await send(_start(answer))
    await send(_part(bytes(answer.body), more=False))


async def _send_dripping(answer: Response, fault: Fault, receive: Receive, send: Send) -> None:
    """Send an answer in pieces, with a pause before each, as long as the caller listens."""
    held_back = [_start(answer)]
    size = fault.options.get("bytes", 1)
    if fault.options.get("headers_first", True):
        await send(held_back.pop())
    for start in range(0, len(answer.body), size):
        if await _left_within(fault.options["ms"], receive):
            return
        held_back.append(_part(bytes(answer.body[start : start + size]), more=True))
        while held_back:
            await send(held_back.pop(0))
    for message in (*held_back, _part(b"", more=False)):
        await send(message)


def _start(answer: Response) -> Message:
    """Give the ASGI message that begins an answer; some statuses have no body."""
    if answer.status_code in _WITHOUT_BODY:
        answer.body = b""
        for name in [name for name in answer.headers if name.startswith("content-")]:
            del answer.headers[name]
    headers = answer.raw_headers
    return {"type": "http.response.start", "status": answer.status_code, "headers": headers}


def _part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def _left_within(milliseconds: int | None, receive: Receive) -> bool:
    """Wait so long (None: for ever), and say whether the caller left meanwhile."""
    try:
        async with asyncio.timeout(None if milliseconds is None else milliseconds / 1000):
            await _until_closed(receive)
    except TimeoutError:
        return False
    return True


async def _until_closed(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _close(scope: Scope, receive: Receive) -> None:
    """Close the raw connection, and wait until the server has noticed."""
    close: Callable[[], None] = scope["state"][CLOSE_CONNECTION]
    close()
    await _until_closed(receive)
