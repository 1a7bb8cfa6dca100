"""What one row by its id costs over a bare httpx GET of the same address.

Run by hand: ``python tests/benchmarks/point_get.py``. The simulated API runs in a process of its
own; the floor and the query take turns.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import duckdb
import httpx
from listing import serve

import vercel_sql

ROUNDS = 400


def main() -> None:
    """Prints the medians in milliseconds, and their difference and ratio."""
    server, url, token = serve(1_000)
    con = duckdb.connect()
    vercel_sql.attach(con, token, api_url=url)
    try:
        query = "SELECT id FROM vercel.authentication.user_tokens LIMIT 1"
        ((key,),) = con.sql(query).fetchall()
        with httpx.Client(headers={"Authorization": f"Bearer {token}"}) as client:
            row = "SELECT * FROM vercel.authentication.user_tokens WHERE id = ?"
            acts: dict[str, Callable[[], object]] = {
                "bare GET": lambda: client.get(f"{url}/v5/user/tokens/{key}").content,
                "query": lambda: con.execute(row, [key]).fetchall(),
            }
            times: dict[str, list[float]] = {name: [] for name in acts}
            for _ in range(ROUNDS):
                for name, act in acts.items():
                    started = time.perf_counter()
                    act()
                    times[name].append((time.perf_counter() - started) * 1000)
        bare, asked = (statistics.median(times[name]) for name in acts)
        print(f"bare GET {bare:.2f} ms, query {asked:.2f} ms: {asked - bare:.2f} ms more, ", end="")
        print(f"ratio {asked / bare:.2f} (median of {ROUNDS})")
    finally:
        vercel_sql.detach(con)
        con.close()
        server.communicate("", timeout=30)


if __name__ == "__main__":
    main()
