"""Commands that wait say on a terminal for what, and end with Ctrl-C.

| wait | limit | what is said |
| --- | --- | --- |
| an API that is silent | ``--request-timeout`` a request | after 2 s, which |
| statements on standard input, a named pipe | none: whoever writes them ends it | after 2 s |
| another process that has a history open (`history/test_failures.py`) | 60 s | after 2 s, which |
"""

from __future__ import annotations

import os

import pexpect
import pytest

from .conftest import COMMAND, PATIENCE, environment


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
    child.expect_exact("vercel-sql: interrupted")
    child.expect(pexpect.EOF)
    child.close()
    assert "Traceback" not in child.before
    assert child.exitstatus == 130


def test_an_api_that_is_silent(sim, terminal):
    sim.faults(kind="hang", times=None)
    child = terminal("whoami", VERCEL_TOKEN=sim.token, VERCEL_API_URL=sim.url)
    child.expect_exact(f"Waiting for {sim.url} …")
    interrupted(child)


def test_statements_that_nobody_writes(terminal):
    child = terminal("-f", "-")
    child.expect_exact("Waiting for statements on standard input …")
    interrupted(child)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_that_nobody_writes_to(terminal, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for arguments in (["-f", str(pipe)], ["-c", "SELECT $x", "--param", f"x=@{pipe}"]):
        child = terminal(*arguments)
        child.expect_exact(f"Waiting for {pipe} …")
        interrupted(child)
