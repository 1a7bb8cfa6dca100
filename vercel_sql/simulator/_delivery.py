"""An answer's way to the wire, as far as a fault lets it go."""

from collections.abc import Callable

from starlette.types import Receive, Scope, Send

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
    if answer is None or kind == "drop_after":
        await _close(scope, receive)
        return
    record.status = answer.status  # before the caller can ask for the record
    if end is None or kind != "cut_body":
        await send_whole(answer, send)
        return
    length = len(answer.body)
    keep = max(0, min(end.options.get("bytes", length // 2), length - 1))
    await send(answer.start())
    await send({"type": "http.response.body", "body": answer.body[:keep], "more_body": True})
    await _close(scope, receive)


async def send_whole(answer: Answer, send: Send) -> None:
    """Send an answer as it is."""
    await send(answer.start())
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})


async def _close(scope: Scope, receive: Receive) -> None:
    """Close the raw connection, and wait until the server has noticed."""
    close: Callable[[], None] = scope["state"][CLOSE_CONNECTION]
    close()
    while (await receive())["type"] != "http.disconnect":
        pass
