"""Commands that wait say on a terminal for what, and end with Ctrl-C.

| wait | limit | what is said |
| --- | --- | --- |
| an API that is silent | ``--request-timeout`` a request | after 2 s, which |
| a pause before a request is sent again | 120 s a request, ``--timeout`` | at once, how long |
| a rate limit that is spent | ``--max-wait``, ``--timeout`` | at once, until when |
| statements on standard input, a named pipe | none: whoever writes them ends it | after 2 s |
| a report or a token that is a pipe | the same | after 2 s, which |
| ``serve`` until DuckDB's process takes requests | DuckDB's, for a download | after 2 s, for what |
| ``serve`` until it has ended (`server/test_stopping.py`) | 60 s for writes | at once, for what |
| another process that has a history open (`history/test_failures.py`) | 60 s | after 2 s, which |
| a far history: to attach it, to write a run | 60 s, 600 s | after 2 s, which |
| what else DuckDB waits for, such as an ATTACH | none; Ctrl-C, in the shell two | after 2 s |
| another shell that has locked the shell's history | 2 s; then it is left out | nothing |
| the account's name in the shell's prompt | 0.3 s; then it comes later | nothing |
| another process that writes a line of the same file | 1 s | nothing |
| a journal's file in the middle of a line (`api/test_journal.py`) | 0.05 s | nothing |
| a file that Windows has in use (`windows/`) | 2 s | nothing |
| a question to the person | none: it is the person's | the question |
| a slow reader of a result (`test_outputs.py`) | none: it is the reader's | nothing |
| a login's keyring, lock, renewal, browser, poll (`login/test_waits.py`) | there | there |

In Python, `connection/test_ctrl_c.py` has them. The database of `connect()` is DuckDB's: a file
that another process has open is an error at once.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import duckdb
import pexpect
import pytest
from filelock import FileLock

from vercel_sql.simulator import Simulator

from ..server.conftest import extension_files, free_port
from .conftest import COMMAND, PATIENCE, environment, started

T = "vercel.authentication.user_tokens"
STALE = str(Path(__file__).parents[2] / "queries" / "stale.sql")
LIST = ("-c", f"SELECT name FROM {T}")
LOGIN = ("login", "--client-id", "cl_x")


@pytest.fixture
def terminal():
    """Starts the command on a terminal."""
    running = []

    def start(*arguments, **env):
        child = pexpect.spawn(
            COMMAND[0],
            [*COMMAND[1:], *arguments],
            env=environment(TERM="dumb", **env),
            dimensions=(40, 200),
            timeout=PATIENCE,
            encoding="utf-8",
        )
        running.append(child)
        return child

    yield start
    for child in running:
        child.close(force=True)


def interrupted(child):
    child.sendintr()
    child.expect("vercel-sql: .*interrupted")
    child.expect(pexpect.EOF)
    child.close()
    assert "Traceback" not in child.before
    assert child.exitstatus == 130, child.before


def said(child, text):
    """Waits until something is said; lines that are written over count, wherever they wrap."""
    child.expect(re.escape(text))


# What waits for an API that never answers, and how that is said.
SILENT = {
    "whoami": ("whoami",),
    "query": LIST,
    "create": ("-c", f"INSERT INTO {T} (name) SELECT 'x' RETURNING bearerToken"),
    "delete": ("-c", f"DELETE FROM {T} WHERE id = 'x'"),
    "call": ("-c", f"EXEC {T}.email_login @email = 'ada@example.com'"),
    "report": ("run", STALE),
    "page": ("run", STALE, "-o", "html"),
    "snapshot": ("snapshot", "--to", "{folder}/history.duckdb"),
    "login by email": ("login", "--email", "ada@example.com"),
    "login by device": (*LOGIN, "--device"),
}


def test_an_api_that_is_silent(sim, terminal, tmp_path):
    sim.faults(kind="hang", times=None)
    env = {"VERCEL_TOKEN": sim.token, "VERCEL_API_URL": sim.url, "VERCEL_OAUTH_URL": sim.url}
    env["VERCEL_SQL_STATE_DIR"] = str(tmp_path / "state")
    commands = [[each.format(folder=tmp_path) for each in given] for given in SILENT.values()]
    for child in [terminal(*command, **env) for command in commands]:
        child.expect(f"[Ww]aiting for {re.escape(sim.url)}")
        interrupted(child)
    # What was cut off is looked into, and that is waited for as well.
    child = terminal("recover", **env)
    said(child, f"Waiting for {sim.url} …")
    interrupted(child)


def test_an_api_that_is_silent_when_a_token_is_to_be_revoked(sim, terminal, tmp_path):
    env = {"VERCEL_TOKEN": sim.token, "VERCEL_API_URL": sim.url}
    env["VERCEL_SQL_STATE_DIR"] = str(tmp_path / "state")
    sim.faults(kind="hang", method="POST", acts=True)
    create = f"INSERT INTO {T} (name) SELECT 'x' RETURNING bearerToken"
    with started(["--mark-names", "-c", create], environment(sim, **env)) as process:
        for _ in range(PATIENCE * 100):
            if any(request.method == "POST" for request in sim.requests()):
                break
            time.sleep(0.01)
        process.kill()
    sim.faults(kind="hang", method="DELETE", times=None)
    child = terminal("recover", "--revoke", "--yes", **env)
    said(child, f"Waiting for {sim.url} …")
    interrupted(child)
    assert [request.method for request in sim.requests()][-1] == "DELETE"


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX's locks")
def test_another_process_that_does_not_end_its_line(sim, command, tmp_path):
    """It is not waited for long, and nothing is lost."""
    files = {"--save-secrets": tmp_path / "secrets", "--audit-log": tmp_path / "audit"}
    with ExitStack() as held:
        for path in files.values():
            fcntl.flock(held.enter_context(path.open("x")), fcntl.LOCK_EX)
            path.chmod(0o600)
        options = [str(part) for each in files.items() for part in each]
        create = f"INSERT INTO {T} (name) SELECT 'x' RETURNING bearerToken"
        ended = command(*options, "-c", create, sim=sim)
    assert ended.code == 0, ended.err
    for path in files.values():
        (line,) = path.read_text().splitlines()
        assert json.loads(line)


SENT_AGAIN = {
    429: "is waiting for the rate limit until",
    503: "status 503: sent again in 60",
}


@pytest.mark.parametrize("status", SENT_AGAIN)
def test_a_request_that_is_sent_again(sim, terminal, status):
    sim.faults(kind="status", times=None, status=status, headers={"Retry-After": "60"})
    env = {"VERCEL_TOKEN": sim.token, "VERCEL_API_URL": sim.url}
    child, plain = terminal(*LIST, **env), terminal("whoami", **env)
    said(child, SENT_AGAIN[status])
    interrupted(child)
    said(plain, f"Waiting for {sim.url} …")
    interrupted(plain)


def test_a_wait_that_nobody_would_want_is_an_error_at_once(sim, terminal):
    headers = {"Retry-After": "100000"}
    sim.faults(kind="status", status=503, headers=headers, times=None)
    child = terminal(*LIST, VERCEL_TOKEN=sim.token, VERCEL_API_URL=sim.url)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 1
    assert "503" in child.before


def test_a_rate_limit_that_is_spent(terminal):
    with Simulator(5, rate_limit="1/60") as sim:
        env = {"VERCEL_TOKEN": sim.token, "VERCEL_API_URL": sim.url}
        child = terminal("-c", f"SELECT count(*) FROM {T}; SELECT max(name) FROM {T}", **env)
        said(child, "is waiting for the rate limit until")
        interrupted(child)


def test_how_far_it_is_while_it_waits_for_a_rate_limit(terminal):
    with Simulator(60, limits="vercel") as sim:
        env = {"VERCEL_TOKEN": sim.token, "VERCEL_API_URL": sim.url}
        sql = f"DELETE FROM {T} WHERE id <> '{sim.state.calling_token.id}'"
        child = terminal("-o", "csv", "-c", sql, **env)
        said(child, "60 deletions, about 6 minutes: Vercel allows 50 every 5 minutes")
        said(child, "is waiting for the rate limit until")
        shown = r"delete_auth_token: 50 of 60 \|[^|]+\| (\d\d:\d\d) of about 6 minutes"
        child.expect(shown)
        before = child.match[1]
        child.expect(shown)
        assert child.match[1] > before, "its clock goes on"
        interrupted(child)


def test_a_server_that_is_not_there(terminal):
    with socket.socket() as taken:  # and nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        child = terminal(*LIST, VERCEL_TOKEN="t" * 24, VERCEL_API_URL=url)
        said(child, "no answer: sent again in")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 1


NAMED_PIPES = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
HTTPFS = pytest.mark.skipif(not extension_files(), reason="needs DuckDB's extension httpfs")


@pytest.fixture
def far(tmp_path):
    """A database that DuckDB waits for, and nothing stops it; None where it needs an extension."""
    # No pipe: DuckDB 2.0 may open it in a thread of its own, and wait for that after a Ctrl-C.
    files = extension_files()
    if not files:
        yield None
        return
    folder = tmp_path / f".duckdb/extensions/v{duckdb.__version__}/linux_amd64"
    folder.mkdir(parents=True)
    shutil.copy(files[0], folder)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield f"http://127.0.0.1:{silent.getsockname()[1]}/history.duckdb"


CHANGES = str(Path(__file__).parents[2] / "queries" / "changes.sql")
# The command, where it waits for less.
SHORT = """
import sys
from vercel_sql.cli import history
from vercel_sql.cli.main import entry_point
from vercel_sql.cli.reports import run
history._CHECK_SECONDS = run._ATTACH_SECONDS = 0.3
entry_point()
"""


@HTTPFS
def test_a_database_that_does_not_answer(sim, terminal, far, tmp_path):
    env = {"VERCEL_TOKEN": sim.token, "VERCEL_API_URL": sim.url, "HOME": str(tmp_path)}
    waits = {
        ("-c", f"ATTACH '{far}' AS other (READ_ONLY)"): "no answer yet",
        ("run", CHANGES, "--history", far): "Waiting for the database",
        ("snapshot", "--to", far): "Waiting for http:…",
    }
    for child, told in [(terminal(*command, **env), told) for command, told in waits.items()]:
        said(child, told)
        interrupted(child)
    assert not sim.requests()


@NAMED_PIPES
def test_a_history_that_does_not_answer_in_time(sim, far, tmp_path):
    env = environment(sim, HOME=str(tmp_path))
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    waits = {("run", CHANGES, "--history", pipe): 2}
    if far is not None:
        waits |= {("run", CHANGES, "--history", far): 2, ("snapshot", "--to", far): 1}
    for command, code in waits.items():
        ended = subprocess.run(
            [sys.executable, "-c", SHORT, *command],
            env=env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert (ended.returncode, ended.stdout) == (code, "")
        assert ended.stderr.endswith(": no response within 0 s\n"), ended.stderr
        assert ended.stderr.startswith("vercel-sql: ")
        assert ended.stderr.count("\n") == 1
    assert not sim.requests()


def shell(start, sim, **env):
    child = start("shell", VERCEL_TOKEN=sim.token, VERCEL_API_URL=sim.url, **env)
    child.expect("> ")
    return child


# DuckDB may meet the signal, and then wait for its own threads in its next statement.
@HTTPFS
def test_a_database_that_does_not_answer_in_the_shell(sim, terminal, far, tmp_path):
    child = shell(terminal, sim, HOME=str(tmp_path))
    child.sendline(f"ATTACH '{far}' AS other (READ_ONLY);")
    said(child, "no answer yet")
    child.sendintr()
    said(child, "DuckDB can't be stopped here; Ctrl-C again ends the session")
    interrupted(child)


def left(child):
    child.sendline(".quit")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0, child.before


@NAMED_PIPES
def test_the_shell(sim, terminal, tmp_path):
    sim.faults(kind="hang", times=None)
    os.mkfifo(tmp_path / "pipe")
    child = shell(terminal, sim)
    waits = {
        ".account": f"Waiting for {sim.url} …",
        f"SELECT name FROM {T};": f"waiting for {sim.url}",
        f".read {tmp_path}/pipe": f"Waiting for {tmp_path}/pipe …",
    }
    for entered, told in waits.items():
        child.sendline(entered)
        said(child, told)
        child.sendintr()
        said(child, "interrupted")
        child.expect("> ")
    left(child)


def test_another_shell_that_has_locked_the_history(sim, terminal, tmp_path):
    left(shell(terminal, sim, VERCEL_SQL_STATE_DIR=str(tmp_path)))
    with FileLock(tmp_path / "history.lock"):
        child = shell(terminal, sim, VERCEL_SQL_STATE_DIR=str(tmp_path))
        child.sendline("SELECT 6 * 7 AS answer;")
        said(child, "42")
        left(child)


@NAMED_PIPES
def test_a_server_that_does_not_come_to_serve(sim, terminal, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    holder = os.open(tmp_path / "pipe", os.O_RDWR)
    try:
        arguments = ["--port", str(free_port()), "--token-file", str(tmp_path / "pipe")]
        child = terminal("serve", *arguments, VERCEL_API_URL=sim.url)
        said(child, "Waiting for DuckDB's process and its extension quack …")
        interrupted(child)
    finally:
        os.close(holder)


def test_statements_that_nobody_writes(terminal):
    child = terminal("-f", "-")
    child.expect_exact("Waiting for statements on standard input …")
    interrupted(child)


@NAMED_PIPES
def test_a_named_pipe_that_nobody_writes_to(terminal, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    waits = [["-f", str(pipe)], ["-c", "SELECT $x", "--param", f"x=@{pipe}"], ["run", str(pipe)]]
    for child in [terminal(*arguments) for arguments in waits]:
        child.expect_exact(f"Waiting for {pipe} …")
        interrupted(child)


@NAMED_PIPES
def test_a_token_that_nobody_writes(terminal, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    holder = os.open(pipe, os.O_RDWR)
    try:
        commands = [("--token-file", str(pipe), *LIST), ("whoami", "--token-file", str(pipe))]
        for child in [terminal(*command) for command in commands]:
            said(child, f"waiting for whoever writes to {pipe}")
            interrupted(child)
    finally:
        os.close(holder)
