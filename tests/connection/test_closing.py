"""A server that closes each connection 30 ms after its answer, without a word: nothing is lost."""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

T = "vercel.authentication.user_tokens"


@pytest.fixture
def closing(sim):
    """The address of a proxy before the account, and how many connections it has closed."""
    upstream = (urlsplit(sim.url).hostname, urlsplit(sim.url).port)
    listener, closed, threads = socket.create_server(("127.0.0.1", 0)), [], []

    def carry(client):
        with client, socket.create_connection(upstream) as server, suppress(OSError):
            end = None
            while end is None or time.monotonic() < end:
                for one in select.select([client, server], [], [], 0.005)[0]:
                    piece = one.recv(1 << 16)
                    if not piece:
                        return
                    (server if one is client else client).sendall(piece)
                    if one is server:
                        end = time.monotonic() + 0.03
            closed.append(client)

    def serve():
        with suppress(OSError):
            while True:
                thread = threading.Thread(target=carry, args=(listener.accept()[0],), daemon=True)
                threads.append(thread)
                thread.start()

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", closed
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for each in (thread, *threads):
        each.join(10)


def test_forty_rows_and_a_listing(sim, connect, closing):
    url, _ = closing
    con = connect(api_url=url, attempts=5)
    made = con.execute(
        f"INSERT INTO {T} (name) SELECT 'n' || i FROM range(40) r(i) RETURNING bearerToken"
    ).fetchall()
    assert len({secret for (secret,) in made}) == 40
    for _ in range(3):
        ((count,),) = con.execute(f"SELECT count(*) FROM {T} WHERE name LIKE 'n%'").fetchall()
        assert count >= 40
        time.sleep(0.04)
    assert len(sim.requests()) >= 43
