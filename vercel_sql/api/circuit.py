"""A server that fails again and again is left alone for a while, by all clients of a process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from vercel_sql.api.logger import logger
from vercel_sql.api.shared import Shared

log = logger("api")

# From this status on it is the server that failed.
_FAILED = 500
# After so many failures in a row requests are refused.
_FAILURES = 10
# For how long at first, and at most, in seconds.
_SHORTEST, _LONGEST = 5.0, 60.0


@dataclass(frozen=True, eq=False)
class Pass:
    """Leave to send one request; whoever has it says by `Circuit.judge` what became of it."""


class Circuit:
    """Counts the failures of one server; threads share it.

    After ten in a row requests are refused at once, for five seconds. Then one goes to find out
    whether the server is back, and each that fails doubles the pause, up to a minute.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._failures = 0
        self._last = ""
        self._pause = 0.0
        self._closes = 0.0
        self._probe: Pass | None = None

    def __repr__(self) -> str:
        return f"<Circuit: {self._failures} failures, {'open' if self._pause else 'closed'}>"

    def admit(self) -> Pass | str:
        """A pass, or in words why there is none."""
        with self._lock:
            if not self._pause:
                return Pass()
            left = self._closes - self._monotonic()
            if left <= 0 and self._probe is None:
                self._probe = Pass()
                return self._probe
            text = f"failed {self._failures} times in a row, last: {self._last}; "
            if self._probe is not None:
                return f"{text}a request is under way to find out whether it is back"
            until = datetime.now(UTC) + timedelta(seconds=left + 1)
            return f"{text}it is left alone until {until:%H:%M:%S} UTC"

    def judge(self, admitted: Pass, failure: str | None, status: int | None) -> None:
        """Takes over what became of a request."""
        if status is not None and status >= _FAILED:
            failure = f"it answered {status}"
        with self._lock:
            if failure is not None:
                self._fail(admitted, failure)
            elif status is not None:
                if self._pause:
                    log.info("the server that was left alone answers again")
                self._failures, self._pause, self._probe = 0, 0.0, None
            elif admitted is self._probe:
                self._probe = None

    def _fail(self, admitted: Pass, reason: str) -> None:
        self._failures += 1
        self._last = reason
        if admitted is self._probe:
            self._open(min(self._pause * 2, _LONGEST))
        elif not self._pause and self._failures >= _FAILURES:
            self._open(_SHORTEST)

    def _open(self, pause: float) -> None:
        self._pause, self._probe = pause, None
        self._closes = self._monotonic() + pause
        log.info(
            "%d failures in a row: the server is left alone for %.0f s, last: %s",
            self._failures,
            pause,
            self._last,
        )


circuits = Shared(Circuit)
"""The circuit of each base URL."""
