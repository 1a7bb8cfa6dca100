"""A clock that nobody sets: it tells durations, and no moments."""

from __future__ import annotations

import time
from pathlib import Path

# On Linux `monotonic` stands still while the machine sleeps, and this one does not.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def steady_seconds() -> float:
    """Seconds since some moment before this machine's start; all its processes share it."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)


def steady_ms() -> int:
    """The same in milliseconds."""
    return int(steady_seconds() * 1000)


def boot_id() -> str | None:
    """What tells one run of this machine from another; None where the platform has no such thing.

    Moments of `steady_ms` can be compared between processes where this is equal.
    """
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None
