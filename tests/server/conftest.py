"""Servers of simulated accounts, and DuckDB clients that attach them.

They run where Quack can be had without a network: with DuckDB 1.5.5, from the PyPI packages. What
needs no Quack, such as the judge, is tested on every version.
"""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb
import pytest

from vercel_sql.api import Client, SecretsFile, given_credential
from vercel_sql.manifest import vercel
from vercel_sql.server import ALL_GUARDS, Guards, Server
from vercel_sql.simulator import Simulator

SERVER_TOKEN = "a-token-for-tests-of-more-than-128-bits"


def extension_files() -> list[Path]:
    """The extension files of the PyPI packages, httpfs before quack; empty where they are not."""
    found = []
    for name in ("httpfs", "quack"):
        spec = importlib.util.find_spec(f"duckdb_extension_{name}")
        if spec is None or not spec.submodule_search_locations:
            return []
        folder = Path(spec.submodule_search_locations[0])
        found += folder.glob(f"extensions/v{duckdb.__version__}/{name}.duckdb_extension")
    return found if len(found) == 2 else []


def stock_shell() -> str | None:
    """The stock DuckDB shell of the PyPI package, where it is installed."""
    return shutil.which("duckdb", path=str(Path(sys.executable).parent))


@pytest.fixture
def quack_files() -> list[Path]:
    """The extension files; the test is skipped where they are not."""
    files = extension_files()
    if not files:
        pytest.skip("Quack is on PyPI for DuckDB 1.5.5 only; 2.0 would download it")
    return files


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def loading() -> str:
    """The statements that load Quack into a client."""
    return " ".join(f"LOAD '{file}';" for file in extension_files())


def attach(server: Server) -> duckdb.DuckDBPyConnection:
    """A DuckDB client of this process, with the server attached as ``vercel``."""
    con = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    _, secret, attachment = server.pasted()
    for statement in (loading(), secret, attachment):
        con.execute(statement)
    return con


@pytest.fixture
def serve(
    sim: Simulator, tmp_path: Path, quack_files: list[Path]
) -> Iterator[Callable[..., Server]]:
    """Starts servers of the small account: ``serve(writes=True)``, ``serve(guards=Guards(…))``."""
    with ExitStack() as stack:

        def start(
            account: Simulator | None = None,
            *,
            writes: bool = False,
            guards: Guards = ALL_GUARDS,
            **options: Any,
        ) -> Server:
            account = account or sim
            can_write = writes or not guards.client
            urls = {"api": account.url, "oauth": account.url}
            client = Client(
                vercel().provider,
                given_credential(account.token),
                urls=urls,
                read_only=not can_write,
                **options,
            )
            secrets = SecretsFile(tmp_path / "secrets.jsonl") if can_write else None
            server = Server(
                client,
                port=free_port(),
                token=SERVER_TOKEN,
                writes=writes,
                secrets_file=secrets,
                extensions=quack_files,
                guards=guards,
            )
            return stack.enter_context(server)

        yield start


@pytest.fixture
def attached_to() -> Iterator[Callable[[Server], duckdb.DuckDBPyConnection]]:
    """Attaches DuckDB clients to servers: ``attached_to(serve())``."""
    with ExitStack() as stack:

        def make(server: Server) -> duckdb.DuckDBPyConnection:
            con = attach(server)
            stack.callback(con.close)
            return con

        yield make


@pytest.fixture
def shell(quack_files: list[Path]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the stock shell on a script, attached to a server: ``shell(server, sql, "-json")``."""
    program = stock_shell()
    if program is None:
        pytest.skip("the stock shell is installed for DuckDB 1.5.5 only")

    def run(
        server: Server, script: str, *options: str, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        _, secret, attachment = server.pasted()
        # What is loaded gives rows of its own, which no test wants to see.
        quiet = f".output /dev/null\n{loading()}\n{secret}\n{attachment}\n.output\n"
        return subprocess.run(
            [program, "-unsigned", "-no-init", *options],
            input=quiet + script,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
