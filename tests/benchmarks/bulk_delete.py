"""What a bulk DELETE costs over the time that the rate limit itself asks for.

Run by hand: ``python tests/benchmarks/bulk_delete.py``. The simulated API runs in a process of its
own, at 20 ms a request. The floor is measured in the same run: as many bare requests at a time as
the DELETE has, to an account of the same size, each sent when a window has room for it, by somebody
who knows the windows beforehand.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx

import vercel_sql

TOKENS, REQUESTS, SECONDS, LATENCY_MS, PARALLEL = 2_000, 200, 1.0, 20, 8
DELETIONS = "/v3/user/tokens"


@contextmanager
def served() -> Iterator[tuple[str, str]]:
    """An account of so many tokens, with the limit; gives its URL and token."""
    code = (
        "import sys\n"
        "from vercel_sql.simulator import Simulator\n"
        f"with Simulator({TOKENS}, latency_ms={LATENCY_MS}, "
        f"rate_limit='{REQUESTS}/{SECONDS:g}') as s:\n"
        "    print(s.url, s.token, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        url, token = process.stdout.readline().split()
        yield url, token
    finally:
        process.communicate("", timeout=30)


class Windows:
    """Lets pass what the limit allows: a window begins with its first request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends = 0.0
        self._left = 0

    def wait(self) -> None:
        """Returns when the next request may be sent."""
        with self._lock:
            now = time.monotonic()
            if now >= self._ends:
                self._begin(now)
            if self._left == 0:
                # A little later than the window's end, as seen from here.
                time.sleep(self._ends + 0.03 - now)
                self._begin(time.monotonic())
            self._left -= 1

    def _begin(self, now: float) -> None:
        self._ends, self._left = now + SECONDS, REQUESTS


def floor() -> float:
    """The seconds of the bare requests, those that the server refused among them."""
    windows, refused = Windows(), []
    with (
        served() as (url, token),
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}) as client,
    ):
        with vercel_sql.connect(token, api_url=url) as db:
            query = "SELECT id FROM vercel.authentication.user_tokens WHERE NOT is_current"
            rows = db.execute(query.replace("authentication", "audit")).fetchall()

        def delete(key: str) -> None:
            windows.wait()
            while (answer := client.delete(f"{DELETIONS}/{key}")).status_code == 429:
                refused.append(key)
                time.sleep(0.05)
            answer.raise_for_status()

        started = time.perf_counter()
        with ThreadPoolExecutor(PARALLEL) as executor:
            list(executor.map(delete, [key for (key,) in rows]))
        taken = time.perf_counter() - started
    assert len(rows) == TOKENS
    print(f"floor: {taken:.2f} s for {TOKENS:,} bare requests, {len(refused)} of them refused")
    return taken


def variant() -> float:
    """The seconds of one DELETE, from the first deletion to the last."""
    requests: list[tuple[float, str | int | None]] = []
    with (
        served() as (url, token),
        vercel_sql.connect(token, api_url=url, max_writes=TOKENS, parallel_deletes=PARALLEL) as db,
    ):
        own = "(SELECT id FROM vercel.audit.user_tokens WHERE is_current)"
        started = time.perf_counter()
        with db.observed(
            lambda event: (
                requests.append((time.perf_counter() - event.milliseconds / 1000, event.status))
                if event.effect == "write"
                else None
            )
        ):
            cursor = db.execute(f"DELETE FROM vercel.authentication.user_tokens WHERE id <> {own}")
        ended = time.perf_counter()
    assert cursor.rowcount == TOKENS
    first = min(begun for begun, _status in requests)
    refused = sum(status == 429 for _begun, status in requests)
    print(
        f"DELETE: {ended - first:.2f} s for {len(requests):,} requests, {refused} of them refused; "
        f"{first - started:.2f} s before, for the listing"
    )
    return ended - first


def main() -> None:
    """Prints both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    ideal = (TOKENS / REQUESTS - 1) * SECONDS
    print(
        f"{TOKENS:,} tokens, {REQUESTS} requests in {SECONDS:g} s, {LATENCY_MS} ms a request, "
        f"{PARALLEL} at a time; the windows alone take {ideal:.1f} s"
    )
    for _ in range(rounds):
        bare, ours = floor(), variant()
        print(f"ratio {ours / bare:.2f} to the floor, {ours / ideal:.2f} to the windows alone\n")


if __name__ == "__main__":
    main()
