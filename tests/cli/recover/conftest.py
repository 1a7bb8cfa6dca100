"""What the tests of ``vercel-sql recover`` share: creates that a crash or a lost answer cut off."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from vercel_sql.ledger.journal_files import decode_record, encode_record, journal_folder
from vercel_sql.writes.orphans import unmarked

from ...chaos.conftest import Operator
from ..conftest import PATIENCE, environment

TABLE = "vercel.authentication.user_tokens"
INSERT = f"INSERT INTO {TABLE} (name) VALUES ('ci')"
FINE, FAILED, WRONG_USE, ORPHANS = 0, 1, 2, 3


def named(sim, name="ci") -> list[str]:
    return [token.id for token in sim.state.tokens() if unmarked(token["name"]) == name]


def until(condition: Callable[[], object]) -> None:
    """Waits until something is so."""
    for _ in range(PATIENCE * 100):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to that")


@pytest.fixture(scope="session")
def operator(tmp_path_factory) -> Iterator[Operator]:
    """Runs commands in processes of their own, none of which has to import anything."""
    operator = Operator(tmp_path_factory.mktemp("operator"))
    yield operator
    operator.close()


@pytest.fixture
def killed(sim, operator) -> Callable[..., None]:
    """Kills the command in the middle of a create: ``killed(acts=True)``, before any answer."""

    def kill(*options: str, sql: str = INSERT, **fault: Any) -> None:
        sim.clear_requests()
        sim.faults(kind="hang", method="POST", **fault)

        def is_sent() -> bool:
            sent = any(request.method == "POST" for request in sim.requests())
            return sent and bool(named(sim) or not fault.get("acts"))

        env = environment(sim)
        ended = operator.run("killed", *options, "-c", sql, kill_when=is_sent, env=env)
        assert ended.code == -signal.SIGKILL

    return kill


@pytest.fixture
def answered(sim) -> Callable[..., None]:
    """Kills a process when it has the answer, and before it has shown it to anybody."""

    def kill(**options: Any) -> None:
        script = (
            "import sys, vercel_sql\n"
            f"db = vercel_sql.connect({sim.token!r}, api_url={sim.url!r}, **{options!r})\n"
            f"db.execute({INSERT!r})\n"
            "print('made', flush=True)\n"
            "sys.stdin.read()\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout.readline() == b"made\n"
        process.kill()
        process.communicate(timeout=PATIENCE)

    return kill


@pytest.fixture
def recover(here, sim) -> Callable[..., tuple[int, list[dict[str, Any]]]]:
    """The exit code and the lines of the command."""

    def run(*options: str) -> tuple[int, list[dict[str, Any]]]:
        ended = here("recover", "-o", "json", *options, sim=sim)
        run.err = ended.err
        return ended.code, json.loads(ended.out) if ended.out.strip() else []

    return run


def files() -> list[Path]:
    return sorted(journal_folder().glob("*.create"))


def rewritten(**changes: Callable[[int], int]) -> None:
    """Changes numbers in all that the journal says."""
    for file in files():
        records = [decode_record(line) for line in file.read_bytes().splitlines()]
        for number, record in enumerate(records):
            new = {
                name: change(getattr(record, name))
                for name, change in changes.items()
                if getattr(record, name, None) is not None
            }
            records[number] = msgspec.structs.replace(record, **new)
        file.write_text("".join(encode_record(record) + "\n" for record in records))


def aged(hours: float = 3) -> None:
    """Makes all creates begin hours earlier, by every clock."""
    by = int(hours * 3_600_000)
    rewritten(**dict.fromkeys(("at", "steady_at", "server_at", "since"), lambda at: at - by))
