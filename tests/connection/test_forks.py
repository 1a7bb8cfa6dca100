"""A process that was forked off works by itself: its statements, its signals and its files."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ..cli.conftest import PATIENCE, environment
from ..stuck import stuck_in

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are POSIX")

# The parent has used its connection, and a result of it is not read to its end.
_FORK = """
import os, signal, sys, threading, time
import vercel_sql

url, token = os.environ["VERCEL_API_URL"], os.environ["VERCEL_TOKEN"]
con = vercel_sql.connect(token, api_url=url, oauth_url=url)
con.execute("SELECT id FROM vercel.user.user").fetchall()
con.execute("SELECT 1").fetchone()
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
signal.alarm(60)  # whatever goes wrong, it ends
"""
READS = f"""{_FORK}
with vercel_sql.connect(token, api_url=url) as own:
    print(own.execute("SELECT count(*) FROM vercel.user.user").fetchall(), flush=True)
os._exit(0)
"""
IS_INTERRUPTED = f"""{_FORK}
own = vercel_sql.connect(token, api_url=url, oauth_url=url)
threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    own.execute(sys.argv[1]).fetchall()
except KeyboardInterrupt:
    print("interrupted", flush=True)
os._exit(0)
"""
WRITES_FILES = f"""{_FORK}
paths = [os.path.join(sys.argv[1], str(each)) for each in range(32)]
files = [os.open(path, os.O_CREAT | os.O_RDWR) for path in paths]
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)
except KeyboardInterrupt:
    print(sum(os.fstat(each).st_size for each in files), flush=True)
os._exit(0)
"""


def forked(script, api, argument=""):
    env = environment(VERCEL_TOKEN=api.token, VERCEL_API_URL=api.url)
    command = [sys.executable, "-c", script, argument]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE)
    return ended.returncode, ended.stdout


def test_its_own_connection_works(simulate):
    assert forked(READS, simulate(3)) == (0, "[(1,)]\n")


def test_ctrl_c_ends_its_statement():
    with stuck_in("an answer") as stuck:
        assert forked(IS_INTERRUPTED, stuck, stuck.sql) == (0, "interrupted\n")


def test_a_signal_is_written_into_no_file_of_its_own(simulate, tmp_path):
    assert forked(WRITES_FILES, simulate(3), str(tmp_path)) == (0, "0\n")
