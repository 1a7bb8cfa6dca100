"""What makes a client send something: a statement, a function, or a command around logins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_cause: ContextVar[str] = ContextVar("vercel_sql_cause", default="call")


def cause() -> str:
    """What this thread sends something for, such as ``INSERT``."""
    return _cause.get()


@contextmanager
def caused_by(what: str) -> Iterator[None]:
    """Says what this thread sends something for while the context lasts."""
    token = _cause.set(what)
    try:
        yield
    finally:
        _cause.reset(token)
