"""Ctrl-C ends a statement of a plain script at once, whatever it is waiting for."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from ..cli.conftest import PATIENCE, environment
from ..stuck import LONG, PROMPT, SITUATIONS, TABLE, Stuck, stuck_in

_CONNECT = """
import os, signal, sys
import vercel_sql

url = os.environ["VERCEL_API_URL"]
con = vercel_sql.connect(os.environ["VERCEL_TOKEN"], api_url=url, oauth_url=url)
"""
ONE = f"""{_CONNECT}
print("begins", flush=True)
try:
    con.execute(sys.argv[1]).fetchall()
    print("ended by itself")
except KeyboardInterrupt:
    print("interrupted")
print(con.execute("SELECT 42").fetchall())
"""
LOOP = f"""{_CONNECT}
print("begins", flush=True)
while True:
    con.execute(sys.argv[1]).fetchall()
"""
ITS_OWN = f"""{_CONNECT}
signal.signal(signal.SIGINT, lambda *_: print("its own", flush=True))
print("begins", flush=True)
print(con.execute(sys.argv[1]).fetchall())
"""

AFTER_AN_EVENT_LOOP = f"""{_CONNECT}
import asyncio

async def handle_a_signal():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print, "ends")

con.execute("SELECT 1").fetchone()  # not read to its end
asyncio.run(handle_a_signal())
print("begins", flush=True)
try:
    con.execute(sys.argv[1]).fetchall()
except KeyboardInterrupt:
    print("interrupted")
"""
ASKS = f"""{_CONNECT}
def asked(plan):
    print("begins", flush=True)
    return sys.stdin.readline() == "yes"

con.approve = asked
try:
    con.execute("INSERT INTO vercel.authentication.user_tokens (name) VALUES ('a')")
except KeyboardInterrupt:
    print("interrupted")
print(con.execute("SELECT 42").fetchall())
"""


def ended(script, stuck, moment):
    """Sends Ctrl-C to a script; gives its code, both its streams and the seconds it took."""
    env = environment(VERCEL_TOKEN=stuck.token, VERCEL_API_URL=stuck.url)
    command = [sys.executable, "-c", script, stuck.sql]
    streams = dict.fromkeys(["stdin", "stdout", "stderr"], subprocess.PIPE)
    with subprocess.Popen(command, env=env, **streams, text=True) as process:
        try:
            assert process.stdout.readline() == "begins\n"
            moment()
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=PATIENCE)
            return process.returncode, out, err, time.monotonic() - began
        finally:
            process.kill()


@pytest.mark.parametrize("name", SITUATIONS)
def test_it_ends_at_once_and_the_connection_is_fine(name):
    with stuck_in(name) as stuck:
        code, out, err, took = ended(ONE, stuck, stuck.wait)
    assert (code, out, err) == (0, "interrupted\n[(42,)]\n", "")
    assert took < PROMPT


@pytest.mark.parametrize("wait", [0, 0.05, 0.1, 0.2, 0.3])
def test_a_loop_of_short_statements_ends(wait):
    with stuck_in("a pause before it is sent again") as stuck:
        stuck.free()
        code, out, err, took = ended(LOOP, stuck, lambda: time.sleep(wait))
    assert (code != 0, out) == (True, "")
    assert err.rstrip(": \n").endswith("KeyboardInterrupt")
    assert err.count("Traceback") == 1
    assert stuck.token not in err
    assert took < PROMPT


def test_a_script_that_handles_it_by_itself_goes_on(simulate):
    with stuck_in("an answer") as stuck:
        stuck.sql = f"SELECT count(*) FROM {TABLE}, range(30000000)"
        code, out, err, took = ended(ITS_OWN, stuck, lambda: time.sleep(0.1))
    assert (code, err) == (0, "")
    assert out.startswith("its own\n")
    assert out.endswith("[(30030000000,)]\n")
    assert took < LONG


def test_it_ends_a_statement_after_an_event_loop_had_the_signals():
    with stuck_in("an answer") as stuck:
        code, out, err, took = ended(AFTER_AN_EVENT_LOOP, stuck, stuck.wait)
    assert (code, out, err) == (0, "interrupted\n", "")
    assert took < PROMPT


def test_it_answers_the_question_that_approve_asks(simulate):
    sim = simulate(3)
    stuck = Stuck(sim.url, sim.token, "")
    code, out, err, took = ended(ASKS, stuck, lambda: time.sleep(0.2))
    assert (code, out, err) == (0, "interrupted\n[(42,)]\n", "")
    assert took < PROMPT
    assert sim.requests() == []
