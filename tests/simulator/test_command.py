"""The command: four lines, then it serves until it is ended."""

import argparse
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest

from vercel_sql.simulator import RateLimit, add_arguments

from .served import served

SERVE = (
    "import argparse, sys; from vercel_sql.simulator import add_arguments, run; "
    "parser = argparse.ArgumentParser('simulate'); add_arguments(parser); "
    "sys.exit(run(parser.parse_args()))"
)


@contextmanager
def serving(*options):
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SERVE, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=10)


def read_lines(process, count):
    """Read lines as they come, within ten seconds."""
    text, deadline = b"", time.monotonic() + 10
    while text.count(b"\n") < count:
        ready, _, _ = select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"only {text!r} came"
        chunk = os.read(process.stdout.fileno(), 4096)
        assert chunk, f"it ended after {text!r}"
        text += chunk
    return text.decode()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_four_lines_then_it_serves_until_it_is_ended(end):
    with serving("--tokens", "3", "--rate-limit", "2/60", "--latency-ms", "1") as process:
        url_line, token_line, *others = read_lines(process, 4).splitlines()
        url = url_line.partition("=")[2]
        assert others == [
            f"VERCEL_OAUTH_URL={url}",
            f"VERCEL_MARKETPLACE_URL={url}/marketplace",
        ]
        assert url_line.startswith("VERCEL_API_URL=http://127.0.0.1:")
        assert token_line.startswith("VERCEL_TOKEN=")
        with httpx.Client(
            base_url=url_line.partition("=")[2],
            headers={"Authorization": "Bearer " + token_line.partition("=")[2]},
            trust_env=False,
            verify=False,
        ) as api:
            answers = [api.get("/v6/user/tokens") for _ in range(3)]
            assert [answer.status_code for answer in answers] == [200, 200, 429]
            assert len(answers[0].json()["tokens"]) == 4
            began = time.monotonic()
            process.send_signal(end)
            out, err = process.communicate(timeout=10)
        assert time.monotonic() - began < 5
        assert (process.returncode, out, err) == (0, b"", b"")


def test_the_token_depends_on_the_seed(monkeypatch):
    tokens = set()
    for seed in ("7", "7", "8"):
        code, printed = served(monkeypatch, "--tokens", "0", "--seed", seed)
        assert code == 0
        tokens.add(printed["VERCEL_TOKEN"])
    assert len(tokens) == 2


def test_a_port_that_is_taken_is_said(monkeypatch, capsys):
    before = signal.getsignal(signal.SIGTERM)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert served(monkeypatch, "--port", port) == (1, {})
    err = capsys.readouterr().err
    assert err.startswith(f"cannot serve on port {port}: ")
    assert err.count("\n") == 1
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.fixture
def parser():
    result = argparse.ArgumentParser("simulate")
    add_arguments(result)
    return result


def test_the_defaults(parser):
    assert vars(parser.parse_args([])) == {
        "port": 0,
        "tokens": 250,
        "seed": 7,
        "latency_ms": 0,
        "limits": "vercel",
        "rate_limit": None,
        "kind": "full",
    }
    assert parser.parse_args(["--rate-limit", "100/60"]).rate_limit == RateLimit(100, 60)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--rate-limit", "fast", "'fast' is not N/SECONDS"),
        ("--rate-limit", "0/5", "at least one request"),
        ("--limits", "github", "choose from"),
        ("--port", "70000", "not a port"),
        ("--port", "http", "invalid"),
        ("--tokens", "-1", "less than 0"),
        ("--latency-ms", "-1", "less than 0"),
    ],
)
def test_wrong_use_is_explained(parser, capsys, option, value, said):
    with pytest.raises(SystemExit) as ended:
        parser.parse_args([f"{option}={value}"])
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert said in err
    assert option in err
