"""The simulated API shares no code with the client, so that it cannot agree with its mistakes."""

import ast
import sys
from pathlib import Path

import pytest

import vercel_sql.simulator

ROOM = "vercel_sql.simulator"
THEIRS = {"h11", "joserfc"}
MODULES = sorted(Path(vercel_sql.simulator.__file__).parent.rglob("*.py"))


def imported(path):
    """Every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import could lead anywhere"
            yield node.module


def test_there_are_modules():
    assert len(MODULES) > 10


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_it_imports_nothing_of_the_client(path):
    for name in imported(path):
        if name.partition(".")[0] == "vercel_sql":
            assert f"{name}.".startswith(f"{ROOM}."), name
        else:
            assert name.partition(".")[0] in THEIRS | sys.stdlib_module_names, name
    text = path.read_text("utf-8")
    assert "import_module" not in text
    assert "__import__" not in text
