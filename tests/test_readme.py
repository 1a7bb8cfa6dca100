"""Every example in the README runs, as it stands there."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import vercel_sql
from vercel_sql.simulator import Simulator

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    found: list[str] = []
    lines = iter(README.splitlines())
    for line in lines:
        if line == f"```{language}":
            block = []
            for inner in lines:
                if inner == "```":
                    break
                block.append(inner)
            found.append("\n".join(block))
    return found


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch):
    with Simulator(tokens=60, seed=7) as simulator:
        monkeypatch.setenv("VERCEL_API_URL", simulator.url)
        monkeypatch.setenv("VERCEL_TOKEN", simulator.token)
        yield simulator


@pytest.mark.parametrize("sql", blocks("sql"))
def test_sql(account: Simulator, sql: str) -> None:
    given = {"email": "ada@example.com"} if "{{ email }}" in sql else None
    with vercel_sql.connect() as con:
        con.execute(sql, given)
        assert con.description
        con.fetchall()


@pytest.mark.parametrize("source", blocks("python"))
def test_python(account: Simulator, source: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(source, "README.md", "exec"), {})
    assert capsys.readouterr().out


def test_commands(account: Simulator, tmp_path: Path) -> None:
    (tmp_path / "review.sql").write_text("SELECT 1 AS one; SELECT 2 AS two;")
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    commands = [line for line in commands if line.startswith("vercel-sql")]
    assert len(commands) == 2
    start = [sys.executable, "-c", "from vercel_sql.cli.main import entry_point as e; e()"]
    for command in commands:
        words = shlex.split(command)[1:]
        if ">" in words:
            words = words[: words.index(">")]
        done = subprocess.run(
            [*start, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout


def test_the_two_commands_are_those_of_ci() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    demo, tests = blocks("sh")[:2]
    assert demo in script
    assert tests in script


def test_the_files_it_names_exist() -> None:
    for name in ("tests/run.py", "tests/benchmarks/listing.py", "vercel_sql/manifest/vercel"):
        assert name in README
        assert (ROOT / name).exists()
    for name in ("point_get.py", "startup.py"):
        assert name in README
        assert (ROOT / "tests" / "benchmarks" / name).exists()
