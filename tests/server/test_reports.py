"""The reports of this repository, as they are, in the stock DuckDB shell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

QUERIES = Path(__file__).parents[2] / "queries"
# The report on changes reads a history, and no API.
FILES = sorted(path for path in QUERIES.glob("*.sql") if path.stem != "changes")


@pytest.fixture
def sim(shared):
    """The account of all tests of this module, which only read."""
    return shared[0]


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_a_report_in_the_stock_shell(reading, shell, connect, path):
    ended = shell(reading, path.read_text(), "-json")
    assert ended.stderr == ""
    rows = json.loads(ended.stdout or "[]")
    assert len(rows) == connect().execute(path.read_text()).arrow().num_rows > 0


def test_a_parameter_in_the_stock_shell(reading, shell):
    script = "SET VARIABLE teams = 0;\n" + (QUERIES / "broad_scopes.sql").read_text()
    ended = shell(reading, script, "-json")
    assert ended.stderr == ""
    assert any(row["why"] == "1 team" for row in json.loads(ended.stdout))
