"""How long a listing of 20,000 tokens takes, as a ratio to a loop that only fetches and parses.

Run by hand: ``python tests/benchmarks/listing.py``. The simulated API runs in a process of its
own. Each variant runs in a fresh process; times are the best of several rounds, taken in turn with
the floor's, with connections open already. Memory is the peak of a process that lists once, 2,000
tokens and 20,000.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import httpx

TOKENS = 20_000
PAGES = 200
MANIFEST_COLUMNS = "id, name, activeAt, createdAt, expiresAt, origin, scopes, type"


@contextmanager
def floor(url: str, token: str) -> Iterator[Callable[[], int]]:
    """Bare httpx and orjson: fetch each page and parse it, nothing else."""
    import orjson

    def act() -> int:
        rows = 0
        until: str | int | None = None
        while True:
            suffix = f"&until={until}" if until is not None else ""
            answer = client.get(f"{url}/v6/user/tokens?limit=100{suffix}")
            body = orjson.loads(answer.content)
            rows += len(body["tokens"])
            until = body["pagination"]["next"]
            if until is None:
                return rows

    with httpx.Client(headers={"Authorization": f"Bearer {token}"}) as client:
        yield act


def with_connection(
    act: Callable[..., int],
) -> Callable[[str, str], AbstractContextManager[Callable[[], int]]]:
    """A variant that runs on a DuckDB connection with the tables attached."""

    @contextmanager
    def prepared(url: str, token: str) -> Iterator[Callable[[], int]]:
        import duckdb

        import vercel_sql

        con = duckdb.connect()
        vercel_sql.attach(con, token, api_url=url)
        try:
            yield lambda: act(con)
        finally:
            vercel_sql.detach(con)
            con.close()

    return prepared


def count(con: object) -> int:
    """``count(*)``."""
    query = "SELECT count(*) FROM vercel.authentication.user_tokens"
    return con.sql(query).fetchall()[0][0]  # type: ignore[attr-defined]


def streamed(con: object) -> int:
    """All manifest columns as a stream of Arrow batches."""
    query = f"SELECT {MANIFEST_COLUMNS} FROM vercel.authentication.user_tokens"
    return sum(len(batch) for batch in con.sql(query).to_arrow_reader())  # type: ignore[attr-defined]


def collected(con: object) -> int:
    """``SELECT *``, collected into one Arrow table."""
    query = "SELECT * FROM vercel.authentication.user_tokens"
    return con.sql(query).to_arrow_table().num_rows  # type: ignore[attr-defined]


VARIANTS: dict[str, Callable[[str, str], AbstractContextManager[Callable[[], int]]]] = {
    "floor": floor,
    "count(*)": with_connection(count),
    "columns streamed": with_connection(streamed),
    "SELECT * collected": with_connection(collected),
}


def measure(name: str, url: str, token: str, rounds: int) -> None:
    """Runs the floor and a variant in turn, and prints times in seconds and memory in MiB."""
    times: dict[str, list[float]] = {"floor": [], "variant": []}
    with floor(url, token) as bare, VARIANTS[name](url, token) as act:
        bare()
        act()  # warms connections, caches and the server
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(rounds):
            for label, measured in (("floor", bare), ("variant", act)):
                started = time.perf_counter()
                rows = measured()
                times[label].append(time.perf_counter() - started)
                assert rows >= TOKENS, rows
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = {
        "floor": min(times["floor"]),
        "variant": min(times["variant"]),
        "median_ratio": statistics.median(
            v / f for v, f in zip(times["variant"], times["floor"], strict=True)
        ),
        "peak": after / 1024,
        "growth": (after - before) / 1024,
    }
    print(json.dumps(result))


def serve(tokens: int) -> tuple[subprocess.Popen[str], str, str]:
    """Starts the simulated API, with exactly ``tokens`` tokens in pages of exactly 100."""
    code = (
        "import sys, threading\n"
        "from vercel_sql.simulator import Simulator\n"
        f"with Simulator({tokens - 1}, seed=7, until_inclusive=False) as s:\n"
        "    print(s.url, s.token, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    url, token = process.stdout.readline().split()
    return process, url, token


def peak(name: str, tokens: int) -> float:
    """The peak memory in MiB of a process that lists once."""
    server, url, token = serve(tokens)
    try:
        command = [sys.executable, __file__, "--once", name, url, token]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
        return float(done.stdout)
    finally:
        server.communicate("", timeout=30)


def main() -> None:
    """Measures every variant and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--one", nargs=3, metavar=("VARIANT", "URL", "TOKEN"))
    parser.add_argument("--once", nargs=3, metavar=("VARIANT", "URL", "TOKEN"))
    arguments = parser.parse_args()
    if arguments.one:
        measure(*arguments.one, rounds=arguments.rounds)
        return
    if arguments.once:
        name, url, token = arguments.once
        with VARIANTS[name](url, token) as act:
            act()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    server, url, token = serve(TOKENS)
    print(f"{TOKENS} tokens over {PAGES} pages; best of {arguments.rounds} rounds\n")
    print("variant               floor s   variant s   ratio   median ratio   peak MiB 2k / 20k")
    try:
        for name in list(VARIANTS)[1:]:
            command = [sys.executable, __file__, "--rounds", str(arguments.rounds), "--one"]
            done = subprocess.run(
                [*command, name, url, token], check=True, capture_output=True, text=True
            )
            found = json.loads(done.stdout)
            ratio = found["variant"] / found["floor"]
            memory = f"{peak(name, 2_000):.0f} / {peak(name, TOKENS):.0f}"
            print(
                f"{name:<20} {found['floor']:8.3f} {found['variant']:11.3f} {ratio:7.2f} "
                f"{found['median_ratio']:14.2f}   {memory}"
            )
    finally:
        server.communicate("", timeout=30)


if __name__ == "__main__":
    main()
