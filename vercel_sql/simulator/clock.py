"""The simulated account's clock."""

import time
from email.utils import formatdate

_LATEST_DATE = 253_402_300_799
"""The last second of the year 9999, after which `Date` has no way to write one."""


class Clock:
    """Tells the time in milliseconds since the epoch, from now on or from a fixed start."""

    def __init__(self, start_ms: int | None = None) -> None:
        self._start_ms = start_ms
        self._started = time.monotonic()
        self._ahead_ms = 0

    def now_ms(self) -> int:
        """Give the account's time; a fixed start still moves on, so that `activeAt` can."""
        if self._start_ms is None:
            return time.time_ns() // 1_000_000 + self._ahead_ms
        return self._start_ms + int((time.monotonic() - self._started) * 1000) + self._ahead_ms

    def steady_seconds(self) -> float:
        """Give seconds that nobody can set back, but that `advance` moves on too."""
        return time.monotonic() + self._ahead_ms / 1000

    def http_date(self, skew_seconds: float = 0) -> str:
        """Write the time, wrong by `skew_seconds`, as `Date` headers do: GMT, rounded down."""
        seconds = int((self.now_ms() + skew_seconds * 1000) // 1000)
        return formatdate(min(max(seconds, 0), _LATEST_DATE), usegmt=True)

    def advance(self, seconds: float) -> int:
        """Let time pass at once; give the new time (ms), or a ValueError if it would go back."""
        if not 0 <= seconds <= 10_000_000_000:  # some three hundred years, and no NaN
            raise ValueError("the clock only goes forward, and not for ever")
        self._ahead_ms += int(seconds * 1000)
        return self.now_ms()
