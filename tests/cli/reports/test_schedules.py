"""The schedules: each file is parsed as what reads it would, and its commands are run."""

from __future__ import annotations

import configparser
import os
import re
import runpy
import shlex
import shutil
import stat
import string
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from vercel_sql._version import __version__

from ..conftest import COMMAND, PATIENCE, environment
from .conftest import QUERIES

SCHEDULES = QUERIES / "schedules"
REPOSITORY = QUERIES.parent
LEAKED = [{"id": "t1", "leakedAt": 5}]
FIELD = re.compile(r"(\*|\d+)(-\d+)?(/\d+)?(,\d+)*")
LIMITS = (59, 23, 31, 12, 7)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the command in its bin, this repository, and nothing else."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "vercel-sql"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
    program.chmod(0o755)
    (tmp_path / "vercel-sql").symlink_to(REPOSITORY)
    return tmp_path


@pytest.fixture
def shell(home):
    """Runs a command as a shell does: gives the exit code, the output and the errors."""

    def run(command: str, sim: Any, *, program: str = "/bin/sh", **variables: str):
        path = f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"
        env = environment(sim) | {"HOME": str(home), "PATH": path} | variables
        return subprocess.run(
            [program, "-c", command],
            env=env,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
        )

    return run


def is_when(fields: list[str]) -> bool:
    """Whether five fields are a time as cron has it."""
    return len(fields) == 5 and all(
        FIELD.fullmatch(field) and all(int(n) <= limit for n in re.findall(r"\d+", field))
        for field, limit in zip(fields, LIMITS, strict=True)
    )


# cron


def cron_commands() -> list[str]:
    """The commands of the crontab; each line is one that cron understands."""
    commands = []
    for line in (SCHEDULES / "vercel-sql.cron").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        if re.match(r"[A-Z]+=", line):
            assert "$" not in line  # cron does not put in variables here
            continue
        *when, command = line.split(None, 5)
        assert is_when(when)
        assert "%" not in command  # cron reads it as the end of a line
        commands.append(command)
    return commands


def test_cron(shell, simulate, home):
    (home / ".config").mkdir()
    sim = simulate(LEAKED)
    (home / ".config" / "vercel-token").write_text(sim.token)
    commands = cron_commands()
    results = [shell(command, sim, VERCEL_TOKEN="") for command in commands]
    codes = {
        re.search(r"(\w+)\.sql", command)[1]: result.returncode
        for command, result in zip(commands, results, strict=True)
    }
    assert codes == {"leaked": 3, "expiring": 0, "inventory": 0, "changes": 0}
    assert [bool(result.stdout) for result in results] == [code == 3 for code in codes.values()]
    assert [bool(result.stderr) for result in results] == [code == 3 for code in codes.values()]
    pages = sorted(path.name for path in (home / "token-reports").iterdir())
    assert pages == [
        "broad_scopes.html",
        "inventory.html",
        "never_expiring.html",
        "never_used.html",
        "stale.html",
    ]


def test_cron_mails_the_changes_of_the_night(shell, simulate, home):
    (home / ".config").mkdir()
    sim = simulate(0)
    (home / ".config" / "vercel-token").write_text(sim.token)
    (command,) = [each for each in cron_commands() if "changes.sql" in each]
    assert shell(command, sim).returncode == 0
    sim.state.add_token({"id": "new", "name": "made overnight"})
    ended = shell(command, sim)
    assert ended.returncode == 3
    assert "made overnight" in ended.stdout


# systemd


def unit(name: str) -> dict[str, dict[str, list[str]]]:
    """A unit's sections; a key may stand more than once."""

    class Keys(dict):
        def __setitem__(self, key, value):
            if key in self and isinstance(value, list):
                value = self[key] + value
            super().__setitem__(key, value)

    parser = configparser.RawConfigParser(strict=False, dict_type=Keys, delimiters=("=",))
    parser.optionxform = str
    parser.read_string((SCHEDULES / name).read_text())
    return {
        section: {key: value.split("\n") for key, value in parser.items(section)}
        for section in parser.sections()
    }


def test_the_systemd_service(home, simulate):
    sim = simulate(LEAKED)
    service = unit("vercel-sql-reports.service")["Service"]
    assert service["Type"] == ["oneshot"]
    credentials, state = home / "credentials", home / "state"
    credentials.mkdir()
    state.mkdir()
    ((name, _),) = (entry.split(":") for entry in service["LoadCredential"])
    (credentials / name).write_text(sim.token)
    known = {"STATE_DIRECTORY": str(state), "CREDENTIALS_DIRECTORY": str(credentials)}
    directory = service["WorkingDirectory"][0].replace("/opt/vercel-sql", str(REPOSITORY))
    codes = []
    for line in service["ExecStart"]:
        program, *arguments = shlex.split(string.Template(line).substitute(known))
        assert program == "/usr/local/bin/vercel-sql"
        ended = subprocess.run(
            [home / "bin" / "vercel-sql", *arguments],
            cwd=directory,
            env=environment(sim) | {"VERCEL_TOKEN": ""},
            capture_output=True,
            timeout=PATIENCE,
        )
        codes.append(ended.returncode)
    assert codes == [0, 3]
    pages = list(state.iterdir())
    assert len(pages) == 7
    assert {stat.S_IMODE(page.stat().st_mode) for page in pages} == {0o600}


def test_the_systemd_timer():
    timer = unit("vercel-sql-reports.timer")
    assert timer["Timer"]["OnCalendar"] == ["*-*-* 06:30:00"]
    assert timer["Install"]["WantedBy"] == ["timers.target"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_finds_nothing_wrong(home, tmp_path):
    units = tmp_path / "units"
    units.mkdir()
    for source in SCHEDULES.glob("vercel-sql-reports.*"):
        text = source.read_text().replace("/usr/local/bin", str(home / "bin"))
        (units / source.name).write_text(text)
    ended = subprocess.run(
        ["systemd-analyze", "verify", *map(str, units.iterdir())],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    complaints = [line for line in ended.stderr.splitlines() if "vercel-sql" in line]
    assert complaints == []


# GitHub Actions


def test_github_actions(shell, simulate, home):
    workflow = yaml.safe_load((SCHEDULES / "github-actions.yml").read_text())
    triggers = workflow[True]  # YAML 1.1 reads the word on so
    assert is_when(triggers["schedule"][0]["cron"].split())
    assert workflow["permissions"] == {"contents": "read"}
    (job,) = workflow["jobs"].values()
    assert all(("uses" in step) != ("run" in step) for step in job["steps"])
    (step,) = [step for step in job["steps"] if "vercel-sql run" in step.get("run", "")]
    assert "${{" not in step["run"]
    command = f"cd {shlex.quote(str(home / 'vercel-sql'))} && {step['run']}".replace(
        "--out reports", f"--out {home / 'reports'}"
    )
    for number, (tokens, code) in enumerate(((LEAKED, 3), (0, 0))):
        summary = home / f"summary{number}.md"
        variables = {"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_ACTIONS": "true"}
        ended = shell(f"set -e; {command}", simulate(tokens), program="bash", **variables)
        assert ended.returncode == code
        assert len(list((home / "reports").glob("*.html"))) == 6
        assert ("hand-made" in summary.read_text()) == (code == 3)


def test_github_actions_gives_the_token_to_one_step_and_pins_what_it_runs():
    text = (SCHEDULES / "github-actions.yml").read_text()
    workflow = yaml.safe_load(text)
    (job,) = workflow["jobs"].values()
    assert "env" not in workflow
    assert "env" not in job
    (given,) = [step for step in job["steps"] if "env" in step]
    assert given["env"] == {"VERCEL_TOKEN": "${{ secrets.VERCEL_TOKEN }}"}
    assert text.count("secrets.") == 1
    assert "install" not in given["run"]
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert len(used) == 3
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", each) for each in used)
    (install,) = [step["run"] for step in job["steps"] if "install" in step.get("run", "")]
    assert install == f"pip install vercel-sql=={__version__}"


# Airflow


@pytest.fixture
def airflow(monkeypatch):
    """Stands in for Airflow, and keeps what a DAG asks for."""
    asked: dict[str, list[dict[str, Any]]] = {"dags": [], "tasks": []}

    class Dag:
        def __init__(self, **options: Any) -> None:
            asked["dags"].append(options)

        def __enter__(self) -> Dag:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    def bash_operator(**options: Any) -> None:
        asked["tasks"].append(options)

    modules = {
        "airflow": {},
        "airflow.sdk": {"DAG": Dag},
        "airflow.providers": {},
        "airflow.providers.standard": {},
        "airflow.providers.standard.operators": {},
        "airflow.providers.standard.operators.bash": {"BashOperator": bash_operator},
    }
    for name, contents in modules.items():
        module = ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)
    return asked


def test_airflow(airflow, shell, simulate, home):
    runpy.run_path(str(SCHEDULES / "airflow_dag.py"))
    (dag,) = airflow["dags"]
    assert is_when(dag["schedule"].split())
    assert dag["start_date"].tzinfo is not None
    sim = simulate(LEAKED)
    codes = {}
    for task in airflow["tasks"]:
        assert task["env"] == {"VERCEL_TOKEN": "{{ conn.vercel.password }}"}
        directory = task["cwd"].replace("/opt/vercel-sql", str(REPOSITORY))
        command = task["bash_command"].replace("{{ ds }}", "2026-01-31")
        command = command.replace("/var/lib/vercel-sql", str(home / "var"))
        assert "{{" not in command
        ended = shell(f"cd {shlex.quote(directory)} && {command}", sim, program="bash")
        codes[task["task_id"]] = ended.returncode
    assert codes == {"write_reports": 0, "fail_on_leaked": 3, "fail_on_expiring": 0}
    assert len(list((home / "var" / "2026-01-31").glob("*.parquet"))) == 7
