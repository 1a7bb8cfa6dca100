"""--audit-log on the command line: the commands that write, and what each line says of them."""

from __future__ import annotations

import json
import threading
import time

import pytest

T = "vercel.authentication.user_tokens"
SQL = f"INSERT INTO {T} (name) VALUES ('a')"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit.jsonl"


@pytest.fixture
def lines(path):
    return lambda: [json.loads(line) for line in path.read_text().splitlines()]


def test_a_statement(here, sim, path, lines):
    ended = here("--audit-log", str(path), "-c", SQL, sim=sim)
    assert (ended.code, ended.err) == (0, "")
    (line,) = lines()
    assert (line["statement"], line["outcome"]) == ("INSERT", "done")
    assert line["credential"]["source"] == "VERCEL_TOKEN"


def test_the_environment_names_it_too(here, sim, path, lines, monkeypatch):
    monkeypatch.setenv("VERCEL_SQL_AUDIT_LOG", str(path))
    assert here("-c", SQL, sim=sim).code == 0
    assert len(lines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("-c", SQL),
        ("whoami",),
        ("recover",),
        ("login", "--email", "ada@example.com"),
        ("logout",),
        ("serve",),
        ("snapshot", "--to", "x.duckdb"),
    ],
)
def test_a_file_that_can_not_be_used_is_said_before_anything(here, sim, tmp_path, arguments):
    path = str(tmp_path / "missing" / "log")
    ended = here(*arguments, "--audit-log", path, sim=sim)
    assert ended.code in (1, 2)
    assert f"the audit log {path} can't be used: No such file or directory" in ended.err
    assert sim.requests() == []


def test_a_life_of_a_login(command, sim, path, lines):
    env = {"VERCEL_API_URL": sim.url, "VERCEL_OAUTH_URL": sim.url}
    options = ("--audit-log", str(path))

    def confirm_soon():
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                sim.confirm(email="ada@example.com")
            except LookupError:
                time.sleep(0.05)
            else:
                return

    thread = threading.Thread(target=confirm_soon)
    thread.start()
    ended = command("login", "--email", "ada@example.com", *options, env=env)
    thread.join()
    assert ended.code == 0, ended.err
    assert command("logout", *options, env=env).code == 0
    found = [(line["statement"], line["method"], line["outcome"]) for line in lines()]
    assert found[0] == ("login", "email_login", "done")
    assert ("login", "verify_token", "done") in found
    assert found[-1] == ("logout", "delete_auth_token", "done")
    assert lines()[0]["account"]["reason"] == "it needs none"
    assert lines()[-1]["account"]["name"] == "ada-example"
    bearers = {event.bearer for event in sim.history()}
    assert not [bearer for bearer in bearers if bearer in path.read_text()]


def test_a_write_that_was_not_noted_prints_its_row_and_fails(here, sim, path, monkeypatch):
    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vercel_sql.ledger.audit_log.append_line", full)
    ended = here("--audit-log", str(path), "-o", "json", "-c", SQL, "-c", SQL, sim=sim)
    assert ended.code == 1
    (row,) = json.loads(ended.out)
    assert row["bearerToken"] in [event.bearer for event in sim.history()]
    assert "No space left on device" in ended.err
    assert len([r for r in sim.requests() if r.method == "POST"]) == 1
