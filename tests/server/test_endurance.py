"""The server goes on: clients are killed, come and go many times, and ask for a lot."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ..scale import scaled

TOKENS = "vercel.authentication.user_tokens"
COUNT = f"FROM vercel.query('SELECT count(*) FROM {TOKENS}')"
CLIENT = """
import sys, duckdb
con = duckdb.connect(config={"allow_unsigned_extensions": "true"})
for statement in sys.argv[1:]:
    con.execute(statement).fetchall()
"""
# The long form finds a leak of some 25 KB a round, and not the noise of malloc and a busy machine.
WARM_UP, ROUNDS = scaled(60, 300), scaled(120, 1_000)
# Allocators give back what they like: only many rounds tell that from a leak.
TOLERANCE_MIB = scaled(48, 20)


@pytest.fixture
def client(quack_files: list[Path]) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a DuckDB client in a process of its own: ``client(server, statement)``."""
    with ExitStack() as stack:

        def start(server: Any, statement: str) -> subprocess.Popen[bytes]:
            loads = [f"LOAD '{file}'" for file in quack_files]
            command = [sys.executable, "-c", CLIENT, *loads, *server.pasted()[1:], statement]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
            stack.callback(process.wait, 60)
            stack.callback(process.kill)
            return process

        yield start


# Clients are killed


def test_a_client_that_is_killed_in_a_listing_leaves_the_server_serving(
    served: Any, client: Any, attached_to: Any, simulate: Any, until: Any
) -> None:
    account = simulate(1_000, latency_ms=100)
    server = served(account=account)
    for _ in range(3):
        account.clear_requests()
        listing = client(server, f"SELECT * FROM {TOKENS}")
        until(lambda: len(account.requests()) >= 3, "the listing is under way")
        listing.kill()
        assert listing.wait(60) == -9
        assert attached_to(server).execute(COUNT).fetchall() == [(1_001,)]
    assert server.process.poll() is None
    assert server.said().count("\n") == 1
    server.end(15)
    assert server.ended() == 0


@pytest.mark.parametrize(
    "create",
    [
        "FROM authentication.create_auth_token(name := ''lost'', request_id := ''1'')",
        f"FROM run(''INSERT INTO {TOKENS} (name) VALUES (''''lost'''')'', request_id := ''1'')",
    ],
)
def test_the_secret_is_kept_of_a_client_that_is_killed_in_a_create(
    served: Any, client: Any, attached_to: Any, sim: Any, sent: Any, until: Any, create: str
) -> None:
    sim.faults(kind="latency", method="POST", ms=2_000)
    server = served("--allow-writes")
    creating = client(server, f"FROM vercel.query('{create}')")
    until(lambda: sent("POST"), "the create is under way")
    creating.kill()
    creating.wait(60)
    until(server.secrets.read_text, "the secret is kept")
    (line,) = map(json.loads, server.secrets.read_text().splitlines())
    assert sim.state.find_bearer(line["bearerToken"]).get("name") == "lost"
    assert attached_to(server).execute(COUNT).fetchall() == [(32,)]
    assert len(sent("POST")) == 1


# Clients come and go


@dataclass
class Process:
    """A server's process.

    Attributes:
        pid: its number.
        attachment: the statements that attach it.
    """

    pid: int
    attachment: list[str]

    def mebibytes(self) -> float:
        """How much memory is resident."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def threads(self) -> int:
        """How many threads it has."""
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))


@pytest.fixture
def bare(quack_files: list[Path], tmp_path: Path) -> Iterator[Process]:
    """A bare Quack server with a plain view."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = "a-token-for-tests-of-more-than-128-bits"
    script = Path(__file__).with_name("bare_server.py")
    command = [sys.executable, str(script), str(tmp_path), str(port), token]
    process = subprocess.Popen(
        [*command, *map(str, quack_files)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"Serving\n"
        yield Process(
            process.pid,
            [
                f"CREATE SECRET (TYPE quack, TOKEN '{token}')",
                f"ATTACH 'quack:localhost:{port}' AS vercel",
            ],
        )
    finally:
        process.kill()
        process.communicate(timeout=60)


def go_round(server: Process, files: list[Path], rounds: int, queries: list[str]) -> None:
    """So many rounds of connecting, asking and disconnecting, in four threads."""
    failures: list[BaseException] = []

    def loop() -> None:
        try:
            config = {"allow_unsigned_extensions": "true", "threads": 1}
            with duckdb.connect(config=config) as con:
                for file in files:
                    con.execute(f"LOAD '{file}'")
                secret, attachment = server.attachment
                con.execute(secret)
                for _ in range(rounds // 4):
                    con.execute(attachment)
                    for query in queries:
                        assert len(con.execute(query).fetchall()) == 31
                    con.execute("DETACH vercel")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=loop, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


@pytest.mark.timeout(900)
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="memory is read from /proc")
def test_after_many_rounds_it_has_grown_no_more_than_a_bare_server(
    served: Any, bare: Process, quack_files: list[Path]
) -> None:
    command = served()
    ours = Process(command.database(), command.pasted()[1:])
    select = f"SELECT id, name, createdAt FROM {TOKENS}"
    plain = [select, f"FROM vercel.query('{select}')"]
    queries = {"bare": plain, "ours": [*plain, f"FROM vercel.query('FROM run(''{select}'')')"]}
    servers = {"bare": bare, "ours": ours}
    for name, server in servers.items():
        go_round(server, quack_files, WARM_UP, queries[name])
    before = {name: (each.mebibytes(), each.threads()) for name, each in servers.items()}
    for name, server in servers.items():
        go_round(server, quack_files, ROUNDS, queries[name])
    after = {name: (each.mebibytes(), each.threads()) for name, each in servers.items()}
    for name in servers:
        (memory, threads), (later, more) = before[name], after[name]
        print(f"\n{name}: {memory:.0f} -> {later:.0f} MiB, {threads} -> {more} threads", end="")
    growth = {name: after[name][0] - before[name][0] for name in servers}
    assert growth["ours"] <= growth["bare"] + TOLERANCE_MIB, growth
    assert after["ours"][1] <= before["ours"][1] + 2
    command.end(15)
    assert command.ended() == 0, command.said()


# Clients ask for a lot


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="memory is read from /proc")
def test_a_statement_with_20000_rows_is_answered_whole(
    served: Any, attached_to: Any, simulate: Any
) -> None:
    account = simulate(20_000)
    server = served(account=account)
    process = Process(server.database(), [])
    con = attached_to(server)
    assert con.execute(COUNT).fetchall() == [(20_001,)]
    before = process.mebibytes()
    query = f"SELECT row ->> '$.id' FROM run('SELECT * FROM {TOKENS}')".replace("'", "''")
    rows = con.execute(f"FROM vercel.query('{query}')").fetchall()
    growth = process.mebibytes() - before
    print(f"\n20,001 rows: {growth:.0f} MiB more", end="")
    assert growth < 600  # the rows are 13 MiB of JSON, and there are several copies
    assert {id_ for (id_,) in rows} == {token.id for token in account.state.tokens()}


def test_statements_within_statements_do_not_wait_for_each_other(
    served: Any, attached_to: Any, asking: Any, simulate: Any
) -> None:
    account = simulate(250, latency_ms=100)
    server = served(account=account)
    statement = "SELECT count(*) AS n FROM vercel.audit.user_tokens"
    query = f"FROM vercel.query('FROM run(''{statement}'')')"
    # More than there are cores, and all of them before any connection to the API was made.
    asked = [asking(attached_to(server), query) for _ in range(16)]
    assert [each.answered() for each in asked] == [[('{"n":251}',)]] * 16
