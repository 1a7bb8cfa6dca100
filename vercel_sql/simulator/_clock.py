"""The simulated account's clock."""

import time


class Clock:
    """Tells the time in milliseconds since the epoch, from now on or from a fixed start."""

    def __init__(self, start_ms: int | None = None) -> None:
        self._start_ms = start_ms
        self._started = time.monotonic()

    def now_ms(self) -> int:
        """Give the account's time; a fixed start still moves on, so that `activeAt` can."""
        if self._start_ms is None:
            return time.time_ns() // 1_000_000
        return self._start_ms + int((time.monotonic() - self._started) * 1000)
