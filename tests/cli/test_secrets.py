"""A secret that is shown once is never lost: not to an error, a full disk, or a reader who left."""

import json
import os
import resource
import stat
import subprocess

import pytest

TABLE = "vercel.authentication.user_tokens"
TEN = f"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range(10) r(i)"


@pytest.fixture
def empty(simulate):
    """An account that holds the calling token alone."""
    return simulate(0)


def bearers(sim):
    """The secrets that the account made for others than the calling token, oldest first."""
    return [t.bearer for t in reversed(sim.state.tokens()) if t.bearer != sim.token]


@pytest.mark.parametrize("fmt", ["table", "csv", "json", "ndjson", "markdown"])
def test_what_was_made_before_a_failure_is_printed(here, empty, fmt):
    empty.faults(kind="status", method="POST", status=403, message="No more.", after=6)
    ended = here("-o", fmt, "-c", TEN + " RETURNING name, bearerToken", sim=empty)
    assert ended.code == 1
    secrets = bearers(empty)
    assert len(secrets) == 6
    for secret in secrets:
        assert secret in ended.out
        assert secret not in ended.err
    for said in ("row 7 of 10", ", 403)", "No more (", "6 of 10", "in the output", TABLE):
        assert said in ended.err
    if fmt == "json":
        assert [row["bearerToken"] for row in json.loads(ended.out)] == secrets
    if fmt == "ndjson":
        assert [json.loads(line)["name"] for line in ended.out.splitlines()] == [
            f"n{number}" for number in range(6)
        ]


@pytest.mark.parametrize("failing", [False, True])
def test_a_full_disk(command, empty, failing):
    if failing:
        empty.faults(kind="status", method="POST", status=403, after=6)
    with open("/dev/full", "wb") as full:
        ended = command("-o", "csv", "-c", TEN, sim=empty, stdout=full)
    assert ended.code == 1
    secrets = bearers(empty)
    assert len(secrets) == (6 if failing else 10)
    assert all(ended.err.count(secret) == 1 for secret in secrets)
    assert "No space left on device" in ended.err
    assert "Traceback" not in ended.err
    assert "internal error" not in ended.err


def test_a_reader_who_left(command, empty):
    for sql, said in ((TEN, "could not be written"), (f"SELECT * FROM {TABLE}", "")):
        reader, writer = os.pipe()
        os.close(reader)
        ended = command("-o", "csv", "-c", sql, sim=empty, stdout=writer)
        os.close(writer)
        assert ended.code == 1
        assert said in ended.err
        assert "Traceback" not in ended.err
    assert ended.err == ""  # nothing was lost, as with `| head`
    assert len(bearers(empty)) == 10


def test_what_was_not_run_is_said_to_a_reader_who_left(command, empty):
    reader, writer = os.pipe()
    os.close(reader)
    ended = command("-c", "SELECT 1", "-c", TEN, sim=empty, stdout=writer)
    os.close(writer)
    assert ended.code == 1
    assert "in the statement at 1:1 of -c no. 1: the result can't be written: " in ended.err
    assert empty.requests() == []


def test_a_locale_without_box_characters(command, empty):
    env = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    sql = f"INSERT INTO {TABLE} (name) SELECT 'é' RETURNING name, bearerToken"
    for fmt in ("table", "json"):
        ended = command("-o", fmt, "-c", sql, sim=empty, env=env, forked=False)
        assert (ended.code, ended.err) == (0, "")
        assert "é" in ended.out
    assert len(bearers(empty)) == 2


def test_the_secrets_file(here, empty, tmp_path):
    file = tmp_path / "secrets"
    sql = f"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range(2) r(i) RETURNING name"
    for _ in range(2):
        ended = here("-o", "csv", "-c", sql, "--save-secrets", str(file), sim=empty)
        assert (ended.code, ended.out, ended.err) == (0, "name\nn0\nn1\n", "")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["bearerToken"] for line in lines] == bearers(empty)
    assert [line["token"]["name"] for line in lines] == ["n0", "n1", "n0", "n1"]


def test_a_secrets_file_that_others_may_read(here, empty, tmp_path):
    file = tmp_path / "secrets"
    file.touch(mode=0o640)
    ended = here("-c", TEN, "--save-secrets", str(file), sim=empty)
    assert (ended.code, ended.out) == (2, "")
    assert "chmod 600" in ended.err
    assert empty.requests() == []


def test_a_secrets_file_that_fills_up(command, empty, tmp_path):
    size = 100_000
    full = tmp_path / "secrets"
    full.touch(mode=0o600)
    full.write_bytes(b"{}".ljust(size - 1) + b"\n")

    def no_space():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    options = ["-o", "csv", "--save-secrets", str(full)]
    # Else Python would write the half of a module's bytecode.
    env = {"PYTHONDONTWRITEBYTECODE": "1"}
    ended = command(*options, "-c", TEN, sim=empty, env=env, preexec_fn=no_space)
    assert ended.code == 1
    assert "secrets file" in ended.err
    (secret,) = bearers(empty)
    assert secret in ended.out + ended.err


def test_a_failure_within_a_pipeline(command, empty):
    """A shell's `| head -1`: whatever the pipe took, every secret is somewhere to be read."""
    reader, writer = os.pipe()
    sql = f"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range(30) r(i)"
    with subprocess.Popen(["head", "-c", "10"], stdin=reader, stdout=subprocess.PIPE) as head:
        os.close(reader)
        ended = command("-o", "csv", "-c", sql, sim=empty, stdout=writer)
        os.close(writer)
        head.communicate(timeout=10)
    assert "Traceback" not in ended.err
    if ended.code:
        assert all(secret in ended.err for secret in bearers(empty))
