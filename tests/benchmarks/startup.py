"""How long ``vercel-sql -c "SELECT 1"`` takes, as a ratio to a Python that only imports.

Run by hand: ``python tests/benchmarks/startup.py``. The floor imports duckdb, pyarrow and httpx and
ends. Both are whole processes, and take turns.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 15
COMMANDS = {
    "floor": "import duckdb, pyarrow, httpx",
    "vercel-sql": (
        "import sys; sys.argv[1:] = ['-c', 'SELECT 1'];"
        "from vercel_sql.cli.main import entry_point; entry_point()"
    ),
}


def main() -> None:
    """Prints the medians in milliseconds and their ratio."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS + 1):
        for name, code in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
            times[name].append((time.perf_counter() - started) * 1000)
    # The first round warms the disk's caches.
    floor, ours = (statistics.median(times[name][1:]) for name in COMMANDS)
    print(f"floor {floor:.0f} ms, vercel-sql {ours:.0f} ms: ratio {ours / floor:.2f}")


if __name__ == "__main__":
    main()
