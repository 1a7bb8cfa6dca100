"""How long the shell takes to its first prompt, as a ratio to a Python that only imports duckdb.

Run by hand: ``python tests/benchmarks/shell_startup.py``. The shell runs in a terminal of its own,
against an account that is simulated in a process of its own; both are whole processes, and take
turns. The time ends when the prompt is on the screen.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

import pexpect
from listing import serve

ROUNDS = 15
COMMAND = "from vercel_sql.cli.main import entry_point; entry_point()"


def imported() -> float:
    """Milliseconds of a process that imports duckdb and ends."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import duckdb"], check=True)
    return (time.perf_counter() - started) * 1000


def prompted(environment: dict[str, str]) -> float:
    """Milliseconds from the start of the shell to its prompt."""
    started = time.perf_counter()
    shell = pexpect.spawn(
        sys.executable, ["-c", COMMAND], env=environment, dimensions=(40, 120), timeout=60
    )
    try:
        # prompt_toolkit first asks where the cursor is, which a terminal answers.
        while shell.expect([r"\w>(?: |\x1b)", r"\x1b\[6n"]) == 1:
            shell.send("\x1b[1;1R")
        return (time.perf_counter() - started) * 1000
    finally:
        shell.close(force=True)


def main() -> None:
    """Prints the medians in milliseconds and their ratio."""
    server, url, token = serve(31)
    times: dict[str, list[float]] = {"floor": [], "shell": []}
    try:
        with tempfile.TemporaryDirectory() as folder:
            environment = os.environ | {
                "TERM": "xterm-256color",
                "VERCEL_TOKEN": token,
                "VERCEL_API_URL": url,
                "VERCEL_OAUTH_URL": url,
                "VERCEL_SQL_STATE_DIR": folder,
            }
            for _ in range(ROUNDS + 1):
                times["floor"].append(imported())
                times["shell"].append(prompted(environment))
    finally:
        server.communicate("", timeout=30)
    # The first round warms the disk's caches.
    floor, shell = (statistics.median(each[1:]) for each in times.values())
    print(f"import duckdb {floor:.0f} ms, prompt {shell:.0f} ms: ", end="")
    print(f"ratio {shell / floor:.2f} (median of {ROUNDS})")


if __name__ == "__main__":
    main()
