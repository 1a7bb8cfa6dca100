"""How long ``vercel-sql serve`` takes to its first answer, as a ratio to a bare ``quack_serve``.

Run by hand, with DuckDB 1.5.5, whose extension files are on PyPI: ``python
tests/benchmarks/serve_startup.py``. Each is a whole process, from its start until a client that
stands ready has attached it and read a count; both take turns. Ours counts the tokens of an account
that is simulated in a process of its own, the bare one the rows of a view.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from listing import serve

ROUNDS = 15
TOKEN = "a-token-for-measuring-of-more-than-128-bits"
BARE = Path(__file__).parent.parent / "server" / "bare_server.py"
COMMAND = "from vercel_sql.cli.main import entry_point; entry_point()"
QUERY = "FROM vercel.query('SELECT count(*) FROM vercel.authentication.user_tokens')"


def extension_files() -> list[str]:
    """The extension files of the PyPI packages."""
    files = []
    for name in ("httpfs", "quack"):
        spec = importlib.util.find_spec(f"duckdb_extension_{name}")
        if spec is None or not spec.submodule_search_locations:
            sys.exit("the packages duckdb-extension-httpfs and duckdb-extension-quack are missing")
        folder = Path(spec.submodule_search_locations[0])
        files += folder.glob(f"extensions/v{duckdb.__version__}/{name}.duckdb_extension")
    return list(map(str, files))


@contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has said that it serves, and that ends with the context."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | environment,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline()
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def until_answered(command: list[str], port: int, environment: dict[str, str]) -> float:
    """Milliseconds from the start of a process to the first answer that a client has from it."""
    with duckdb.connect(config={"allow_unsigned_extensions": "true"}) as con:
        for file in extension_files():
            con.execute(f"LOAD '{file}'")
        con.execute(f"CREATE SECRET (TYPE quack, TOKEN '{TOKEN}')")
        started = time.perf_counter()
        with running(command, environment):
            while True:
                try:
                    con.execute(f"ATTACH 'quack:localhost:{port}' AS vercel")
                except duckdb.IOException:
                    time.sleep(0.002)  # it said so a moment before it listens
                else:
                    break
            con.execute(QUERY).fetchall()
            return (time.perf_counter() - started) * 1000


def main() -> None:
    """Prints the medians in milliseconds and their ratio."""
    files = extension_files()
    with tempfile.TemporaryDirectory() as folder:
        token_file = Path(folder) / "token"
        token_file.touch(mode=0o600)
        token_file.write_text(TOKEN)
        server, url, token = serve(31)
        environment = {"VERCEL_TOKEN": token, "VERCEL_API_URL": url, "VERCEL_OAUTH_URL": url}
        times: dict[str, list[float]] = {"bare": [], "serve": []}
        try:
            for number in range(ROUNDS + 1):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", 0))
                    port = probe.getsockname()[1]
                own = Path(folder) / str(number)
                own.mkdir()
                bare = [sys.executable, str(BARE), str(own), str(port), TOKEN, *files]
                ours = [sys.executable, "-c", COMMAND, "serve", "--port", str(port)]
                ours += ["--server-token-file", str(token_file)]
                for file in files:
                    ours += ["--extension", file]
                times["bare"].append(until_answered(bare, port, {}))
                times["serve"].append(until_answered(ours, port, environment))
        finally:
            server.communicate("", timeout=30)
    # The first round warms the disk's caches.
    floor, asked = (statistics.median(each[1:]) for each in times.values())
    print(f"bare quack_serve {floor:.0f} ms, vercel-sql serve {asked:.0f} ms: ", end="")
    print(f"ratio {asked / floor:.2f} (median of {ROUNDS})")


if __name__ == "__main__":
    main()
