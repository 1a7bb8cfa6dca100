"""What a client may not do to other clients, and over the wire, on a server with every guard on."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from vercel_sql.server import run_function
from vercel_sql.server.server import ALL_GUARDS, Guards

TABLES = [
    "vercel.authentication.user_tokens",
    "vercel.audit.user_tokens",
    "vercel.user.user",
    "vercel.teams.teams",
]


def query(con: duckdb.DuckDBPyConnection, text: str) -> list[Any]:
    quoted = text.replace("'", "''")
    return con.execute(f"FROM quack_query_by_name('vercel', '{quoted}')").fetchall()


def run(con: duckdb.DuckDBPyConnection, text: str, request_id: str = "") -> list[Any]:
    quoted = text.replace("'", "''")
    return query(con, f"FROM run('{quoted}', request_id := '{request_id}')")


def is_alive(server: Any, attached_to: Any) -> bool:
    return query(attached_to(server), "SELECT 42") == [(42,)]


@pytest.mark.parametrize(
    "create",
    [
        lambda con: query(
            con, "SELECT bearerToken FROM authentication.create_auth_token('n', request_id := 'x')"
        ),
        lambda con: run(
            con,
            "INSERT INTO vercel.authentication.user_tokens (name) VALUES ('n') "
            "RETURNING bearerToken",
            "x",
        ),
        lambda con: run(
            con, "EXEC vercel.authentication.user_tokens.create_auth_token @name = 'n'", "x"
        ),
    ],
    ids=["function", "INSERT", "EXEC"],
)
def test_a_secret_is_given_to_the_session_that_made_it_and_to_no_other(
    serve: Any, attached_to: Any, sent: Any, create: Callable[[Any], list[Any]]
) -> None:
    server = serve(writes=True)
    first, second = attached_to(server), attached_to(server)
    ((answer,),) = create(first)
    secret = re.findall(r"vc[a-z]*_\w{20,}", answer)[0]
    assert create(first) == [(answer,)]
    with pytest.raises(duckdb.Error, match="used in another session") as refused:
        create(second)
    assert secret not in str(refused.value)
    assert len(sent("POST")) == 1


def test_a_server_with_writes_keeps_its_files_to_itself(
    serve: Any, attached_to: Any, tmp_path: Any
) -> None:
    file = tmp_path / "a.csv"
    file.write_text("a\nmarker\n")
    con = attached_to(serve(writes=True))
    for text in (
        f"FROM '{file}'",
        f"COPY (SELECT 1) TO '{tmp_path}/out'",
        f"FROM read_text('{tmp_path}/secrets.jsonl')",
    ):
        with pytest.raises(duckdb.Error, match="Authorization failed"):
            query(con, text)
        with pytest.raises(duckdb.Error, match="this server does not run that"):
            run(con, text, "x")
    with pytest.raises(duckdb.Error, match="this server does not run that"):
        run(
            con,
            "INSERT INTO vercel.authentication.user_tokens (name) "
            f"SELECT content FROM read_text('{file}')",
            "y",
        )
    with pytest.raises(duckdb.Error, match="this server does not run that"):
        run(
            con,
            "INSERT INTO vercel.authentication.user_tokens (name) VALUES ('a') "
            f"RETURNING bearerToken, (SELECT content FROM read_text('{file}'))",
            "z",
        )
    assert not (tmp_path / "out").exists()


def test_no_answer_has_the_vercel_token_or_the_servers(
    serve: Any, attached_to: Any, sim: Any
) -> None:
    server = serve()
    con = attached_to(server)
    texts = [f"SELECT to_json(t)::VARCHAR FROM {table} AS t" for table in TABLES]
    texts += [f"SELECT f::VARCHAR FROM duckdb_{kind}() AS f" for kind in ("functions", "views")]
    answers = [row for text in texts for row in query(con, text)]
    answers += run(con, "EXPLAIN SELECT * FROM vercel.authentication.user_tokens")
    assert len(answers) > 100
    for secret in (sim.token, server.token):
        assert secret not in str(answers)


def test_a_wrong_token_opens_nothing(serve: Any, sent: Any, attached_to: Any) -> None:
    server = serve()
    con = attached_to(server)
    for token in ("wrong", server.token[:-1], server.token + "x"):
        with pytest.raises(duckdb.Error, match=r"Authentication failed|authentication token"):
            con.execute(f"ATTACH '{server.uri}' AS other (TOKEN '{token}')")
            con.execute("FROM other.authentication.user_tokens").fetchall()
    assert sent() == []


OPEN = Guards(client=False, judge=False, lock=False)


@pytest.mark.parametrize("guards", [ALL_GUARDS, Guards(judge=False), Guards(lock=False), OPEN])
def test_a_variable_of_the_servers_is_a_table_only_where_no_guard_is_left(
    serve: Any, attached_to: Any, monkeypatch: pytest.MonkeyPatch, guards: Guards
) -> None:
    table = pa.table({"m": ["marker"]})
    monkeypatch.setattr(run_function, "a_variable", table, raising=False)
    con = attached_to(serve(guards=guards))
    for name in ("python_enable_replacements", "python_scan_all_frames"):
        with suppress(duckdb.Error):
            query(con, f"SET GLOBAL {name} = true")
    answer = ""
    with suppress(duckdb.Error):
        answer = str(run(con, "FROM a_variable"))
    assert ("marker" in answer) == (guards == OPEN)


GARBAGE = [
    b"",
    b"\0",
    b"\0" * 10_000,
    b"\xff" * 10_000,
    b"GET / HTTP/1.1\r\n\r\n" * 50,
    b"SELECT 1; CALL quack_stop('quack:localhost');",
    b"\x01\x00" * 2_000 + b"\xff\xff",
]


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_on_the_port_leaves_the_server_serving(
    reading: Any, attached_to: Any, body: bytes
) -> None:
    port = int(reading.uri.rpartition(":")[2])
    for method, path in (("POST", "/quack"), ("POST", "/"), ("PUT", "/quack"), ("GET", "/quack")):
        http = HTTPConnection("localhost", port, timeout=30)
        http.request(method, path, body)
        http.getresponse().read()
        http.close()
    with socket.create_connection(("localhost", port), timeout=30) as raw:
        raw.sendall(body or b"\r\n")
    assert is_alive(reading, attached_to)


@contextmanager
def recording(port: int) -> Iterator[tuple[int, list[bytes]]]:
    """A port in front of another, and what clients sent through it."""
    seen: list[bytes] = []

    def pump(source: socket.socket, target: socket.socket, keep: list[bytes] | None) -> None:
        try:
            while data := source.recv(65536):
                if keep is not None:
                    keep.append(data)
                target.sendall(data)
        except OSError:
            pass
        finally:
            target.close()

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            upstream = socket.create_connection(("localhost", port), timeout=30)
            for args in ((client, upstream, seen), (upstream, client, None)):
                threading.Thread(target=pump, args=args, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1], seen
        listener.shutdown(socket.SHUT_RDWR)


def replayed(port: int, request: bytes) -> bytes:
    """What the server answers to the bytes of a request."""
    head, _, body = request.partition(b"\r\n\r\n")
    path = head.split(b" ")[1].decode()
    kind = re.search(rb"(?i)content-type: *([^\r]+)", head)
    headers = {"Content-Type": kind[1].decode()} if kind else {}
    http = HTTPConnection("localhost", port, timeout=30)
    http.request("POST", path, body, headers)
    try:
        return http.getresponse().read()
    finally:
        http.close()


def test_a_session_is_known_by_a_number_that_nobody_guesses_and_ends_with_its_client(
    serve: Any, attached_to: Any
) -> None:
    server = serve()
    port = int(server.uri.rpartition(":")[2])
    con = attached_to(server)
    with recording(port) as (front, seen):
        con.execute(f"ATTACH 'quack:localhost:{front}' AS other (TOKEN '{server.token}')")
        con.execute("FROM quack_query_by_name('other', 'SELECT 4711')").fetchall()
        wire = b"".join(seen)
        requests = [b"POST " + each for each in wire.split(b"POST ")[1:]]
        (asked,) = [each for each in requests if b"SELECT 4711" in each]
        (session,) = set(re.findall(rb"[0-9A-F]{32}", asked))
        assert b"Invalid connection id" not in replayed(port, asked)
        guessed = asked.replace(session, bytes(reversed(session)))
        assert b"Invalid connection id" in replayed(port, guessed)
        con.execute("DETACH other")
        assert b"Invalid connection id" in replayed(port, asked)
    assert is_alive(server, attached_to)


def test_run_does_not_run_itself(reading: Any, attached_to: Any) -> None:
    text = "SELECT 1"
    for depth in range(1_000):
        text = f"FROM run($q{depth}${text}$q{depth}$)"
    with pytest.raises(duckdb.Error, match="this server does not run that"):
        query(attached_to(reading), text)
    assert is_alive(reading, attached_to)


def test_explain_masks_no_more_than_strings(serve: Any, attached_to: Any, tmp_path: Any) -> None:
    # The secret's literal also stands across the ends of a name and a string. Were it replaced
    # there, the string would become statements, which nobody has judged.
    out = tmp_path / "out"
    text = (
        "EXPLAIN FROM (FROM vercel.oauth.introspection WHERE token = '\" || ') AS i, "
        "(SELECT 'a' AS \"a'\", 'b' AS \"a'[secret]'\") "
        f"SELECT \"a'\" || '\" ; COPY (SELECT 1) TO $a${out}$a$ ; --', i.*"
    )
    rows = run(attached_to(serve(guards=Guards(lock=False))), text)
    assert "[secret]" in str(rows)
    assert not out.exists()


@pytest.mark.parametrize(
    "text",
    [
        "EXPLAIN /* ANALYZE */ SELECT 1",
        "EXPLAIN -- \n SELECT 1",
        "EXPLAIN ANALYZE SELECT 1",
        "EXPLAIN (ANALYZE) SELECT 1",
        "EXPLAIN (FORMAT json) SELECT 1",
        "EXPLAIN EXPLAIN SELECT 1",
        "EXPLAIN COPY (SELECT 1) TO 'a.csv'",
    ],
)
def test_explain_is_judged_by_what_it_explains(reading: Any, attached_to: Any, text: str) -> None:
    with pytest.raises(duckdb.Error, match="this server does not run that"):
        run(attached_to(reading), text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT " + "(" * 40_000,
        "SELECT " + "(" * 20_000 + "1" + ")" * 20_000,
        "SELECT * FROM " + "(FROM " * 10_000 + "x" + ")" * 10_000,
        "SELECT " + "NOT " * 24_000 + "true",
        "SELECT 1" + " UNION ALL SELECT 1" * 5_000,
        "SELECT '{}'::JSON" + "->'a'" * 5_000,
        "SELECT a" + ".a" * 45_000,
        "/*" * 40_000,
        "SELECT '" + "x" * 10_000_000 + "'",
    ],
    ids=lambda text: text[:24],
)
def test_what_is_long_or_deep_leaves_the_server_serving(
    reading: Any, attached_to: Any, text: str
) -> None:
    con = attached_to(reading)
    for door in (query, run):
        with suppress(duckdb.Error):
            door(con, text)
    assert is_alive(reading, attached_to)
