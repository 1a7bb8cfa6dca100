"""--verbose and --log-file: where the log goes, and what stands in it."""

from __future__ import annotations

import os
import re
import resource
import stat

import pytest

T = "vercel.authentication.user_tokens"
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ vercel_sql[.\w]*: .+")


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def test_the_log_is_a_file_of_its_owner_with_utc_times(here, sim, log):
    for _ in range(2):
        ended = here("--log-file", str(log), "-c", f"SELECT id FROM {T}", sim=sim)
        assert (ended.code, ended.err) == (0, "")
    lines = log.read_text().splitlines()
    assert all(LINE.fullmatch(line) for line in lines)
    assert sum("GET /v6/user/tokens -> 200" in line for line in lines) == 2
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_verbose_and_file_say_the_same(here, sim, log):
    sim.faults(kind="status", status=500)
    ended = here("-v", "--log-file", str(log), "-c", f"SELECT id FROM {T}", sim=sim)
    assert ended.code == 0
    assert ended.err == log.read_text()
    assert " INFO vercel_sql.api: status 500: sent again in " in ended.err


@pytest.mark.parametrize(
    "command",
    [
        ["whoami"],
        ["snapshot", "--quiet", "--to", "{folder}/history.duckdb"],
        ["run", "{folder}/report.sql"],
    ],
)
def test_every_command_takes_both(here, sim, log, tmp_path, command):
    (tmp_path / "report.sql").write_text("SELECT count(*) AS n FROM vercel.audit.user_tokens\n")
    words = [word.replace("{folder}", str(tmp_path)) for word in command]
    ended = here(*words, "-v", "--log-file", str(log), sim=sim)
    assert ended.code == 0, ended.err
    for text in (log.read_text(), ended.err):
        assert re.search(r"DEBUG vercel_sql.api: GET /v\d/.* -> 200", text)
    log.unlink()
    ended = here(*words, "--log-file", str(log), sim=sim)
    assert ("DEBUG" in log.read_text(), "DEBUG" in ended.err) == (True, False)


def test_a_login_is_logged(command, sim, log):
    env = {"VERCEL_API_URL": sim.url, "VERCEL_OAUTH_URL": sim.url}
    ended = command(
        *("login", "--email", "ada@example.com", "--timeout", "0.1", "--log-file", str(log)),
        env=env,
    )
    assert ended.code == 1
    assert "POST /registration -> 200" in log.read_text()
    assert command("logout", "--log-file", str(log), env=env).code == 0


@pytest.mark.parametrize("name", ["", "missing/log", "link", "pipe", "/dev/null"])
def test_a_file_that_can_not_be_written_is_wrong_use(here, sim, tmp_path, name):
    (tmp_path / "target").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    os.mkfifo(tmp_path / "pipe")
    ended = here("--log-file", str(tmp_path / name), "-c", f"SELECT id FROM {T}", sim=sim)
    assert ended.code == 2
    assert ended.err.startswith(f"vercel-sql: the log file {tmp_path / name} can't be written: ")
    assert sim.requests() == []


def test_a_file_that_takes_no_more_is_said_once_and_stops_nothing(command, sim, log):
    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    options = ("--log-file", str(log), "-o", "csv")
    sql = f"SELECT count(*) AS n FROM {T} WHERE name > ''"
    # Nor may Python write anything, such as the half of a module's bytecode.
    env = {"PYTHONDONTWRITEBYTECODE": "1"}
    ended = command(*options, "-c", f"{sql}; {sql};", sim=sim, env=env, preexec_fn=full)
    assert (ended.code, ended.out.split()) == (0, ["n", "31", "n", "31"])
    assert ended.err == f"vercel-sql: the log file {log} can't be written: File too large\n"


def test_values_from_files_are_in_no_log(here, sim, log, tmp_path):
    (tmp_path / "value").write_text("the-Value/of+a file")
    sql = f"SELECT id FROM {T} WHERE id = $v"
    param = f"v=@{tmp_path}/value"
    ended = here("-v", "--log-file", str(log), "--param", param, "-c", sql, sim=sim)
    assert ended.code == 0
    for text in (ended.err, log.read_text()):
        assert "GET /v5/user/tokens/[secret] -> 404" in text
        assert "the-Value" not in text
