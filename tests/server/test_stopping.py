"""The server ends: what runs is finished or cancelled, and nothing is left behind."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from vercel_sql.auth import given_credential
from vercel_sql.errors import InterfaceError, OperationalError
from vercel_sql.http.client import Client
from vercel_sql.manifest import vercel
from vercel_sql.server.bounds import Settings

from .conftest import OwnServer, free_port

TOKENS = "vercel.authentication.user_tokens"
# It lists the tokens too, which tells when it runs.
ENDLESS = (
    "SELECT sum(a.range * b.range * length(t.id)) "
    f"FROM range(10000000) AS a, range(10000000) AS b, {TOKENS} AS t"
)
CREATE = {
    "function": "FROM vercel.query('FROM authentication.create_auth_token("
    "name := ''{name}'', request_id := ''{id}'')')",
    "statement": "FROM vercel.query('FROM run(''INSERT INTO vercel.authentication.user_tokens "
    "(name) VALUES (''''{name}'''')'', request_id := ''{id}'')')",
}


def query(text: str) -> str:
    quoted = text.replace("'", "''")
    return f"FROM vercel.query('{quoted}')"


def run(statement: str) -> str:
    quoted = statement.replace("'", "''")
    return query(f"FROM run('{quoted}')")


def assert_nothing_is_left(server: Any) -> None:
    assert not server.is_listening()
    assert server.temporary() == []
    assert "Traceback" not in server.said()


def saved_names(server: Any) -> list[str]:
    return [json.loads(line)["token"]["name"] for line in server.secrets.read_text().splitlines()]


# Nothing runs


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_while_clients_are_idle(
    served: Any, attached_to: Any, number: int
) -> None:
    server = served()
    clients = [attached_to(server) for _ in range(3)]
    for con in clients:
        assert con.execute(query(f"SELECT count(*) FROM {TOKENS}")).fetchall() == [(31,)]
    server.end(number)
    assert (server.ended(), server.said().count("\n")) == (0, 2), server.said()
    assert_nothing_is_left(server)


def test_a_client_that_stopped_reading_does_not_hold_it_up(served: Any, attached_to: Any) -> None:
    server = served()
    con = attached_to(server)
    assert con.execute(query("SELECT * FROM range(1000000)")).fetchone() == (0,)
    server.end(signal.SIGTERM)
    assert server.ended() == 0
    assert_nothing_is_left(server)


# Something is read


@pytest.mark.parametrize("form", [query, run])
def test_a_listing_is_cancelled_and_its_client_told(
    served: Any, attached_to: Any, asking: Any, simulate: Any, form: Any, until: Any
) -> None:
    account = simulate(2_000, latency_ms=300)
    server = served(account=account)
    asked = asking(attached_to(server), form(f"SELECT count(*) FROM {TOKENS}"))
    until(lambda: len(account.requests()) >= 2, "the listing is under way")
    server.end(signal.SIGTERM)
    assert "closed" in asked.failed() or "stopping" in asked.failed(), asked.failed()
    assert server.ended() == 0
    assert_nothing_is_left(server)
    assert len(account.requests()) < 20


def test_an_api_that_does_not_answer_does_not_hold_it_up(
    served: Any, attached_to: Any, asking: Any, sim: Any, until: Any
) -> None:
    sim.faults(kind="latency", ms=600_000, times=None)
    server = served("--request-timeout", "600")
    asked = asking(attached_to(server), query(f"SELECT count(*) FROM {TOKENS}"))
    until(sim.requests, "the listing is under way")
    server.end(signal.SIGTERM)
    assert server.ended() == 0
    assert "the server is stopping, and the statement was cut off" in asked.failed()
    assert "could not be cancelled" in server.said()
    assert_nothing_is_left(server)


def test_what_duckdb_computes_without_end_is_cancelled(
    served: Any, attached_to: Any, asking: Any, sim: Any, until: Any
) -> None:
    server = served()
    asked = asking(attached_to(server), query(ENDLESS))
    until(lambda: any(each.status for each in sim.requests()), "it has the tokens")
    server.end(signal.SIGTERM)
    assert server.ended() == 0
    assert "the server is stopping" in asked.failed()
    assert_nothing_is_left(server)


def test_what_run_computes_without_end_is_cancelled(
    served: Any, attached_to: Any, asking: Any, sim: Any, until: Any
) -> None:
    server = served()
    asked = asking(attached_to(server), run(ENDLESS))
    until(sim.requests, "the statement is under way")
    server.end(signal.SIGTERM)
    assert "closed" in asked.failed() or "stopping" in asked.failed(), asked.failed()
    assert server.ended() == 0
    assert "could not be cancelled" not in server.said()
    assert_nothing_is_left(server)


# Something is written


@pytest.mark.parametrize("form", CREATE)
def test_a_write_is_finished_saved_and_answered(
    served: Any, attached_to: Any, asking: Any, sim: Any, sent: Any, form: str, until: Any
) -> None:
    sim.faults(kind="latency", method="POST", ms=2_000)
    server = served("--allow-writes")
    asked = asking(attached_to(server), CREATE[form].format(name="last", id="1"))
    until(lambda: sent("POST"), "the write is under way")
    server.end(signal.SIGTERM)
    assert server.ended() == 0
    assert len(sent("POST")) == 1
    (line,) = map(json.loads, server.secrets.read_text().splitlines())
    assert sim.state.find_bearer(line["bearerToken"]).get("name") == "last"
    assert line["bearerToken"] in str(asked.answered()), asked.error
    assert_nothing_is_left(server)


@pytest.mark.parametrize("form", CREATE)
def test_a_write_that_comes_too_late_is_refused_and_not_sent(
    served: Any, attached_to: Any, asking: Any, sim: Any, sent: Any, form: str, until: Any
) -> None:
    sim.faults(kind="latency", method="POST", ms=5_000)
    server = served("--allow-writes")
    late = attached_to(server)
    first = asking(attached_to(server), CREATE[form].format(name="first", id="first"))
    until(lambda: sent("POST"), "the first write is under way")
    server.end(signal.SIGTERM)
    # It may still slip in between the word and the deed; then it is carried out in full.
    second = asking(late, CREATE[form].format(name="late", id="late"))
    made = bool(second.answered())
    assert made or "the server is stopping; nothing was sent" in second.failed()
    assert first.answered()
    assert server.ended() == 0
    assert len(sent("POST")) == 1 + made
    assert saved_names(server).count("first") == 1
    assert_nothing_is_left(server)


def test_a_second_signal_ends_it_at_once(
    served: Any, attached_to: Any, asking: Any, sim: Any, sent: Any, until: Any
) -> None:
    sim.faults(kind="latency", method="POST", ms=600_000)
    server = served("--allow-writes", "--request-timeout", "600")
    asked = asking(attached_to(server), CREATE["function"].format(name="slow", id="1"))
    until(lambda: sent("POST"), "the write is under way")
    server.end(signal.SIGINT)
    assert server.process.poll() is None
    server.process.send_signal(signal.SIGINT)
    assert server.ended() == 130
    assert "interrupted" in server.said()
    assert "the outcome is unknown" in asked.failed()
    assert_nothing_is_left(server)


# It does not even begin


def test_a_port_of_another_server_is_refused(served: Any) -> None:
    first = served()
    second = served(port=first.port, wait=False)
    assert second.ended() == 1
    assert second.said() == (
        f"vercel-sql: quack:localhost:{first.port} can't be served: the port is taken; "
        "choose another\n"
    )
    assert second.temporary() == []
    assert first.process.poll() is None
    assert first.is_listening()


def test_a_port_of_another_program_is_refused(served: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = served(port=taken.getsockname()[1], wait=False)
        assert server.ended() == 1
    assert "the port is taken" in server.said()


def test_a_server_that_can_not_begin_leaves_nothing_behind(
    sim: Any, quack_files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    client = Client(vercel().provider, given_credential(sim.token), urls={"api": sim.url})
    with pytest.raises(OperationalError, match="can't be loaded"):
        OwnServer(client, Settings(extensions=(*quack_files, tmp_path / "none")), free_port())
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InterfaceError, match="closed"):
        client.connections.prepare(client.urls["api"])


# In the process of its owner


def test_closing_twice_is_fine_and_so_is_the_same_port_again(
    serve: Any, attached_to: Any, quack_files: list[Path], sim: Any
) -> None:
    server = serve()
    port = int(server.uri.rpartition(":")[2])
    assert attached_to(server).execute(query("SELECT 1")).fetchall() == [(1,)]
    assert server.close()
    assert server.close()
    client = Client(vercel().provider, given_credential(sim.token), urls={"api": sim.url})
    with OwnServer(client, Settings(extensions=tuple(quack_files)), port) as again:
        assert attached_to(again).execute(query("SELECT 1")).fetchall() == [(1,)]
