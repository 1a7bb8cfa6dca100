"""The dot commands about how results look, and where they go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from vercel_sql.cli.shell.dot import CommandError, UsageError, at_most, switch
from vercel_sql.render import MODES

if TYPE_CHECKING:
    from vercel_sql.cli.shell.session import Session


def set_mode(session: Session, arguments: Sequence[str]) -> None:
    """``.mode``: chooses how results are written, or says how they are."""
    mode = at_most(1, arguments)
    if mode is None:
        session.say(f"current output mode: {session.settings.mode}")
        session.say(f"there are: {' '.join(MODES)}")
        return
    known = mode.casefold()
    if known not in MODES:
        near = get_close_matches(known, MODES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise CommandError(f"there is no mode {mode}{hint} There are: {' '.join(MODES)}")
    session.settings.mode = known


def redirect(session: Session, arguments: Sequence[str]) -> None:
    """``.output``: sends results to a file, or back to the terminal."""
    path = at_most(1, arguments)
    if path is None or path == "stdout":
        session.destination.reset()
    else:
        _open(session, path, once=False)


def redirect_once(session: Session, arguments: Sequence[str]) -> None:
    """``.once``: sends the next result to a file."""
    path = at_most(1, arguments)
    if path is None:
        raise UsageError
    _open(session, path, once=True)


def _open(session: Session, path: str, *, once: bool) -> None:
    if path.startswith("|"):
        raise CommandError("results can't be piped to a command; name a file")
    try:
        session.destination.redirect(path, once=once)
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "that is not the name of a file"
        raise CommandError(f"{path} can't be written: {reason}") from None


def set_headers(session: Session, arguments: Sequence[str]) -> None:
    """``.headers``: shows or hides the columns' names."""
    settings = session.settings
    settings.options = replace(settings.options, headers=switch(arguments))


def set_max_rows(session: Session, arguments: Sequence[str]) -> None:
    """``.maxrows``: says how many rows a box shows, 0 for all."""
    count, settings = at_most(1, arguments), session.settings
    if count is None:
        rows = settings.options.max_rows
        session.say(f"current max rows: {'all' if rows is None else rows}")
        return
    if not (count.isascii() and count.isdecimal()):
        raise UsageError
    settings.options = replace(settings.options, max_rows=int(count) or None)


def set_widths(session: Session, arguments: Sequence[str]) -> None:
    """``.width``: the least width of each column; without a number, as wide as needed."""
    try:
        widths = tuple(int(word) for word in arguments)
    except ValueError:
        raise UsageError from None
    session.settings.options = replace(session.settings.options, widths=widths)


def set_timer(session: Session, arguments: Sequence[str]) -> None:
    """``.timer``: says how long each statement took."""
    session.settings.timer = switch(arguments)


def set_confirm(session: Session, arguments: Sequence[str]) -> None:
    """``.confirm``: asks before a write."""
    session.settings.confirm = switch(arguments)
