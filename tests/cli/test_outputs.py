"""Every output of every command: closed, full, gone, without a reader, or with a slow one.

A cell is a command and what its outputs are. It ends with the exit code of what was carried out,
or with 1 or 2 and one line that names the output; never with an internal error, a traceback of a
library, a hang, or silence where there is somebody left to be told.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from vercel_sql.simulator import Simulator

from ..scale import SCALE, sampled, scaled

pytestmark = pytest.mark.skipif(os.name != "posix", reason="cells are forks")

T = "vercel.authentication.user_tokens"
QUERIES = Path(__file__).parents[2] / "queries"
STALE = str(QUERIES / "stale.sql")
MAKE = f"INSERT INTO {T} (name) SELECT 'made' RETURNING bearerToken"
COMMANDS: dict[str, tuple[str, ...]] = {
    "help": ("--help",),
    "help of run": ("run", "--help"),
    "version": ("--version",),
    "whoami": ("whoami",),
    "whoami json": ("whoami", "-o", "json"),
    **{
        f"query {fmt}": ("-o", fmt, "-c", f"SELECT * FROM {T}")
        for fmt in ("table", "csv", "json", "ndjson", "markdown")
    },
    "two queries": ("-c", "SELECT 1; SELECT 2"),
    "explain": ("-c", f"EXPLAIN {MAKE}"),
    "delete": ("-c", f"DELETE FROM {T} WHERE name = 'nothing has it' RETURNING id"),
    "show": ("-c", f"SHOW METHODS IN {T}"),
    "verbose": ("--verbose", "-c", f"SELECT name FROM {T}"),
    **{
        f"report {fmt}": ("run", STALE, "-o", fmt)
        for fmt in ("table", "csv", "json", "ndjson", "markdown", "html")
    },
    "recover json": ("recover", "-o", "json"),
    "demo": ("demo",),
    "simulate": ("simulate",),
}
QUIET = {
    "report to a folder": ("run", STALE, "-o", "csv", "--out", "{folder}"),
    "snapshot": ("snapshot", "--to", "{folder}/h.duckdb"),
    "logout": ("logout",),
    "login": ("login", "--email", "ada@example.com", "--timeout", "0.1"),
    "usage error": ("--no-such-option",),
    "a failed statement": ("-c", "SELECT nothing"),
}
TAKES_NOTHING = {
    "closed": ("closed",),
    "/dev/full": ("No space left",),
}


@pytest.fixture(scope="module")
def account():
    with Simulator(5) as sim:
        yield sim


def sane(ended, about):
    assert "internal error" not in ended.err, about
    assert "Traceback" not in ended.err, about
    assert "Exception ignored" not in ended.err, about
    assert ended.code in (0, 1, 2, 3), about


@pytest.mark.parametrize("name", COMMANDS)
def test_standard_output(forge, account, tmp_path, name):
    """What can't be written is said on standard error, where that takes it."""
    account.clear_requests()
    state = {"VERCEL_SQL_STATE_DIR": str(tmp_path)}
    for out in sampled(("closed", "/dev/full", "no reader"), 2, name):
        for err in ("pipe", "closed", "/dev/full", "no reader")[: 2 if SCALE == 1 else 4]:
            ended = forge(*COMMANDS[name], sim=account, env=state, out=out, err=err)
            about = (name, out, err, ended)
            sane(ended, about)
            assert ended.code in (1, 2), about
            if err == "pipe" and out != "no reader":
                said = [line for line in ended.err.splitlines() if TAKES_NOTHING[out][0] in line]
                assert len(said) == 1, about
                assert "standard output" in said[0] or "the result can't be" in said[0], about
            elif err == "pipe" and name not in ("verbose", "two queries"):
                assert ended.err == "", about
    assert [r for r in account.requests() if r.method not in ("GET",)] == []


@pytest.mark.parametrize("name", {**COMMANDS, **QUIET})
def test_standard_error(forge, account, tmp_path_factory, name):
    """What is told beside a result is nothing that a result depends on."""
    if name == "simulate":
        return  # runs until it is stopped
    command = {**COMMANDS, **QUIET}[name]
    codes = {}
    for err in ("pipe", *sampled(("closed", "/dev/full", "no reader"), 2, name)):
        folder = tmp_path_factory.mktemp("out")
        arguments = [each.replace("{folder}", str(folder)) for each in command]
        ended = forge(*arguments, sim=account, err=err)
        codes[err] = ended.code
        sane(ended, (name, err, ended))
        if err == "pipe":
            usual = ended
        elif name not in ("login",):
            assert bool(ended.out) == bool(usual.out), (name, err, ended)
    assert set(codes.values()) == {usual.code}, (name, codes)


@dataclass(frozen=True)
class File:
    """An option that names a file: what is written there, and by which command."""

    arguments: tuple[str, ...]
    codes: tuple[int, ...] = (1, 2)
    more: dict[str, str] = field(default_factory=dict)


FILES = {
    "--save-secrets": File(("--save-secrets", "{place}", "-c", MAKE)),
    "--audit-log": File(("--audit-log", "{place}", "-c", MAKE)),
    "--log-file": File(("--log-file", "{place}", "-c", MAKE)),
    "--to": File(("snapshot", "--to", "{place}")),
    "--out": File(("run", STALE, "-o", "csv", "--out", "{place}")),
    "--out html": File(("run", STALE, "-o", "html", "--out", "{place}")),
    "--out xlsx": File(("run", STALE, "-o", "xlsx", "--out", "{place}")),
    "--out parquet": File(("run", STALE, "-o", "parquet", "--out", "{place}")),
    "state": File(("-c", MAKE), more={"VERCEL_SQL_STATE_DIR": "{place}"}),
    "COPY": File(("-c", f"COPY (SELECT name FROM {T}) TO '{{place}}/x/y.csv'")),
}
PLACES = {
    "/dev/full": "/dev/full",
    "/dev/null": "/dev/null",
    "below a file": "{file}/x",
    "no folder": "/proc/nowhere/x",
    "a name that is too long": "{folder}/" + "x" * 300,
    "a folder that is a link to nothing": "{folder}/dangling/x",
    "nobody's home": "~nobody_is_called_so/x",
}


@pytest.mark.parametrize("option", FILES)
def test_a_file_in_a_place_where_there_can_be_none(forge, account, tmp_path, option):
    account.clear_requests()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing" / "there")
    for place, named in PLACES.items():
        if option.startswith(("--out", "state")) and "dangling" in named:
            continue  # the user's own link is followed, and what it leads to is made
        path = named.format(file=tmp_path / "file", folder=tmp_path)
        arguments = [each.replace("{place}", path) for each in FILES[option].arguments]
        env = dict.fromkeys(FILES[option].more, path)
        ended = forge(*arguments, sim=account, env=env)
        about = (option, place, ended)
        sane(ended, about)
        assert ended.code in (1, 2), about
        assert ended.err.startswith("vercel-sql"), about
        assert path in ended.err or option == "COPY", about
        assert [r for r in account.requests() if r.method == "POST"] == [], about
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("option", FILES)
def test_a_disk_that_takes_nothing_more(forge, account, tmp_path, option):
    """As a quota has it: files may be made, and stay empty."""
    arguments = [each.replace("{place}", str(tmp_path / "x")) for each in FILES[option].arguments]
    env = {key: str(tmp_path / "x") for key in FILES[option].more}
    account.clear_requests()
    ended = forge(*arguments, sim=account, env=env, largest=0)
    sane(ended, (option, ended))
    if option != "--log-file":  # which the work goes on without; the journal then can't
        assert ended.code in (1, 2), (option, ended)
        assert ended.err.startswith("vercel-sql"), (option, ended)
    assert [r for r in account.requests() if r.method == "POST"] == [], (option, ended)
    files = [each for each in tmp_path.rglob("*") if each.is_file()]
    assert not any(each.stat().st_size for each in files), option


RELATIVE = {
    "--save-secrets": ("--save-secrets", "x", "-c", MAKE),
    "--audit-log": ("--audit-log", "x", "-c", MAKE),
    "--log-file": ("--log-file", "x", "-c", MAKE),
    "--to": ("snapshot", "--to", "x.duckdb"),
    "--out": ("run", STALE, "-o", "csv", "--out", "x"),
    "-f": ("-f", "x.sql"),
    "--param": ("-c", "SELECT $a", "--param", "a=@x"),
    "--token-file": ("--token-file", "x", "-c", f"SELECT name FROM {T}"),
    "run": ("run", "x.sql"),
    "--history": ("run", str(QUERIES / "changes.sql"), "--history", "x.duckdb"),
    "COPY": ("-c", "COPY (SELECT 1) TO 'x.csv'"),
}


@pytest.mark.parametrize("name", RELATIVE)
def test_a_working_directory_that_is_gone(forge, account, tmp_path, name):
    account.clear_requests()
    ended = forge(*RELATIVE[name], sim=account, gone=True, cwd=str(tmp_path / "gone"))
    sane(ended, (name, ended))
    assert ended.code in (1, 2), ended
    assert ended.err.startswith("vercel-sql"), ended
    assert [r for r in account.requests() if r.method == "POST"] == []


@pytest.mark.parametrize("name", [n for n in COMMANDS if n != "simulate"])
def test_what_needs_no_file_runs_without_a_working_directory(forge, account, tmp_path, name):
    env = {"VERCEL_SQL_STATE_DIR": str(tmp_path)}
    ended = forge(*COMMANDS[name], sim=account, env=env, gone=True, cwd=str(tmp_path / "gone"))
    sane(ended, (name, ended))
    assert ended.code == 0, ended
    assert ended.out


ROWS = scaled(600, 60_000)
BIG = f"SELECT i, repeat('x', 50) || i AS t FROM range({ROWS}) AS r(i)"
FORMATS = ("table", "csv", "json", "ndjson", "markdown")
SLOW = {
    **{f"query {fmt}": ("-o", fmt, "-c", BIG) for fmt in FORMATS},
    **{f"report {fmt}": ("run", "{report}", "-o", fmt) for fmt in (*FORMATS, "html")},
    "several": ("-c", f"{BIG}; SELECT 1", "-c", BIG),
    "list": ("-o", "json", "-c", f"SELECT * FROM {T}"),
    "help": ("--help",),
}
# Whether a write waits: not where whoever reads, such as ssh, has made the pipe so.
WAYS = {
    name: [number % 2 == 0, number % 2 != 0][: 1 if SCALE == 1 else 2]
    for number, name in enumerate(SLOW)
}
linux = pytest.mark.skipif(sys.platform != "linux", reason="makes pipes small")


@pytest.fixture
def slowly(forge, account, tmp_path):
    """Runs one of the commands with a slow reader, or another kind: ``slowly("help")``."""
    report = tmp_path / "big.sql"
    report.write_text(BIG)

    def run(name, out="slow", **cell):
        arguments = [each.format(report=report) for each in SLOW[name]]
        env = {"VERCEL_SQL_STATE_DIR": str(tmp_path)}
        return forge(*arguments, sim=account, env=env, out=out, **cell)

    return run


@linux
@pytest.mark.parametrize("name", SLOW)
def test_a_slow_reader_gets_all_of_it(slowly, name):
    usual = slowly(name, "pipe")
    for blocking in WAYS[name]:
        ended = slowly(name, pause=0.3, blocking=blocking)
        assert ended.code == usual.code == 0, ended
        # A page tells when it was made, and how long that took.
        assert re.sub(r"\d+", "0", ended.out) == re.sub(r"\d+", "0", usual.out), (name, blocking)
        assert len(usual.out) > 4096 or name == "help"
        assert ended.err == usual.err
        assert ended.memory < usual.memory + 32 + len(usual.out) / 2**20, (ended.memory, usual)


@linux
@pytest.mark.parametrize("blocking", [True, False])
def test_waiting_for_a_reader_takes_no_computing(slowly, blocking):
    pause = scaled(2, 20)
    usual = slowly("query csv", "pipe")
    ended = slowly("query csv", pause=pause, blocking=blocking)
    assert ended.out == usual.out
    assert ended.cpu < usual.cpu + pause / 2


@linux
@pytest.mark.parametrize("name", [n for n in SLOW if n not in ("help", "list")][:: 4 // SCALE or 1])
def test_ctrl_c_while_nobody_reads(slowly, name):
    for blocking in WAYS[name]:
        ended = slowly(name, pause=1.5, blocking=blocking, interrupts=1)
        assert ended.code == 130, (name, blocking, ended)
        assert ended.err.endswith("interrupted\n"), ended
        assert "Traceback" not in ended.err


@linux
def test_ctrl_c_while_nobody_reads_secrets(forge, account, tmp_path):
    """The first is put off, and says so; the second is obeyed, and loses no secret."""
    make = f"INSERT INTO {T} (name) SELECT 'made slowly' RETURNING bearerToken, repeat('x', 9000)"
    env = {"VERCEL_SQL_STATE_DIR": str(tmp_path)}
    ended = forge("-c", make, "-o", "csv", sim=account, env=env, out="slow", pause=3, interrupts=2)
    assert ended.code == 130, ended
    assert "Ctrl-C again" in ended.err
    (secret,) = [t.bearer for t in account.state.tokens() if t.get("name") == "made slowly"]
    assert secret in ended.err
