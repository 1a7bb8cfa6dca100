"""`vercel-sql simulate` and `vercel-sql demo`, as a newcomer starts them."""

import os
import re
import select
import signal
import time

import pytest

from vercel_sql.cli.demo import STEPS

from .conftest import PATIENCE, environment, started

TABLE = "vercel.authentication.user_tokens"


def four_lines(process):
    """The four lines, as they are flushed."""
    text, deadline = b"", time.monotonic() + PATIENCE
    while text.count(b"\n") < 4:
        left = max(0, deadline - time.monotonic())
        assert select.select([process.stdout], [], [], left)[0], text
        chunk = os.read(process.stdout.fileno(), 4096)
        assert chunk, text
        text += chunk
    return text.decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_simulate_serves_another_process(command, number):
    options = ["--port", "0", "--tokens", "42", "--seed", "3", "--rate-limit", "100/1"]
    with started(["simulate", *options], environment()) as process:
        text = four_lines(process)
        found = re.fullmatch(
            r"VERCEL_API_URL=(http://127\.0\.0\.1:\d+)\nVERCEL_TOKEN=(vcp_\w+)\n"
            r"VERCEL_OAUTH_URL=\1\nVERCEL_MARKETPLACE_URL=\1/marketplace\n",
            text,
        )
        assert found, text
        env = dict(line.split("=", 1) for line in text.splitlines())
        ended = command("-o", "csv", "-c", f"SELECT count(*) AS n FROM {TABLE}", env=env)
        assert (ended.code, ended.out, ended.err) == (0, "n\n43\n", "")
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, b"", b"")


def test_the_demo_needs_nothing_and_heeds_nothing(command, sim):
    ended = command("demo", sim=sim, env={"COLUMNS": "80"})
    assert (ended.code, ended.err) == (0, "")
    assert sim.requests() == []
    for number, step in enumerate(STEPS, start=1):
        assert f"\n{number}. {step.text}\n" in ended.out
        assert step.sql.splitlines()[0] in ended.out
    for word in ("EXPLAIN", "EXEC", "INSERT", "DELETE", "vercel-sql simulate"):
        assert word in ended.out
    assert "Traceback" not in ended.out
    assert "refused: " in ended.out
    assert len(re.findall(r"\bvcp_\w{56}\b", ended.out)) == 1
    tables = [line for line in ended.out.splitlines() if line[:1] in "┌│├└"]
    assert max(map(len, tables)) <= 120


def test_the_demo_without_a_reader(command):
    reader, writer = os.pipe()
    os.close(reader)
    ended = command("demo", stdout=writer)
    os.close(writer)
    assert (ended.code, ended.err) == (1, "")


def test_help_of_each_command(here):
    for name in ("demo", "simulate"):
        ended = here(name, "--help")
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.startswith(f"usage: vercel-sql {name} [-h]")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        ["-h"],
        ["--nonsense"],
        ["shell", "-h"],
        ["serve", "-h"],
        ["demo", "-h"],
    ],
)
def test_help_waits_for_no_library(command, arguments):
    ended = command(*arguments, env={"PYTHONPROFILEIMPORTTIME": "1"}, forked=False)
    imported = {line.rpartition("|")[2].strip() for line in ended.err.splitlines()}
    assert "vercel_sql.cli.commands" in imported
    assert not imported & {"duckdb", "httpx", "msgspec", "numpy", "pyarrow", "sqlglot", "h11"}
