"""Lengths of time in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))


def spelled(seconds: float) -> str:
    """A length of time in its two largest units, such as ``1 hour 15 minutes``."""
    left, parts = max(1, round(seconds)), list[str]()
    for name, length in _UNITS:
        count, left = divmod(left, length)
        if count or parts:
            parts.append(f"{count} {name}{'' if count == 1 else 's'}" if count else "")
    return " ".join(filter(None, parts[:2]))


def about(seconds: float) -> str:
    """A length of time that was estimated: in minutes, or in seconds where it is short."""
    return f"about {spelled(round(seconds / 60) * 60 if seconds >= 90 else seconds)}"


def moment_in(seconds: float) -> str:
    """What the clock on the wall shows in so many seconds; with its date, unless that is today."""
    now = datetime.now(UTC).astimezone()
    try:
        then = now + timedelta(seconds=seconds)
    except OverflowError:
        return "the end of time"
    return f"{then:%H:%M:%S}" if then.date() == now.date() else f"{then:%Y-%m-%d %H:%M:%S}"
