"""Runs each file that standard input names on plain DuckDB and on ours, side by side."""

from __future__ import annotations

import gc
import json
import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

import vercel_sql

sys.path.insert(0, str(Path(__file__).resolve().parent))
from records import Record, read

MOST_ROWS = 2_000
LONGEST = 4_000
MOST_STATEMENTS = 400
NOWHERE = "http://127.0.0.1:9"
# Nothing is fetched from anywhere, and a file's tests do not take the whole machine.
SETTINGS = """
    SET autoinstall_known_extensions = false; SET threads = 1; SET memory_limit = '1GB';
    SET max_temp_directory_size = '1GB'
"""
BASES = {
    duckdb.NotSupportedError: "NotSupportedError",
    duckdb.ProgrammingError: "ProgrammingError",
    duckdb.IntegrityError: "IntegrityError",
    duckdb.DataError: "DataError",
    duckdb.OperationalError: "OperationalError",
    duckdb.InternalError: "InternalError",
    # What DuckDB calls nothing else.
    duckdb.Error: "DatabaseError",
}


class Side:
    """One way to run statements, with databases of its own."""

    def __init__(self, ours: bool, folder: Path) -> None:
        self._ours, self._folder = ours, folder
        self._database = f":memory:{uuid.uuid4().hex}"
        self._connections: dict[str, Any] = {}
        folder.mkdir()

    def reopen(self, path: str | None) -> None:
        self.close()
        if path is not None:
            self._database = self._here(path) or f":memory:{uuid.uuid4().hex}"

    def close(self) -> None:
        for each in self._connections.values():
            each.close()
        self._connections = {}

    def _connection(self, label: str) -> Any:
        if label not in self._connections:
            if self._ours:
                con = vercel_sql.connect(
                    "none", api_url=NOWHERE, oauth_url=NOWHERE, database=self._database
                )
            else:
                con = duckdb.connect(self._database)
                con.execute("SET enable_progress_bar = false")
            self._connections[label] = con
            if len(self._connections) == 1:
                con.execute(SETTINGS)
        return self._connections[label]

    def _here(self, text: str) -> str:
        for name in ("__TEST_DIR__", "{TEMP_DIR}", "{TEST_DIR}"):
            text = text.replace(name, str(self._folder))
        return text.replace("{DATA_DIR}", "data")

    def run(self, record: Record) -> tuple[str, float]:
        """What came of a statement, and the seconds it took."""
        began = time.perf_counter()
        try:
            con = self._connection(record.label)
            text = self._here(record.text)
            began = time.perf_counter()
            con.execute(text)
            described = con.description
            rows = con.fetchmany(MOST_ROWS) if described is not None else []
            seconds = time.perf_counter() - began
        except Exception as error:
            return self._error(error), time.perf_counter() - began
        columns = [(str(each[0]), str(each[1])) for each in described or []]
        if columns in ([("Count", "BIGINT")], [("Success", "BOOLEAN")]):
            # What PEP 249 calls no rows.
            columns, rows = [], []
        return self._text([columns, rows]), seconds

    def _text(self, value: object) -> str:
        return repr(value).replace(str(self._folder), "__TEST_DIR__")

    def _error(self, error: Exception) -> str:
        kind = next((n for base, n in BASES.items() if isinstance(error, base)), None)
        if kind is None:
            kind = type(error).__name__ if isinstance(error, vercel_sql.Error) else "not in Python"
        # Where in the statement it is, is drawn in DuckDB's way or in ours.
        said = " ".join(str(error).partition("\nLINE ")[0].partition("\n    LINE ")[0].split())
        text = f"{kind}: {said}" if kind != "not in Python" else kind
        return text.replace(str(self._folder), "__TEST_DIR__")


def compared(file: str) -> list[dict[str, Any]]:
    """What each statement of a file did on both sides."""
    records = read(Path(file).read_text(errors="replace"))[:MOST_STATEMENTS]
    folder = Path(tempfile.mkdtemp())
    plain, ours = Side(False, folder / "a"), Side(True, folder / "b")
    try:
        found = [_outcome(record, *pair) for record, *pair in _run(records, plain, ours)]
        if not all(each["same"] for each in found):
            again = [pair[0] for _, *pair in _run(records, Side(False, folder / "c"))]
            for each, (said, _) in zip(found, again, strict=True):
                each["varies"] = not each["same"] and each["plain"] != said[:LONGEST]
        return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(records: list[Record], *sides: Side) -> Iterator[list[Any]]:
    """Each statement with what it did on each side."""
    try:
        for record in records:
            if record.kind == "run":
                yield [record, *(side.run(record) for side in sides)]
            else:
                for side in sides:
                    side.reopen(record.text if record.kind == "load" else None)
    finally:
        for side in sides:
            side.close()


def _outcome(record: Record, plain: tuple[str, float], ours: tuple[str, float]) -> dict[str, Any]:
    (first, one), (second, two) = plain, ours
    outcome: dict[str, Any] = {"same": first == second, "varies": False}
    if first.startswith("["):
        outcome["cost"] = two - one
    if not outcome["same"]:
        outcome |= {
            name: text[:LONGEST]
            for name, text in (("text", record.text), ("plain", first), ("ours", second))
        }
    return outcome


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a statement may write to standard output too
    for line in sys.stdin:
        print(json.dumps(compared(line.strip())), file=answers, flush=True)
        gc.collect()
