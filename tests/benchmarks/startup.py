"""How much processor time the command takes from start to end, as ratios to bare imports.

Run by hand: ``python tests/benchmarks/startup.py``. All are whole processes that take turns, each
with pandas as it is installed and without it; the figures are medians of ten. The package is
compiled first, as an installed one is. The last lines are about a warm process: `connect`, one
SELECT and `close`, over a bare GET of the same page, and how much of that opening DuckDB takes.
"""

from __future__ import annotations

import compileall
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import duckdb
import httpx
from listing import serve

import vercel_sql

ROUNDS = 10
ABSENT = Path(__file__).parent.parent / "absent"
COMMAND = (
    "import sys; sys.argv[1:] = {}\nfrom vercel_sql.cli.main import entry_point\nentry_point()"
)
LISTING = "SELECT id, name FROM vercel.authentication.user_tokens"
ACTS = {
    "import duckdb": "import duckdb",
    "import duckdb, pyarrow, httpx": "import duckdb, pyarrow, httpx",
    "--version": COMMAND.format(["--version"]),
    "SELECT 1": COMMAND.format(["-c", "SELECT 1"]),
    "a listing": COMMAND.format(["-c", LISTING]),
}
TARGETS = (
    ("--version", "import duckdb", 0.6),
    ("SELECT 1", "import duckdb", 1.7),
    ("a listing", "import duckdb, pyarrow, httpx", 1.5),
)
MOST_MS = 25.0
"""Milliseconds that `connect`, a SELECT and `close` may take above the bare GET."""


def processor_ms(code: str, environment: dict[str, str]) -> float:
    """The processor time of a process that runs some code."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", code]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment, timeout=120)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1000


def whole_processes(environment: dict[str, str], heading: str) -> None:
    """Prints the ratios of whole processes."""
    times: dict[str, list[float]] = {name: [] for name in ACTS}
    for _ in range(ROUNDS + 1):
        for name, code in ACTS.items():
            times[name].append(processor_ms(code, environment))
    # The first round warms the disk's caches.
    medians = {name: statistics.median(each[1:]) for name, each in times.items()}
    print(heading)
    for name, floor, target in TARGETS:
        ratio = medians[name] / medians[floor]
        print(f"  {name}: {medians[name]:.0f} ms = {ratio:.2f} x {floor} (target {target})")


def warm(url: str, token: str) -> None:
    """Prints what a connection and its statement take in a process that has made some before."""

    def cycle() -> None:
        con = vercel_sql.connect(token, api_url=url)
        con.execute(LISTING).fetchall()
        con.close()

    with httpx.Client(headers={"Authorization": f"Bearer {token}"}) as client:
        acts: dict[str, Callable[[], object]] = {
            "bare GET": lambda: client.get(f"{url}/v6/user/tokens?limit=100").content,
            "cycle": cycle,
            "bare DuckDB": lambda: duckdb.connect().close(),
        }
        times: dict[str, list[float]] = {name: [] for name in acts}
        for _ in range(ROUNDS + 2):
            for name, act in acts.items():
                started = time.process_time()
                act()
                times[name].append((time.process_time() - started) * 1000)
    bare, ours, opening = (statistics.median(each[2:]) for each in times.values())
    print(
        f"warm: {ours - bare:.1f} ms of processor time above the bare GET (target {MOST_MS:.0f}),"
    )
    print(f"  of which {opening:.1f} ms are DuckDB's own, to open and close an empty database")


def main() -> None:
    """Prints everything."""
    compileall.compile_dir(Path(vercel_sql.__file__).parent, quiet=1)
    server, url, token = serve(50)
    environment = os.environ | {"VERCEL_TOKEN": token, "VERCEL_API_URL": url}
    try:
        if find_spec("pandas") is not None:
            whole_processes(environment, "with pandas:")
        paths = [str(ABSENT), *filter(None, [os.environ.get("PYTHONPATH")])]
        whole_processes(environment | {"PYTHONPATH": os.pathsep.join(paths)}, "without pandas:")
        warm(url, token)
    finally:
        server.communicate("", timeout=30)


if __name__ == "__main__":
    main()
