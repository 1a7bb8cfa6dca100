"""The runner itself, on a few statements: what it finds must be what is there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SAME = """
# name: test/same.test

statement ok
CREATE TABLE t (i INTEGER)

foreach n 1 2

statement ok con1
INSERT INTO t VALUES (${n})

endloop

query I
SELECT sum(i) FROM t
----
3

statement error
SELECT no_such
----
not found

query I
SELECT random()
----
0.5
"""
DIFFERENT = """
query I
SELECT count(*) FROM duckdb_databases()
----
3

query I
SELECT database_name = 'vercel' FROM duckdb_databases() LIMIT 1 -- listed
----
false
"""


def test_what_differs_is_counted_and_explained(tmp_path):
    folder, found = tmp_path / "test", tmp_path / "found.jsonl"
    folder.mkdir()
    (folder / "same.test").write_text(SAME)
    (folder / "different.test").write_text(DIFFERENT)
    ended = subprocess.run(
        [
            *(sys.executable, str(Path(__file__).with_name("run.py")), str(folder)),
            *("--jobs", "1", "--differences", str(found)),
        ],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    lines = {text: int(count) for count, text in _counted(ended.stdout)}
    assert lines["files"] == 2
    assert lines["statements"] == 8
    assert lines["statements whose result varies in plain DuckDB"] == 1
    assert lines["differ: the catalog vercel is listed and counted too"] == lines["differences"]
    assert lines["not explained"] == 0
    assert "ms more than in plain DuckDB" in ended.stdout
    texts = [json.loads(line)["text"] for line in found.read_text().splitlines()]
    assert texts[0] == "SELECT count(*) FROM duckdb_databases()"


def _counted(text: str) -> list[list[str]]:
    lines = (line.split(maxsplit=1) for line in text.splitlines())
    return [line for line in lines if len(line) == 2 and line[0].isdigit()]
