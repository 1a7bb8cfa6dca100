"""What goes wrong leaves the history as it was, and is told in a line."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import duckdb
import pytest

from vercel_sql.cli import history

from ..conftest import environment, started
from .conftest import CHANGES, altered, rows

PATIENCE = 60
LISTING = "/v6/user/tokens"
SIGNALS = {"INT": signal.SIGINT, "TERM": signal.SIGTERM, "KILL": signal.SIGKILL}

# Runs the command, and kills itself when a function of the store has run.
KILLED = """
import os, signal, sys
from vercel_sql.cli import history as module
from vercel_sql.cli.main import main
real = module.{function}
def dying(*arguments, **options):
    real(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)
module.{function} = dying
sys.exit(main(sys.argv[1:]))
"""


def content(file):
    return {path.name: path.read_bytes() for path in file.parent.iterdir() if path.is_file()}


def failed(here, sim, to, code=1):
    """What the command says, in one line, when it fails."""
    ended = here("snapshot", "--to", str(to), "--max-wait", "60", sim=sim)
    assert (ended.code, ended.out) == (code, "")
    (line,) = [each for each in ended.err.splitlines() if not each.startswith("Waiting, ")]
    assert line.startswith("vercel-sql: ")
    return ended.err


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 401},
        {"kind": "status", "status": 403},
        {"kind": "status", "status": 429, "headers": {"Retry-After": "9999"}},
        {"kind": "status", "status": 500},
        {"kind": "cut_body"},
        {"kind": "garbage_body"},
        {"kind": "repeat_cursor", "after": 0},
    ],
    ids=lambda fault: str(fault.get("status", fault["kind"])),
)
@pytest.mark.parametrize("exists", [True, False])
def test_part_of_a_listing_is_no_snapshot(simulate, here, snapshot, file, fault, exists):
    sim = simulate(250)
    if exists:
        snapshot(sim)
    before = content(file)
    # The last of three pages; a cursor repeats on the second, the first that is asked with one.
    sim.faults(**{"path": LISTING, "after": 2, "times": None, **fault})
    failed(here, sim, file)
    assert content(file) == before


def test_no_request_is_sent_where_nothing_could_be_kept(sim, here, file, tmp_path):
    text, nothing = tmp_path / "notes.txt", tmp_path / "nothing.duckdb"
    text.write_text("not a database")
    nothing.touch()
    for to in (text, nothing, tmp_path, tmp_path / "there is none" / "x.duckdb"):
        assert str(to) in failed(here, sim, to)
    assert "no folder" in failed(here, sim, tmp_path / "there is none" / "x.duckdb")
    failed(here, sim, "", code=2)
    assert not sim.requests()
    assert (text.read_text(), nothing.read_bytes()) == ("not a database", b"")


def test_tables_of_somebody_else_are_left_alone(sim, here, file):
    altered(file, "CREATE TABLE history.tokens AS SELECT 1 AS number")
    before = content(file)
    assert "this is not a history" in failed(here, sim, file)
    assert content(file) == before


def test_a_newer_history_is_left_alone(sim, here, snapshot, file):
    snapshot(sim)
    altered(file, "UPDATE history.runs SET schema_version = 2")
    before = content(file)
    assert "update" in failed(here, sim, file)
    assert content(file) == before


def test_other_tables_may_stand_beside_it(sim, snapshot, file):
    altered(file, "CREATE TABLE history.deployments AS SELECT 1 AS number")
    snapshot(sim)
    assert rows(file, "FROM history.deployments") == [{"number": 1}]
    assert len(rows(file, "FROM history.runs")) == 1


@pytest.fixture
def held(sim, snapshot, file):
    """A history that another process has open; gives the process, which ends when it is told to."""
    snapshot(sim)
    holding = f"import duckdb, sys; con = duckdb.connect({str(file)!r}); print(1, flush=True)"
    holding += "; sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", holding], **pipes) as other:
        try:
            assert other.stdout.read(1)
            yield other
        finally:
            other.communicate(timeout=PATIENCE)


def test_a_history_that_is_open_elsewhere_for_long(sim, here, file, held, monkeypatch):
    monkeypatch.setattr(history, "_BUSY_SECONDS", 0.3)
    monkeypatch.setattr(history, "SAID_AFTER", 0.1)
    requests = len(sim.requests())
    here_said = here("snapshot", "--to", str(file), sim=sim)
    told, failure = here_said.err.splitlines()
    assert here_said.code == 1
    assert told.startswith("Waiting up to 0 s: process ")
    assert f"process {held.pid} has {file} open" in failure
    report = here("run", str(CHANGES), "--history", str(file))
    assert (report.code, report.out) == (2, "")
    assert f"process {held.pid} has it open" in report.err
    assert len(sim.requests()) == requests


def test_a_history_that_is_open_elsewhere_is_waited_for(sim, snapshot, file, held):
    threading.Timer(1, held.kill).start()
    assert snapshot(sim).startswith("run 2: ")


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX's signals")
def test_an_end_while_it_waits_for_another(sim, file, held):
    before = content(file)
    with started(["snapshot", "--to", str(file)], environment(sim)) as process:
        assert b"Waiting" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (130, b"vercel-sql: interrupted\n")
    assert content(file) == before


def test_eight_snapshots_at_once_take_turns(sim, file):
    with ExitStack() as stack:
        all_ = [
            stack.enter_context(started(["snapshot", "--to", str(file)], environment(sim)))
            for _ in range(8)
        ]
        ended = [(each.wait(PATIENCE), each.stderr.read()) for each in all_]
    assert [code for code, _ in ended] == [0] * 8, ended
    found = sorted(run["run_id"] for run in rows(file, "FROM history.runs"))
    assert found == list(range(1, 9)), ended
    assert len(rows(file, "FROM history.tokens")) == 8 * 31
    assert list(content(file)) == [file.name]


@pytest.mark.parametrize("has_links", [True, False])
def test_a_file_that_another_made_meanwhile_is_kept(sim, here, file, monkeypatch, has_links):

    def refused(_made, _path):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    if not has_links:
        monkeypatch.setattr(os, "link", refused)

    real = history.prepare

    def slow(con):
        real(con)
        file.write_text("made meanwhile")

    monkeypatch.setattr(history, "prepare", slow)
    assert "not a valid DuckDB database file" in failed(here, sim, file)
    assert content(file) == {file.name: b"made meanwhile"}
    assert len(list(file.parent.iterdir())) == 1


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX's signals")
@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("exists", [True, False])
def test_an_end_while_it_reads(simulate, snapshot, file, name, exists):
    sim = simulate(250)
    if exists:
        snapshot(sim)
    before, received = content(file), len(sim.requests())
    sim.faults(kind="latency", ms=500, path=LISTING, times=None)
    arguments = "from vercel_sql.cli.main import entry_point; entry_point()"
    process = subprocess.Popen(
        [sys.executable, "-c", arguments, "snapshot", "--to", str(file)],
        env=environment(sim),
        stderr=subprocess.PIPE,
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while len(sim.requests()) < received + 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(SIGNALS[name])
        _, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait(PATIENCE)
    if name == "KILL":
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 128 + SIGNALS[name]
        assert err == b"vercel-sql: interrupted\n"
    assert content(file) == before
    sim.clear_faults()
    assert snapshot(sim).startswith("run 2: " if exists else "run 1: ")


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX's signals")
@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("function", ["prepare", "_insert_run", "_insert_tokens"])
def test_a_kill_while_it_writes(sim, snapshot, file, function, exists):
    """The next snapshot finds what was there before, and nothing of the killed one."""
    if exists:
        snapshot(sim)
    before = content(file)
    script = KILLED.format(function=function)
    ended = subprocess.run(
        [sys.executable, "-c", script, "snapshot", "--to", str(file)],
        env=environment(sim),
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    assert content(file) == before
    if exists:
        assert [run["run_id"] for run in rows(file, "FROM history.runs")] == [1]
        assert len(rows(file, "FROM history.tokens")) == 31
    assert snapshot(sim).startswith("run 2: " if exists else "run 1: ")


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX's signals and modes")
def test_a_kill_right_after_the_commit(sim, snapshot, file):
    """The run is whole; it stands in DuckDB's log, which only its owner may read."""
    snapshot(sim)
    script = KILLED.format(function="_commit")
    ended = subprocess.run(
        [sys.executable, "-c", script, "snapshot", "--to", str(file)],
        env=environment(sim),
        timeout=PATIENCE,
        check=False,
        umask=0o022,
    )
    assert ended.returncode == -signal.SIGKILL
    log = file.with_name(f"{file.name}.wal")
    assert log.stat().st_mode & 0o777 == 0o600
    assert [run["token_count"] for run in rows(file, "FROM history.runs")] == [31, 31]
    assert len(rows(file, "FROM history.tokens")) == 62
    assert snapshot(sim).startswith("run 3: ")


@pytest.mark.parametrize(
    "target",
    [
        "ducklake:postgres:dbname=lake password=hunter22secret host=127.0.0.1",
        "postgres:postgresql://ada:hunter22secret@127.0.0.1/history",
        "postgresql://ada:hunter22secret@127.0.0.1/history",
    ],
)
def test_an_extension_that_is_not_to_be_had(sim, here, target, tmp_path, monkeypatch):
    """Loopback is all there is: DuckDB finds no extension, and the password is not repeated."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    report = here("run", str(CHANGES), "--history", target, sim=sim)
    assert (report.code, report.out, report.err.count("\n")) == (2, "", 1)
    for said in (failed(here, sim, target), report.err):
        assert "hunter22secret" not in said
        if "postgresql://" not in target[:13]:
            scheme = target.partition(":")[0]
            assert f"its extension {scheme}" in said
            assert "INSTALL" in said
    assert not sim.requests()


def test_errors_of_duckdb_are_told_without_traceback(sim, here, snapshot, file, monkeypatch):

    snapshot(sim)
    before = content(file)

    def full(con, run_id, listing):
        raise duckdb.IOException("IO Error: Could not write file: No space left on device")

    monkeypatch.setattr(history, "_insert_tokens", full)
    assert "No space left" in failed(here, sim, file)
    assert content(file) == before
