"""What time it is at a server, learned from the ``Date`` of its answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple

from vercel_sql.runtime.process_state import Shared
from vercel_sql.text import spelled

# On Linux `monotonic` stands still while the machine sleeps, and this one does not.
_STEADY = getattr(time, "CLOCK_BOOTTIME", None)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Two clocks drift apart by so much a second at most, unless one of them is broken.
_DRIFT = 1e-4
# So many answers in a row must contradict what is known before they are believed: a single one
# may be a proxy's, or come out of a cache.
_DISSENTERS = 3
# From how many seconds on it is worth telling that the local clock is wrong.
_TELLING = 5.0


def steady_seconds() -> float:
    """Seconds since some moment before this machine's start, by a clock that nobody sets."""
    return time.monotonic() if _STEADY is None else time.clock_gettime(_STEADY)


def steady_ms() -> int:
    """The same in milliseconds; all processes of this machine share it."""
    return int(steady_seconds() * 1000)


def boot_id() -> str | None:
    """What tells one run of this machine from another; None where the platform has no such thing.

    Moments of `steady_ms` can be compared between processes where this is equal.
    """
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None


class _Range(NamedTuple):
    """By how many seconds the server's clock is ahead of our steady one, at least and at most."""

    least: float
    most: float

    def overlap(self, other: _Range) -> _Range | None:
        """What both allow."""
        least, most = max(self.least, other.least), min(self.most, other.most)
        return _Range(least, most) if least <= most else None


class ServerClock:
    """The time of one server; while no answer has told it, the local time.

    ``Date`` is in whole seconds, so one answer tells the time to within a second and the time
    that the answer took. Answers at different fractions of a second narrow that down. The local
    clock, which anybody may set, only says how wrong it is itself.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = steady_seconds,
    ) -> None:
        self._wall, self._steady = wall, steady
        self._lock = threading.Lock()
        self._learned: tuple[float, _Range] | None = None
        self._dissent: list[_Range] = []

    def __repr__(self) -> str:
        skew = self.skew_seconds
        return f"<ServerClock: {'unknown' if skew is None else f'{skew:+.1f} s'}>"

    def now_ms(self) -> int:
        """The server's time, as well as it is known (ms since the epoch)."""
        return int((self._wall() + (self.skew_seconds or 0.0)) * 1000)

    def cautious_ms(self) -> int:
        """The server's time (ms since the epoch), rather too early than too late."""
        # Clocks that may be the same are taken for the same.
        earliest = self.earliest_ms() if self.skew_seconds else None
        return int(self._wall() * 1000) if earliest is None else earliest

    def earliest_ms(self) -> int | None:
        """The time that the server's clock has reached at least; None where it is not known."""
        known = self._known()
        return None if known is None else int((self._steady() + known.least) * 1000)

    @property
    def skew_seconds(self) -> float | None:
        """By how much the server's clock is ahead of the local one; None where it is not known."""
        known = self._known()
        if known is None:
            return None
        local = self._wall() - self._steady()
        # The offset of the two clocks that needs the least to be wrong.
        return min(max(local, known.least), known.most) - local

    @property
    def uncertainty(self) -> float | None:
        """By how many seconds `now_ms` may be wrong; None where nothing is known."""
        known, skew = self._known(), self.skew_seconds
        if known is None or skew is None:
            return None
        likeliest = skew + self._wall() - self._steady()
        return max(known.most - likeliest, likeliest - known.least)

    def note(self, host: str) -> str:
        """A hint that this machine's clock is wrong; empty if it isn't, or if that isn't known."""
        skew = self.skew_seconds
        if skew is None or abs(skew) - (self.uncertainty or 0.0) < _TELLING:
            return ""
        at = datetime.fromtimestamp(self.now_ms() / 1000, UTC)
        return (
            f"This machine's clock is {spelled(abs(skew))} {'behind' if skew > 0 else 'ahead'}: "
            f"at {host} it is {at:%Y-%m-%d %H:%M:%S} UTC"
        )

    def learn(self, date: str | None, elapsed: float) -> None:
        """Takes over what an answer's ``Date`` says."""
        try:
            stamp = parsedate_to_datetime(date or "").timestamp()
        except (ValueError, OverflowError):
            return
        now = self._steady()
        told = _Range(stamp - now, stamp + 1 - (now - elapsed))
        with self._lock:
            known = self._known()
            agreed = told if known is None else known.overlap(told) or self._overruled(told)
            if agreed is not None:
                self._learned, self._dissent = (self._steady(), agreed), []

    def _overruled(self, told: _Range) -> _Range | None:
        """What the last few answers say, where they agree that what was known is wrong."""
        common = self._dissent[-1].overlap(told) if self._dissent else None
        self._dissent = [*self._dissent, common] if common is not None else [told]
        return self._dissent[-1] if len(self._dissent) >= _DISSENTERS else None

    def _known(self) -> _Range | None:
        """What is known, a little less precisely the longer ago it was learned."""
        if self._learned is None:
            return None
        at, known = self._learned
        drift = (self._steady() - at) * _DRIFT
        return _Range(known.least - drift, known.most + drift)


server_clocks = Shared(ServerClock)
"""The clock of each base URL."""
