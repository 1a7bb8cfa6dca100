"""What stands in front of Quack refuses what Quack can't be told to refuse."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import Any

import duckdb
import pytest

from vercel_sql.server import message
from vercel_sql.server.bounds import MEBIBYTE, resident

from .conftest import SCALE, Asking, attach, loading

SELECT = "FROM vercel.query('SELECT 42')"
TOKENS = "vercel.authentication.user_tokens"
ENDLESS = "SELECT sum(a.range * b.range) FROM range(10000000) AS a, range(10000000) AS b"
CONNECT = (
    b"\x01\x00\x01\x03\x00\x06\xff\xff\x01\x00\x0awrongwrong\x02\x00\x06v1.5.5"
    b"\x03\x00\x0blinux_amd64\x04\x00\x01\x05\x00\x01\xff\xff"
)
PATIENCE = 60.0
"""Seconds; what is measured is printed, and a busy machine fails no test."""


def head(server: Any, length: int, **headers: str) -> bytes:
    given = {
        "Host": f"localhost:{server.port}",
        "Content-Type": "application/octet-stream",
        "Content-Length": str(length),
        **headers,
    }
    lines = [f"{name}: {value}" for name, value in given.items()]
    return "\r\n".join(["POST /quack HTTP/1.1", *lines, "", ""]).encode()


def answered(server: Any, *parts: bytes) -> bytes:
    """What the server answers to some bytes, until it closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as raw:
        for part in parts:
            raw.sendall(part)
        found = b""
        while data := raw.recv(65536):
            found += data
    return found


def client(server: Any, text: str) -> subprocess.Popen[bytes]:
    """A client in a process of its own that sends one statement."""
    code = (
        "import duckdb, sys\ncon = duckdb.connect(config={'allow_unsigned_extensions': 'true'})\n"
        "for each in sys.argv[1:]: con.execute(each)"
    )
    statements = [loading(), *server.pasted()[1:], f"FROM vercel.query('{text}')"]
    return subprocess.Popen([sys.executable, "-c", code, *statements], stderr=subprocess.DEVNULL)


class Clock:
    """A client that asks all the time, and how long its longest answer took."""

    def __init__(self, server: Any) -> None:
        self.con = attach(server)
        self.server = server
        self.longest = 0.0

    def ask(self) -> None:
        began = time.monotonic()
        asked = Asking(self.con, SELECT)
        assert asked.answered() == [(42,)], (asked.error, self.server.said())
        self.longest = max(self.longest, time.monotonic() - began)


@pytest.fixture(scope="module")
def messages() -> dict[str, bytes]:
    session = b"0123456789ABCDEF" * 2
    return {
        name: b"\x01\x00" + bytes([kind]) + b"\x02\x00\x20" + session + b"\x03\x00\x07\xff\xff"
        for name, kind in (("query", 3), ("append", 9), ("nothing", 0), ("answer", 4))
    }


# What is not a request of a client of ours


HEADS: list[tuple[dict[str, str], bytes]] = [
    ({"Host": "rebound.example:80"}, b"403"),
    ({"Host": "localhost"}, b"403"),
    ({"Origin": "https://rebound.example"}, b"403"),
    ({"Origin": "null"}, b"403"),
    ({"Content-Length": "629145600"}, b"413"),
    ({"Content-Length": "-1"}, b"400"),
    ({"Content-Length": "9" * 5000}, b"413"),
    ({"Transfer-Encoding": "chunked"}, b"400"),
    ({"host": "rebound.example"}, b"400"),
    ({"X": "y" * 10_000}, b""),
]


def test_a_request_that_is_not_ours_is_refused_by_its_head(front: Any) -> None:
    for headers, status in HEADS:
        found = answered(front, head(front, len(CONNECT), **headers))
        assert found.partition(b" ")[2][:3] == status, headers
        assert b"Access-Control" not in found
    for line in (b"GET /quack HTTP/1.1", b"POST / HTTP/1.1", b"OPTIONS * HTTP/1.1"):
        request = head(front, 0).replace(b"POST /quack HTTP/1.1", line)
        assert answered(front, request).startswith(b"HTTP/1.1 404")


def test_a_message_that_no_client_needs_is_refused(front: Any, messages: dict[str, bytes]) -> None:
    for name in ("append", "nothing", "answer"):
        body = messages[name] + b"\x64\x00" * 200_000
        found = answered(front, head(front, len(body)), body[:1000])
        assert found.startswith(b"HTTP/1.1 400"), name


def test_a_body_is_read_only_for_who_knows_the_token(
    front: Any, messages: dict[str, bytes]
) -> None:
    # The rest of the body is never sent, and the answer comes all the same.
    found = answered(front, head(front, 500_000), messages["query"])
    assert b"Invalid connection id" in found
    assert b"Authentication failed" in answered(front, head(front, len(CONNECT)), CONNECT)
    assert answered(front, head(front, 500_000), CONNECT).startswith(b"HTTP/1.1 413")


def test_a_connect_is_passed_on_with_another_token() -> None:
    assert message.token_of(CONNECT) == b"wrongwrong"
    for token in (b"x", b"y" * 127, b"z" * 300):
        changed = message.with_token(CONNECT, token)
        assert message.token_of(changed) == token
        assert message.with_token(changed, b"wrongwrong") == CONNECT
    for length in range(len(CONNECT)):
        assert message.token_of(CONNECT[:length]) in (None, b"wrongwrong")


# Who keeps others waiting


def test_half_sent_requests_delay_nobody_and_end(front: Any) -> None:
    clock, most = Clock(front), 400 * SCALE
    before = resident(front.process.pid) / MEBIBYTE
    with ExitStack() as stack:
        halves = []
        for number in range(most):
            raw = socket.create_connection(("127.0.0.1", front.port), timeout=PATIENCE)
            stack.callback(raw.close)
            raw.sendall(head(front, len(CONNECT))[: 10 + number % 40])
            halves.append(raw)
            if number % 20 == 0:
                clock.ask()
        clock.ask()
        assert halves[0].recv(1) == b""  # it made room for others
        assert halves[-1].recv(1) == b""  # its time was over
    growth = resident(front.process.pid) / MEBIBYTE - before
    print(f"\n{most} half-sent requests: SELECT 42 took {clock.longest:.2f} s at most", end="")
    assert growth < 100


def test_a_client_that_is_gone_runs_nothing(front: Any) -> None:
    clock, busy = Clock(front), front.cpu
    start, end = busy(), time.monotonic() + PATIENCE
    with client(front, ENDLESS) as leaving:
        while busy() < start + 1:
            assert time.monotonic() < end
            time.sleep(0.05)
        leaving.kill()
    # It ends: then half a second costs next to nothing.
    while True:
        before = busy()
        time.sleep(0.5)
        if busy() - before < 0.1:
            break
        assert time.monotonic() < end
    clock.ask()


# DuckDB looks for an interruption between the parts of a statement that it computes: these have few
# parts, or grow to more than anybody waits for before the first of them.
UNINTERRUPTIBLE = [
    "SELECT count(*) FROM " + "(SELECT *, * FROM " * 24 + "(SELECT 1 AS a)" + ")" * 24,
    "SELECT length(x::VARCHAR) FROM "
    + "(SELECT struct_pack(a := x, b := x) AS x FROM " * 24
    + "(SELECT 1 AS x)"
    + ")" * 24,
    "WITH c0 AS (SELECT 1 AS a), "
    + ", ".join(
        f"c{n + 1} AS NOT MATERIALIZED (SELECT x.a FROM c{n} AS x, c{n} AS y)" for n in range(18)
    )
    + " SELECT count(*) FROM c18",
    "SELECT instr(repeat(''a'', 20000000), repeat(''a'', 10000000) || ''b'')",
    "SELECT repeat(''a'', 2000000) LIKE ''%'' || repeat(''a_'', 200000) || ''b%''",
    "SELECT length(list_intersect(range(20000000), range(20000000)))",
    "SELECT length(list_distinct(range(20000000)))",
    "SELECT length(list_sort(range(30000000))::VARCHAR)",
    "SELECT length(generate_series(1, 100000000)::VARCHAR)",
    "SELECT jaro_winkler_similarity(repeat(''ab'', 400000), repeat(''ba'', 400000))",
    "SELECT length(replace(repeat(''a'', 30000000), ''a'', repeat(''b'', 30)))",
    "SELECT error(repeat(''ab c='', 10000000))",
    "FROM run(''SELECT instr(repeat(a, 20000000), repeat(a, 10000000) || b)'')",
]
HUNGRY = [
    ENDLESS,
    "SELECT list(range) FROM range(1000000000)",
    "SELECT length(repeat(''x'', 2000000000))",
    "FROM range(3000000)",
    "SELECT * FROM range(100000000) ORDER BY hash(range)",
    "FROM run(''FROM range(3000000)'')",
    "FROM run(repeat(''SELECT 1,'', 10000000))",
    "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r) SELECT count(*) FROM r",
    "SELECT json_pretty(repeat(''['', 20000) || repeat('']'', 20000))",
    "SELECT " + "(" * 20_000 + "1" + ")" * 20_000,
    "SELECT " + "1," * 40_000 + "1",
    "SELECT json_structure(repeat(''['', 300000) || ''1'' || repeat('']'', 300000))",
]


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("kind", ["interruptible", "uninterruptible"])
def test_statements_that_want_everything_leave_room_for_others(served: Any, kind: str) -> None:
    texts = HUNGRY if kind == "interruptible" else UNINTERRUPTIBLE
    memory = 1_024
    server = served("--statement-timeout", "1", "--memory-limit", str(memory))
    clock, most, asked = Clock(server), 0.0, []
    for number in range(10 * SCALE):
        text = texts[number % len(texts)]
        asked.append(Asking(attach(server), f"FROM vercel.query('{text}')"))
        clock.ask()
        most = max(most, server.memory())
    for each in asked:
        each.answered()
        clock.ask()
        most = max(most, server.memory())
    print(
        f"\n{len(asked)} {kind} statements: SELECT 42 took {clock.longest:.2f} s at most,", end=""
    )
    print(f" memory {most:.0f} of {memory} MiB", end="")
    assert most <= memory
    assert clock.longest < PATIENCE
    assert server.process.poll() is None
    server.end(signal.SIGTERM)
    server.ended()
    assert "Traceback" not in server.said()
    assert server.temporary() == []


@pytest.mark.timeout(1_200)
def test_what_cant_be_interrupted_ends_when_its_client_is_gone(served: Any, until: Any) -> None:
    server = served()
    clock, texts = Clock(server), UNINTERRUPTIBLE[:: 1 if SCALE > 1 else 4]
    for text in texts:
        start = server.cpu()
        with client(server, text) as leaving:
            until(lambda n=start: server.cpu() > n + 1 or leaving.poll() is not None, "it runs")
            leaving.kill()
        left = at_rest = time.monotonic()
        while time.monotonic() < at_rest + 1.5:
            before, processes = server.cpu(), server.databases()
            clock.ask()
            time.sleep(0.2)
            if server.cpu() > before + 0.1 or processes != server.databases():
                at_rest = time.monotonic()
            assert at_rest < left + PATIENCE, server.said()
        print(f"\nbusy for {at_rest - left:.1f} s after its client left: {text[:60]}", end="")
    print(f"\nSELECT 42 took {clock.longest:.2f} s at most", end="")


# The database process dies


def test_each_client_is_told_of_its_end_and_the_next_statement_works(
    served: Any, simulate: Any, until: Any
) -> None:
    account = simulate(500, latency_ms=1_000)
    server = served(account=account)
    clients = [attach(server) for _ in range(16)]
    asked = [Asking(con, f"FROM vercel.query('SELECT count(*) FROM {TOKENS}')") for con in clients]
    until(lambda: len(account.requests()) >= 2, "they are under way")
    account.faults(kind="latency", ms=0, times=None)
    os.kill(server.database(), signal.SIGKILL)
    for each in asked:
        assert "process ended while this statement ran" in each.failed()
    for con in clients:
        assert con.execute(SELECT).fetchall() == [(42,)]
    assert "is started again" in server.said()
    assert server.process.poll() is None
    server.end(signal.SIGTERM)
    assert server.ended() == 0
    assert server.temporary() == []


def test_a_write_whose_process_died_is_unknown_and_never_sent_again(
    served: Any, sim: Any, sent: Any, until: Any
) -> None:
    server = served("--allow-writes")
    con = attach(server)
    done = "FROM vercel.query('FROM authentication.create_auth_token(''a'', request_id := ''1'')')"
    lost = done.replace("''a''", "''b''").replace("''1''", "''2''")
    assert len(con.execute(done).fetchall()) == 1
    sim.faults(kind="latency", method="POST", ms=60_000)
    asked = Asking(con, lost)
    until(lambda: len(sent("POST")) == 2, "the create is under way")
    os.kill(server.database(), signal.SIGKILL)
    assert "the outcome is unknown" in asked.failed()
    sim.clear_faults()
    with pytest.raises(duckdb.Error, match=r"the outcome is unknown.*vercel-sql recover"):
        con.execute(lost)
    with pytest.raises(duckdb.Error, match="was carried out before"):
        con.execute(done)
    again = lost.replace("''2''", "''3''").replace("''b''", "''c''")
    assert len(con.execute(again).fetchall()) == 1
    assert len(sent("POST")) == 3
    saved = [json.loads(line) for line in server.secrets.read_text().splitlines()]
    assert [line["token"]["name"] for line in saved] == ["a", "c"]


def test_a_port_of_a_server_that_was_killed_is_free(served: Any) -> None:
    first = served()
    halves = [socket.create_connection(("127.0.0.1", first.port), timeout=60) for _ in range(3)]
    con = attach(first)
    assert con.execute(SELECT).fetchall() == [(42,)]
    first.process.kill()
    first.process.wait(60)
    second = served(port=first.port)
    assert attach(second).execute(SELECT).fetchall() == [(42,)]
    for each in halves:
        each.close()


def test_a_process_whose_socket_is_gone_is_replaced(served: Any, until: Any) -> None:
    server = served()
    con = attach(server)
    for path in (server.folder / "temporary").glob("*/quack"):
        path.unlink()
    # A short statement is asked again, of the process that takes its place.
    assert con.execute(SELECT).fetchall() == [(42,)]
    until(lambda: "its socket is gone" in server.said(), "it is replaced")
    assert con.execute(SELECT).fetchall() == [(42,)]


def test_a_request_id_that_is_too_long_ends_no_process(served: Any, sent: Any) -> None:
    server = served("--allow-writes")
    con, child = attach(server), server.database()
    create = "FROM vercel.query('FROM authentication.create_auth_token(''a'', request_id := {})')"
    with pytest.raises(duckdb.Error, match="at most 200 characters"):
        con.execute(create.format("repeat(''x'', 1200000)"))
    assert sent("POST") == []
    assert len(con.execute(create.format("repeat(''x'', 200)")).fetchall()) == 1
    assert server.database() == child


def test_a_stop_does_not_wait_for_a_process_that_is_to_be_started(served: Any, until: Any) -> None:
    server = served()
    for count in (1, 2, 3):  # each time it is started again later
        os.kill(server.database(), signal.SIGKILL)
        until(lambda n=count: server.said().count("is started again") >= n, "it is noticed")
    began = time.monotonic()
    server.end(signal.SIGTERM)
    assert server.ended() == 0
    print(f"\nit took {time.monotonic() - began:.1f} s to end", end="")
    assert server.temporary() == []


def test_the_folder_of_a_server_that_was_killed_is_removed(served: Any, until: Any) -> None:
    server = served()
    assert server.temporary() != []
    server.process.kill()
    server.process.wait(60)
    until(lambda: server.temporary() == [], "the database process clears it away")


# The lines to paste


def test_a_secret_is_given_to_its_own_server_alone(served: Any) -> None:
    first, second = served(), served()
    con = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    con.execute(loading())
    for server in (first, second, first):
        for line in server.pasted()[1:]:
            con.execute(line)
        assert con.execute(SELECT).fetchall() == [(42,)]
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(duckdb.Error, match="token"):
            con.execute(f"ATTACH 'quack:localhost:{port}' AS other")
