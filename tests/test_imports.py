"""What is imported for what: most of what a process takes to start is libraries."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from vercel_sql.cli.commands import COMMANDS
from vercel_sql.simulator import Simulator

LIBRARIES = ("duckdb", "httpx", "numpy", "pandas", "pyarrow", "sqlglot", "trio")
REPORT = (
    "import atexit, sys\n"
    f"told = lambda: sys.stderr.write(' '.join(n for n in {LIBRARIES} if n in sys.modules))\n"
    "atexit.register(told)\n"
)
COMMAND = "sys.argv[1:] = {!r}\nfrom vercel_sql.cli.main import entry_point\nentry_point()\n"
PYTHON = "import vercel_sql\nwith vercel_sql.connect() as db:\n    db.execute({!r}).fetchall()\n"
LISTING = "SELECT name FROM vercel.authentication.user_tokens WHERE origin = 'manual'"


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], set[str]]:
    """The libraries that a process has imported at its end, all of which are installed."""
    monkeypatch.setenv("VERCEL_TOKEN", "vcp_notOfAnyAccountAtAll0001")

    def run(code: str) -> set[str]:
        command = [sys.executable, "-c", REPORT + code]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=100)
        assert ended.returncode == 0, ended.stderr
        return set(ended.stderr.split())

    return run


@pytest.mark.parametrize("arguments", [["--version"], ["--help"]])
def test_help_needs_no_library(imported, arguments):
    assert imported(COMMAND.format(arguments)) == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_needs_no_library(imported, command):
    assert imported(COMMAND.format([command, "--help"])) == set()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",
        "SELECT sum(i), 'é' AS t, true, 1.5::DECIMAL(9, 2), 'nan'::DOUBLE FROM range(3) t(i)",
        "CREATE TABLE t (i INTEGER); INSERT INTO t VALUES (1); SELECT * FROM t",
    ],
)
def test_a_statement_of_duckdb_s_needs_duckdb_alone(imported, statement):
    assert imported(COMMAND.format(["-c", statement])) == {"duckdb"}
    assert imported(PYTHON.format(statement)) == {"duckdb"}


@pytest.mark.parametrize("form", ["csv", "json", "ndjson", "markdown"])
def test_no_format_needs_more(imported, form):
    assert imported(COMMAND.format(["-o", form, "-c", "SELECT 1 AS one"])) == {"duckdb"}


def test_a_listing_needs_no_pandas(imported, monkeypatch):
    with Simulator(3) as sim:
        monkeypatch.setenv("VERCEL_TOKEN", sim.token)
        monkeypatch.setenv("VERCEL_API_URL", sim.url)
        found = imported(COMMAND.format(["-c", LISTING]))
    assert found == {"duckdb", "httpx", "numpy", "pyarrow"}


def test_a_dataframe_can_be_had_after_a_listing():
    pandas = pytest.importorskip("pandas")
    import vercel_sql

    with Simulator(3) as sim, vercel_sql.connect(sim.token, api_url=sim.url) as db:
        assert isinstance(db.execute(LISTING).df(), pandas.DataFrame)
