"""A process that ends while a write that was given up still waits for its answer."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ..cli.conftest import PATIENCE, environment
from ..stuck import LONG, TABLE

_GIVES_UP = """
import os, sys, threading
import vercel_sql

con = vercel_sql.connect(os.environ["VERCEL_TOKEN"], api_url=os.environ["VERCEL_API_URL"])
threading.Thread(target=lambda: (sys.stdin.readline(), con.interrupt())).start()
try:
    con.execute(sys.argv[1])
except vercel_sql.Error as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize(
    ("sql", "method"),
    [
        (f"INSERT INTO {TABLE} (name) VALUES ('a')", "POST"),
        (f"DELETE FROM {TABLE} WHERE id = '{{id}}'", "DELETE"),
    ],
)
def test_it_says_nothing_of_its_own_and_the_outcome_stays_unknown(simulate, tmp_path, sql, method):
    sim = simulate(3)
    sim.faults(kind="hang", ms=LONG * 1000, method=method, acts=True)
    other = next(token for token in sim.state.tokens() if token is not sim.state.calling_token)
    env = environment(sim, VERCEL_SQL_STATE_DIR=str(tmp_path))
    command = [sys.executable, "-c", _GIVES_UP, sql.replace("{id}", other.id)]
    streams = dict.fromkeys(["stdin", "stdout", "stderr"], subprocess.PIPE)
    with subprocess.Popen(command, env=env, **streams, text=True) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while method not in [each.method for each in sim.requests()]:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            out, err = process.communicate("now\n", timeout=PATIENCE)
        finally:
            process.kill()
    assert (process.returncode, err) == (0, "")
    assert out in ("UnknownOutcomeError\n", "PartialWriteError\n")
    noted = [json.loads(line) for line in _journal(tmp_path)]
    assert noted[-1]["type"] in ("given up", "unknown") if method == "POST" else not noted


def _journal(state: Path) -> list[str]:
    folder = state / "journal"
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    lines = [line for each in files for line in each.read_text().splitlines()]
    return [line.partition(" ")[2] for line in lines]  # without their checksums
