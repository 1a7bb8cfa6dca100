"""A report that could not be read to its end: non-zero, one line why, and the last file stays."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ..conftest import PATIENCE, environment, started
from .conftest import QUERIES

LISTING = "/v6/user/tokens"
FAULTS = {
    "401": ({"kind": "status", "status": 401, "code": "unauthorized", "message": "No."}, "401"),
    "429": (
        {
            "kind": "status",
            "status": 429,
            "code": "rate_limited",
            "headers": {"Retry-After": "7200"},
        },
        "only in 2 hours",
    ),
    "500 on page 7": ({"kind": "status", "status": 500, "after": 6}, "500"),
    "a cut body": ({"kind": "cut_body", "after": 2}, "complete message body"),
    "a closed connection": ({"kind": "drop_before", "after": 1}, "disconnected"),
    "a cursor that repeats": ({"kind": "repeat_cursor", "after": 3}, "cursor"),
}


@pytest.fixture
def account(simulate):
    """More than seven pages."""
    return simulate(720)


@pytest.fixture
def before(tmp_path):
    """A directory with the file of the last run."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "inventory.csv").write_text("the last run\n")
    return out


def untouched(out: Path) -> bool:
    """Whether the last run's file is as it was, with nothing beside it."""
    names = [path.name for path in out.iterdir()]
    return names == ["inventory.csv"] and (out / names[0]).read_text() == "the last run\n"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_listing_that_fails_is_no_report(run, account, before, fault):
    options, says = FAULTS[fault]
    account.faults(path=LISTING, times=None, **options)
    report = QUERIES / "inventory.sql"
    ended = run(report, "-o", "csv", "--out", before, "--max-wait", "60", sim=account)
    assert ended.code == 1
    assert ended.out == ""
    (line,) = ended.err.splitlines()
    assert line.startswith(f"vercel-sql: {report}: ")
    assert says in line
    assert account.token not in line
    assert untouched(before)


def test_a_report_that_takes_too_long_is_none(run, account, before):
    account.faults(kind="hang", path=LISTING, after=1)
    report = QUERIES / "inventory.sql"
    ended = run(report, "-o", "csv", "--out", before, "--timeout", "3", sim=account)
    assert (ended.code, ended.out) == (1, "")
    assert re.search("stopped after 3 s|may take 3 s", ended.err)
    assert untouched(before)


def test_on_standard_output_there_is_nothing_of_it(run, account):
    account.faults(path=LISTING, times=None, **FAULTS["500 on page 7"][0])
    for fmt in ("table", "csv", "json", "ndjson", "markdown", "html"):
        ended = run(QUERIES / "inventory.sql", "-o", fmt, sim=account)
        assert (ended.code, ended.out) == (1, "")


def test_a_dead_token_without_rows_is_a_failure_and_not_an_empty_report(run, simulate, tmp_path):
    sim = simulate(0)
    ended = run(QUERIES / "leaked.sql", "--quiet", "--fail-if-rows", sim=sim)
    assert ended.code == 0
    sim.faults(path=LISTING, kind="status", status=403, code="forbidden", times=None)
    ended = run(QUERIES / "leaked.sql", "--quiet", "--fail-if-rows", sim=sim)
    assert ended.code == 1
    assert "403" in ended.err


def test_the_other_reports_are_made_all_the_same(run, simulate, before):
    sim = simulate([{"id": "t", "leakedAt": 5}])
    sim.faults(path=LISTING, kind="status", status=401, times=1)
    ended = run(
        QUERIES / "inventory.sql",
        QUERIES / "leaked.sql",
        "-o", "csv", "--out", before, "--fail-if-rows", sim=sim,
    )  # fmt: skip
    assert ended.code == 1  # and not 3: what is unknown is worse than what was found
    first, second = ended.err.splitlines()
    assert "inventory.sql: " in first
    assert "leaked.sql: 1 row, written to" in second
    assert (before / "inventory.csv").read_text() == "the last run\n"
    assert "hand-made" in (before / "leaked.csv").read_text()


def test_an_account_that_is_not_told_is_a_failure_of_the_page(run, sim, tmp_path):
    sim.faults(path="/v2/user", kind="status", status=403, times=None)
    ended = run(QUERIES / "leaked.sql", "-o", "html", "--out", tmp_path / "out")
    assert ended.code == 1
    assert ended.err.count("\n") == 1
    assert list((tmp_path / "out").iterdir()) == []


def test_without_a_token(here, before):
    ended = here("run", str(QUERIES / "inventory.sql"), "-o", "csv", "--out", str(before))
    assert ended.code == 1
    assert "token" in ended.err
    assert untouched(before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_in_the_middle(simulate, before, number):
    sim = simulate(300, latency_ms=200)
    arguments = ["run", str(QUERIES / "inventory.sql"), "-o", "csv", "--out", str(before)]
    with started(arguments, environment(sim)) as process:
        deadline = time.monotonic() + PATIENCE
        while not any(request.path == LISTING for request in sim.requests()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 128 + number
        assert err.decode() == "vercel-sql: interrupted\n"
    assert out == b""
    assert untouched(before)


_HALF = """
import os, signal, sys
from pathlib import Path
from vercel_sql.cli.reports.run import replaced
with replaced(Path(sys.argv[1])) as part:
    part.write_text("half of it")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_while_a_file_is_written_leaves_the_file_as_it_was(before):
    path = before / "inventory.csv"
    ended = subprocess.run([sys.executable, "-c", _HALF, str(path)], timeout=PATIENCE)
    assert ended.returncode == -signal.SIGKILL
    assert path.read_text() == "the last run\n"
    (left,) = [each for each in before.iterdir() if each != path]
    assert left.name.startswith(".")
    assert left.stat().st_mode & 0o777 == 0o700


def test_a_writer_that_fails_leaves_the_file_as_it_was(run, sim, before, monkeypatch):
    from vercel_sql.cli.reports import run as report_run

    def broken(table, fmt, out, **options):
        out.write("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report_run, "render", broken)
    ended = run(QUERIES / "inventory.sql", "-o", "csv", "--out", before)
    assert ended.code == 1
    assert ended.err.endswith("inventory.csv can't be written: No space left on device\n")
    assert untouched(before)


def test_a_place_that_can_not_be_written(run, sim, tmp_path):
    out = tmp_path / "out"
    (out / "inventory.json").mkdir(parents=True)
    ended = run(QUERIES / "inventory.sql", QUERIES / "leaked.sql", "-o", "json", "--out", out)
    assert ended.code == 1
    first, second = ended.err.splitlines()
    assert "inventory.json can't be written: Is a directory" in first
    assert "leaked.sql: " in second
    assert isinstance(json.loads((out / "leaked.json").read_text()), list)


def test_an_out_that_is_no_directory_is_found_before_the_first_request(run, sim, tmp_path):
    (tmp_path / "file").write_text("")
    ended = run(QUERIES / "leaked.sql", "--out", tmp_path / "file")
    assert ended.code == 2
    assert "--out" in ended.err
    assert not sim.requests()
