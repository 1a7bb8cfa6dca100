"""The dot commands about the API: ``.requests``, ``.maxwrites`` and ``.account``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from vercel_sql.api import RequestEvent
from vercel_sql.cli.shell.dot import UsageError, at_most
from vercel_sql.cli.terminal import terminal_width, waiting
from vercel_sql.cli.whoami import account, account_lines
from vercel_sql.manifest import Method, vercel

if TYPE_CHECKING:
    from vercel_sql.cli.shell.session import Session

_SHOWN = 20  # from each end of a long list
_NARROWEST = 20


def show_requests(session: Session, arguments: Sequence[str]) -> None:
    """``.requests``: the HTTP requests of the last statement, and what is left of the limits."""
    at_most(0, arguments)
    events = list(session.events)
    if not events:
        session.say("the last statement made no request")
        return
    lines = list(_lines(events))
    if len(lines) > 2 * _SHOWN:
        left_out = len(lines) - 2 * _SHOWN
        lines = [*lines[:_SHOWN], f"… {left_out} more …", *lines[-_SHOWN:]]
    total = sum(event.milliseconds for event in events)
    count = f"{len(events)} {'request' if len(events) == 1 else 'requests'}"
    session.say(*lines, f"{count}, {total:.1f} ms altogether", *_budgets(session))


def _lines(events: Sequence[RequestEvent]) -> Iterator[str]:
    """One line a request, the path cut where the terminal is too narrow."""
    shown = [_Shown(event) for event in events]
    verb = max(len(each.verb) for each in shown)
    end = max(len(each.end) for each in shown)
    longest = max(len(each.path) for each in shown)
    room = min(longest, max(terminal_width() - verb - end - 2, _NARROWEST))
    for each in shown:
        path = each.path if len(each.path) <= room else f"{each.path[: room - 1]}…"
        yield f"{each.verb:<{verb}} {path:<{room}} {each.end:<{end}}".rstrip()


class _Shown:
    """The parts of a request's line."""

    def __init__(self, event: RequestEvent) -> None:
        query = "&".join(f"{name}={value}" for name, value in event.query.items())
        status = "no answer" if event.status is None else str(event.status)
        self.verb = event.method
        self.path = f"{event.path}?{query}" if query else event.path
        self.end = f"{status:>3} {event.milliseconds:7.1f} ms"
        if event.attempt > 1:
            self.end += f", attempt {event.attempt}"


def _budgets(session: Session) -> Iterator[str]:
    """What the answers told about the limits of the endpoints that were asked."""
    client = session.connection.client
    for name in dict.fromkeys((e.resource, e.api_method) for e in session.events):
        method = _method(*name)
        budget = client.budgets(method).get(method) if method is not None else None
        if method is None or budget is None:
            continue
        seconds = max(0.0, budget.reset - client.clock(method.server).now_ms() / 1000)
        yield (
            f"rate limit of {name[1]}: {budget.remaining} of {budget.limit} left, "
            f"whole again in {seconds:.0f} s"
        )


def _method(resource: str, name: str) -> Method | None:
    service, _, own_name = resource.partition(".")
    return vercel().service(service).resources[own_name].methods.get(name)


def set_max_writes(session: Session, arguments: Sequence[str]) -> None:
    """``.maxwrites``: says how many writes a statement may send."""
    count = at_most(1, arguments)
    if count is None:
        most = session.connection.max_writes
        session.say(f"current max writes: {'any number' if most is None else most}")
        return
    if not (count.isascii() and count.isdecimal()):
        raise UsageError
    session.connection.max_writes = int(count)


def show_account(session: Session, arguments: Sequence[str]) -> None:
    """``.account``: who, which teams, which token, whence it came, until when."""
    at_most(0, arguments)
    with waiting(session.connection.client.urls["api"]):
        answer = account(session.connection)
    session.say(*account_lines(answer))
