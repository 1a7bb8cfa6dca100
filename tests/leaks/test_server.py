"""The server, where Quack can be had: its log, its streams, what clients are told, its files."""

from __future__ import annotations

import json
import signal

import duckdb
import pytest

from ..server.conftest import attach
from .conftest import PLANTED, T

TOKEN = "a-server-token-of-more-than-128-bits-Qx7"


@pytest.mark.parametrize("fault", [None, {"kind": "status", "status": 500}, {"kind": "drop_after"}])
def test_what_a_server_leaves_behind(at_home, served, sim, fault):
    machine = at_home
    token = machine.file("server-token", TOKEN)
    machine.planted.add(TOKEN)
    logs = ["--log-file", str(machine.log), "-v", "--audit-log", str(machine.home / "audit.jsonl")]
    server = served("--allow-writes", "--server-token-file", str(token), *logs)
    machine.listed(server.process)
    lines = server.pasted()
    machine.show("the lines to paste", "\n".join(lines))
    assert TOKEN not in "\n".join(lines)
    setup = [line.replace(f"the token in {token}", TOKEN) for line in lines]
    server.pasted = lambda: setup  # what the person makes of them
    con = attach(server)
    if fault is not None:
        sim.faults(times=None, method="POST", **fault)
    answers = [
        "FROM vercel.query('FROM run(''SHOW SERVICES IN vercel'')')",
        f"FROM vercel.query('FROM run(''INSERT INTO {T} (name) SELECT ''''s'''' "
        "RETURNING bearerToken'', request_id := ''1'')')",
        "FROM vercel.query('FROM authentication.create_auth_token(''f'', request_id := ''2'')')",
        f"FROM vercel.query('FROM run(''EXEC {T}.verify_token @token = ''''{PLANTED}'''''', "
        "request_id := ''3'')')",
        "FROM vercel.query('SELECT error(''no'') FROM authentication.user_tokens')",
        f"FROM vercel.query('ATTACH ''{PLANTED}''')",
    ]
    for statement in answers:
        try:
            con.execute(statement).fetchall()
        except duckdb.Error as error:
            machine.show("what a client is told", _without_own_words(str(error)))
    con.close()
    server.end(signal.SIGTERM)
    assert server.ended() == 0
    machine.kept.add(server.secrets)
    machine.show_folder(server.folder)
    assert b"GET" in machine.log.read_bytes()
    machine.search()
    noted = [json.loads(line) for line in (machine.home / "audit.jsonl").read_text().splitlines()]
    assert {"INSERT", "function", "EXEC"} <= {line["statement"] for line in noted}
    if fault is None:
        made = [event.bearer for event in sim.history() if event.name in ("s", "f")]
        assert [bearer for bearer in made if bearer in server.secrets.read_text()] == made


def _without_own_words(text: str) -> str:
    """What the server said: a client's own DuckDB repeats the statement that it sent."""
    return text.replace(PLANTED, "") if "LINE " in text else text
