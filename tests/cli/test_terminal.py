"""What a person sees: tables that fit the terminal, whole secrets, and progress that goes away."""

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from contextlib import suppress

import pyarrow as pa
import pytest
import wcwidth

from vercel_sql.cli.output import Output

from .conftest import PATIENCE, environment, popen

CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
TABLE = "vercel.authentication.user_tokens"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PROGRESS = re.compile(r"\r[^\r\n┌]*(?:requests?|rows?) in [^\n┌]*\r *\r")


def on_a_terminal(arguments, width, sim=None, *, apart=False):
    """Runs the command on a terminal; gives the exit code, the screen's text, and what was piped.

    Args:
        arguments: the command's.
        width: the columns of the terminal.
        sim: the account.
        apart: whether only standard error is the terminal, and standard output a pipe.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    env = environment(sim, TERM="xterm")
    out = subprocess.PIPE if apart else slave
    with popen(arguments, env, stdin=slave, stdout=out, stderr=slave) as process:
        os.close(slave)
        try:
            screen = _read(master)
            piped = process.communicate(timeout=PATIENCE)[0]
        finally:
            process.kill()
            os.close(master)
    return process.returncode, screen.decode().replace("\r\n", "\n"), piped


def _read(master):
    text, deadline = b"", time.monotonic() + PATIENCE
    with suppress(OSError):  # what Linux says when the other end is closed
        while select.select([master], [], [], max(0, deadline - time.monotonic()))[0]:
            chunk = os.read(master, 65536)
            if not chunk:
                break
            text += chunk
    return text


@pytest.mark.parametrize("width", [30, 80, 200])
def test_tables_fit_and_secrets_stand_whole_on_a_line(sim, width):
    script = (
        f"SELECT * FROM {TABLE}; SELECT * FROM vercel.audit.user_tokens; "
        f"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range(3) r(i)"
    )
    code, screen, _ = on_a_terminal(["-c", script], width, sim)
    assert code == 0
    secrets = [t.bearer for t in sim.state.tokens() if t["name"] in ("n0", "n1", "n2")]
    assert len(secrets) == 3
    for secret in secrets:
        assert [line for line in screen.splitlines() if secret in line], screen
    for line in screen.splitlines():
        if line.startswith(("┌", "│", "├", "└")):
            assert wcwidth.wcswidth(line) <= width
    assert "\x1b" not in PROGRESS.sub("", screen)


def test_what_was_made_before_a_failure_is_readable(simulate):
    sim = simulate(0)
    sim.faults(kind="status", method="POST", status=403, after=2)
    sql = f"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range(3) r(i)"
    code, screen, _ = on_a_terminal(["-c", sql], 80, sim)
    assert code == 1
    for token in sim.state.tokens():
        if token.bearer != sim.token:
            assert screen.count(token.bearer) == 1
    # A table of 80 columns would cut the secrets, so each value has a line of its own.
    assert [line.strip() for line in screen.splitlines() if " name = " in line] == [
        "name = n0",
        "name = n1",
    ]


def test_names_can_not_steer_the_terminal(simulate):
    names = ["\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "a\rb", "\u202egnp", "c\x9b2Jd", "\x7f"]
    sim = simulate([{"name": name} for name in names])
    script = f'SELECT name FROM {TABLE}; SELECT name AS "\x1b[1m" FROM {TABLE} WHERE false; '
    script += "SELECT \x1b[5m"
    code, screen, _ = on_a_terminal(["-c", script], 80, sim)
    screen = PROGRESS.sub("", screen)  # of a busy machine
    assert code == 1
    assert r"\x1b[31mred" in screen
    assert not CONTROLS.findall(screen)


def test_data_can_not_steer_the_terminal_either(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    names = ["\x1b[31mred", "a\rb", "\u202egnp", "c\x9b2Jd\x7f", "\U000e0041", "é\u00a0ü"]
    table = pa.table({"name": names})
    for fmt in ("csv", "json", "ndjson", "markdown"):
        Output.in_format(fmt).write(table, frozenset())
        text = capsys.readouterr().out
        assert not CONTROLS.findall(text)
        assert "[31mred" in text
        if fmt == "json":
            assert [row["name"] for row in json.loads(text)] == names


def test_progress_only_where_it_takes_long(simulate):
    slow, quick = simulate(900, latency_ms=400), simulate(300)
    sql = f"SELECT count(*) AS n FROM {TABLE}"
    code, screen, _ = on_a_terminal(["-c", sql], 60, slow)
    assert code == 0
    assert "list_auth_tokens" in screen
    assert " pages, " in screen
    shown, table = screen.rsplit("\r", 1)
    assert "┌" not in shown  # the line is wiped before the table begins
    assert table.startswith("┌")
    assert not shown.rsplit("\r", 1)[1].strip()
    assert max(len(ESCAPES.sub("", line)) for line in shown.split("\r")) <= 60
    code, screen, _ = on_a_terminal(["-c", sql], 60, quick)
    assert code == 0
    assert screen.startswith("┌") or re.search(r", 00:0[2-9]", screen)  # on a busy machine
    code, screen, piped = on_a_terminal(["-o", "csv", "-c", sql], 60, slow, apart=True)
    assert (code, piped) == (0, b"n\n901\n")
    assert " pages, " in screen
    assert not screen.rsplit("\r", 1)[1]


def test_a_limit_that_is_waited_for_is_said(simulate):
    sim = simulate(150, rate_limit="1/4")
    code, screen, _ = on_a_terminal(["-c", f"SELECT count(*) FROM {TABLE}"], 100, sim)
    assert code == 0
    assert "waiting" in screen
    assert screen.rsplit("\r", 1)[1].startswith("┌")


def test_without_anything_to_run_and_no_terminal_to_answer_on_there_is_the_help(sim):
    code, screen, piped = on_a_terminal([], 80, sim, apart=True)
    assert (code, piped) == (2, b"")
    assert "usage: vercel-sql" in screen
    assert "vercel-sql demo" in screen
    assert sim.requests() == []


def test_the_demo_on_a_narrow_terminal(sim):
    code, screen, _ = on_a_terminal(["demo"], 80, sim)
    assert code == 0
    assert "Traceback" not in screen
    assert sim.requests() == []
    for line in screen.splitlines():
        if line.startswith(("┌", "│", "├", "└")):
            assert wcwidth.wcswidth(line) <= 80
    made = re.search(r"vcp_[A-Za-z0-9]{56}", screen)
    assert made, screen
