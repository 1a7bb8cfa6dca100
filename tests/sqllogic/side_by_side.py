"""Runs each file that standard input names on plain DuckDB, on ours, and on plain DuckDB again."""

from __future__ import annotations

import gc
import json
import shutil
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import duckdb

import vercel_sql

sys.path.insert(0, str(Path(__file__).resolve().parent))
from records import Record, read

MOST_ROWS = 2_000
MOST_STATEMENTS = 1_500
NOWHERE = "http://127.0.0.1:9"
# Nothing is fetched from anywhere, and a file's tests do not take the whole machine.
SETTINGS = """
    SET autoinstall_known_extensions = false; SET threads = 2; SET memory_limit = '1GB';
    SET max_temp_directory_size = '1GB'
"""
BASES = {
    duckdb.NotSupportedError: "NotSupportedError",
    duckdb.ProgrammingError: "ProgrammingError",
    duckdb.IntegrityError: "IntegrityError",
    duckdb.DataError: "DataError",
    duckdb.OperationalError: "OperationalError",
    duckdb.InternalError: "InternalError",
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

    def run(self, record: Record) -> tuple[Any, float]:
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
            is_ours = isinstance(error, vercel_sql.Error | duckdb.Error)
            kind = type(error).__name__ if is_ours else "not in Python"
        # Where in the statement it is, is drawn in DuckDB's way or in ours.
        said = " ".join(str(error).partition("\nLINE ")[0].partition("\n    LINE ")[0].split())
        return self._text(f"{kind}: {said}" if kind != "not in Python" else kind)


def compared(file: str) -> list[dict[str, Any]]:
    records = read(Path(file).read_text(errors="replace"))[:MOST_STATEMENTS]
    folder = Path(tempfile.mkdtemp())
    sides = [Side(ours, folder / name) for name, ours in (("a", False), ("b", True), ("c", False))]
    found = []
    try:
        for record in records:
            if record.kind != "run":
                for side in sides:
                    side.reopen(record.text if record.kind == "load" else None)
                continue
            found.append(_outcome(record, [side.run(record) for side in sides]))
    finally:
        for side in sides:
            side.close()
        shutil.rmtree(folder, ignore_errors=True)
    return found


def _outcome(record: Record, ran: list[tuple[Any, float]]) -> dict[str, Any]:
    (first, one), (ours, two), (again, three) = ran
    outcome: dict[str, Any] = {"same": ours == first or ours == again, "varies": first != again}
    if not isinstance(first, str) or first.startswith("["):
        outcome["cost"] = two - (one + three) / 2
    if not outcome["same"]:
        outcome |= {"text": record.text[:4000], "plain": first[:4000], "ours": ours[:4000]}
    return outcome


if __name__ == "__main__":
    for line in sys.stdin:
        answer = json.dumps(compared(line.strip()))
        print(answer, flush=True)
        gc.collect()
