"""Sick environments: a secret is shown, saved or not made at all, and the exit code says which."""

from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import vercel_sql

from .conftest import COMMAND, environment

TABLE = "vercel.authentication.user_tokens"
INSERT = f"INSERT INTO {TABLE} (name) SELECT 'made é' RETURNING bearerToken, id"
pytestmark = pytest.mark.skipif(os.name != "posix", reason="what can be taken away is POSIX's")


@dataclass(frozen=True)
class Place:
    """Where a command runs, and how it ends: `where` its secret is, or that it was `refused`."""

    where: str
    shell: str = "{}"
    options: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    code: int = 1


_GONE = 'mkdir gone && cd gone && rmdir "$PWD" && {}'
_SAVE = ("--save-secrets", "saved.jsonl")
PLACES = {
    "no working directory": Place("out", _GONE, code=0),
    "a working directory that can't be read": Place("out", "chmod 0 . && {}", code=0),
    "no directory for temporary files": Place("out", env={"TMPDIR": "/nonexistent"}, code=0),
    "an ASCII terminal": Place("out", env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}, code=0),
    "standard error closed": Place("out", "{} 2>&-", code=0),
    "standard input closed": Place("out", "{} <&-", code=0),
    "standard output closed": Place("refused", "{} >&-", code=2),
    "both closed": Place("refused", "{} >&- 2>&-", code=2),
    "standard output full": Place("err", "{} >/dev/full"),
    "no reader": Place("err", "{{ {}; echo $? >code; }} | true"),
    "both full": Place("state", "{} >/dev/full 2>&1"),
    "full and closed": Place("state", "{} >/dev/full 2>&-"),
    "full, and saved": Place("saved", "{} >/dev/full", _SAVE),
    "both full, and saved": Place("saved", "{} >/dev/full 2>&1", _SAVE),
    "no reader, and saved": Place("saved", "{{ {}; echo $? >code; }} | true", _SAVE),
    "a state directory by half a path": Place("refused", _GONE, env={"VERCEL_SQL_STATE_DIR": "s"}),
    "a state directory that can't be": Place("refused", env={"VERCEL_SQL_STATE_DIR": "/dev/null"}),
    "a secrets file by half a path": Place("refused", _GONE, _SAVE, code=2),
    "a limit for files": Place("refused", "ulimit -f 0 && {}"),
}


def secrets_of(sim) -> list[str]:
    """What was made beside the calling token."""
    return [token.bearer for token in sim.state.tokens() if token.bearer != sim.token]


@pytest.mark.parametrize("name", PLACES)
def test_where_the_secret_is(simulate, tmp_path: Path, name: str) -> None:
    place, sim, state = PLACES[name], simulate(0), tmp_path / "state"
    work = tmp_path / "work"
    work.mkdir()
    env = environment(sim, VERCEL_SQL_STATE_DIR=str(state), PYTHONDONTWRITEBYTECODE="1")
    words = [*COMMAND, "-o", "csv", *place.options, "-c", INSERT]
    run = " ".join(f"'{word}'" if word != INSERT else '"$SQL"' for word in words)
    ended = subprocess.run(
        ["bash", "-c", place.shell.format(run)],
        cwd=work,
        env=env | {"SQL": INSERT} | place.env,
        capture_output=True,
        timeout=60,
        check=False,
    )
    work.chmod(0o700)
    code = int((work / "code").read_text()) if (work / "code").exists() else ended.returncode
    kept = state / "secrets.jsonl"
    texts = {
        "out": ended.stdout.decode(),
        "err": ended.stderr.decode(),
        "state": kept.read_text() if kept.exists() else "",
        "saved": (work / "saved.jsonl").read_text() if (work / "saved.jsonl").exists() else "",
    }
    assert code == place.code, texts
    assert "internal error" not in texts["err"]
    if place.where == "refused":
        assert secrets_of(sim) == []
        assert not any(request.method == "POST" for request in sim.requests())
        return
    (secret,) = secrets_of(sim)
    assert [where for where, text in texts.items() if secret in text] == [place.where], texts
    with vercel_sql.connect(secret, api_url=sim.url) as con:
        assert con.execute("SELECT id FROM vercel.user.user").fetchall()
    if place.where == "saved":
        assert str(work / "saved.jsonl") in texts["err"] + texts["out"] or ">&" in place.shell
    if place.where == "state":
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        told = subprocess.run(
            [*COMMAND, "recover", "-o", "json"],
            env=env,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert json.loads(told.stdout)[0]["secret"] == str(kept)


def test_a_rotation_whose_result_can_not_be_shown(command, simulate, tmp_path: Path) -> None:
    sim = simulate(1)
    env = {"VERCEL_SQL_STATE_DIR": str(tmp_path / "state")}
    (old,) = [token for token in sim.state.tokens() if token.bearer != sim.token]
    with open("/dev/full", "wb") as full:
        sql = f"EXEC {TABLE}.rotate_token @tokenId = '{old['id']}', @expiresAt = NULL"
        ended = command("-c", sql, sim=sim, env=env, stdout=full)
    (secret,) = secrets_of(sim)
    saved = tmp_path / "state" / "secrets.jsonl"
    assert ended.code == 1, ended.err
    assert str(saved) in ended.err
    assert secret in saved.read_text()
    assert secret not in ended.err


def test_some_secrets_saved_and_none_shown(command, simulate, tmp_path: Path) -> None:
    """The secrets file fills up, and standard output is full: what is saved is not shown."""
    sim, file, size = simulate(0), tmp_path / "saved", 100_000
    file.touch(mode=0o600)
    file.write_bytes(b"{}".ljust(size - 1_501) + b"\n")
    sql = f"INSERT INTO {TABLE} (name) SELECT 'n' || i FROM range(9) r(i) RETURNING bearerToken"
    with open("/dev/full", "wb") as full:
        ended = command(
            *("-o", "csv", "--save-secrets", str(file), "-c", sql),
            sim=sim,
            env={"PYTHONDONTWRITEBYTECODE": "1"},
            stdout=full,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        )
    assert ended.code == 1
    lines = file.read_text().splitlines(keepends=True)
    made, saved = secrets_of(sim), "".join(line for line in lines if line.endswith("}\n"))
    assert any(secret in saved for secret in made)
    assert [secret in ended.err for secret in made] == [secret not in saved for secret in made]


COMMANDS = {
    "whoami": ["whoami"],
    "whoami as JSON": ["whoami", "-o", "json"],
    "demo": ["demo"],
    "simulate": ["simulate"],
    "help": ["--help"],
    "version": ["--version"],
    "recover": ["recover", "-o", "csv"],
    "a report": ["run", str(Path(__file__).parents[2] / "queries" / "stale.sql")],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_standard_output_that_takes_nothing(command, sim, tmp_path: Path, name: str) -> None:
    env = {"VERCEL_SQL_STATE_DIR": str(tmp_path)}
    with open("/dev/full", "wb") as full:
        ended = command(*COMMANDS[name], sim=sim, env=env, stdout=full)
    assert ended.code == 1
    assert "No space left on device" in ended.err
    assert len(ended.err.splitlines()) == 1
    closed = command(*COMMANDS[name], sim=sim, env=env, preexec_fn=lambda: os.close(1))
    assert closed.code in (1, 2)
    assert "standard output" in closed.err
    assert "closed" in closed.err
    unheard = command(
        *COMMANDS[name], sim=sim, env=env, preexec_fn=lambda: (os.close(1), os.close(2))
    )
    assert unheard.code in (1, 2)


def test_the_demo_keeps_to_itself(command, tmp_path: Path) -> None:
    env = {"VERCEL_SQL_STATE_DIR": str(tmp_path / "state"), "TMPDIR": str(tmp_path)}
    assert command("demo", env=env).code == 0
    assert list(tmp_path.iterdir()) == []


def test_the_demo_without_a_place_for_files(here, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_args: object, **_options: object) -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", nowhere)
    ended = here("demo")
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert "TMPDIR" in ended.err
    assert "bug in vercel-sql" not in ended.err


def test_a_journal_that_can_not_be_read_is_named(
    command: Callable[..., object], sim, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    ended = command("recover", sim=sim, env={"VERCEL_SQL_STATE_DIR": str(tmp_path / "file")})
    assert ended.code == 1
    assert str(tmp_path / "file" / "journal") in ended.err


def test_a_login_that_could_not_be_saved_is_not_begun(command, sim, tmp_path: Path) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    env = {"VERCEL_SQL_CONFIG_DIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    options = ("login", "--email", "ada@example.com", "--timeout", "5")
    nothing = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))}
    ended = command(*options, sim=sim, env=env, **nothing)
    assert ended.code == 1
    assert str(folder) in ended.err
    assert sim.requests() == []
