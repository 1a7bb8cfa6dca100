"""An answer's way to the wire, as far as a fault lets it go."""

import asyncio
from collections.abc import Callable

from starlette.types import Message, Receive, Scope, Send

from vercel_sql.simulator._answers import Answer
from vercel_sql.simulator._faults import Fault
from vercel_sql.simulator._records import ReceivedRequest

CLOSE_CONNECTION = "vercel_sql.simulator.close_connection"
"""Under this name in the scope's state the server puts what closes the raw connection."""


async def deliver(
    answer: Answer | None,
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
    record.status = answer.status  # before the caller can ask for the record
    if end is not None and kind == "cut_body":
        await _send_cut(answer, end, send)
        await _close(scope, receive)
    elif end is not None and kind == "drip":
        await _send_dripping(answer, end, receive, send)
    else:
        await send_whole(answer, send)


async def send_whole(answer: Answer, send: Send) -> None:
    """Send an answer as it is."""
    await send(answer.start())
    await send(_part(answer.body, more=False))


async def _send_cut(answer: Answer, fault: Fault, send: Send) -> None:
    """Send an answer up to somewhere in its body."""
    length = len(answer.body)
    keep = max(0, min(fault.options.get("bytes", length // 2), length - 1))
    await send(answer.start())
    await send(_part(answer.body[:keep], more=True))


async def _send_dripping(answer: Answer, fault: Fault, receive: Receive, send: Send) -> None:
    """Send an answer in pieces, with a pause before each, as long as the caller listens."""
    held_back = [answer.start()]
    size = fault.options.get("bytes", 1)
    if fault.options.get("headers_first", True):
        await send(held_back.pop())
    for start in range(0, len(answer.body), size):
        if await _left_within(fault.options["ms"], receive):
            return
        held_back.append(_part(answer.body[start : start + size], more=True))
        while held_back:
            await send(held_back.pop(0))
    for message in (*held_back, _part(b"", more=False)):
        await send(message)


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
