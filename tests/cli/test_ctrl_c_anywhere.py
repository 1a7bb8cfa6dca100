"""Ctrl-C from the first import to the last moment of the process: 130, and no traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

from .conftest import PATIENCE, environment

# Sends the signal to itself when a module is about to be imported; or later, from within atexit.
IMPORTING = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            {then}

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
from vercel_sql.cli.main import entry_point
entry_point()
"""
LATER = "import atexit; atexit.register(interrupt)"


def ended(module, then="interrupt()", arguments=("-c", "SELECT 42"), **more):
    code = IMPORTING.format(module=module, then=then)
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize(
    "module",
    [
        "vercel_sql.cli.commands",
        "argparse",
        "duckdb",
        "vercel_sql.connection",
        "vercel_sql.cli.runner",
    ],
)
def test_while_a_module_is_imported(module):
    run = ended(module)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "vercel-sql: interrupted\n")


@pytest.mark.parametrize(
    "module", ["numpy", "numpy._core._multiarray_umath", "pyarrow.lib", "httpx"]
)
def test_while_a_statement_imports_a_module(module):
    listing = ("-c", "FROM vercel.authentication.user_tokens")
    run = ended(module, arguments=listing, VERCEL_TOKEN="vcp_none", VERCEL_API_URL="http://[::1]:1")
    assert (run.returncode, run.stdout) == (130, "")
    assert run.stderr.replace("in the statement at 1:1: ", "") == "vercel-sql: interrupted\n"


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("vercel_sql.cli.login", ("login", "--oauth", "--client-id", "x")),
        ("vercel_sql.cli.whoami", ("whoami",)),
        ("vercel_sql.cli.recover", ("recover",)),
        ("vercel_sql.cli.reports.run", ("run", "x.sql")),
        ("vercel_sql.cli.history", ("snapshot", "--to", "x.duckdb")),
        ("vercel_sql.cli.serve", ("serve", "--demo")),
        ("vercel_sql.cli.shell", ("shell", "--demo")),
        ("joserfc", ("simulate",)),
        ("vercel_sql.cli.demo", ("demo",)),
        ("filelock", ("logout",)),
    ],
)
def test_while_a_command_is_imported(module, arguments):
    run = ended(module, arguments=arguments)
    assert (run.returncode, run.stdout) == (130, "")
    assert run.stderr == "vercel-sql: interrupted\n"


def test_while_the_process_ends():
    run = ended("duckdb", LATER)
    assert run.returncode == 130
    assert "42" in run.stdout
    assert run.stderr == "vercel-sql: interrupted\n"


def test_when_all_was_done():
    """What runs last is none of ours, and the exit code is the command's."""
    run = ended("vercel_sql.cli.main", LATER)
    assert (run.returncode, run.stderr) == (0, "")


def test_a_shell_that_has_it_ignored():
    """As what a script starts with ``&``."""
    run = subprocess.run(
        ["/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-c",
         IMPORTING.format(module="duckdb", then="interrupt()"), "-c", "SELECT 42"],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )  # fmt: skip
    assert run.returncode == 0
    assert "42" in run.stdout
