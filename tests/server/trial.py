"""Tries functions of DuckDB with deep and long arguments, in a process that may die of it.

It reads statements, one a line as JSON, and says before and after each how it went. The process has
the bounds of a server's database process, so that what can't be had is an error.
"""

from __future__ import annotations

import itertools
import json
import select
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator

import duckdb

from vercel_sql.server.bounds import Bounds, limit_memory

MOST_WAYS = 100
DEPTH, SIZE, NUMBER = 300_000, 1_000_000, 2_000_000_000
_DEEP = f"repeat('[',{DEPTH})||'1'||repeat(']',{DEPTH})"
_OBJECTS = f"repeat('{{\"a\":',{DEPTH})||'1'||repeat('}}',{DEPTH})"
_LONG = f"repeat('ab',{SIZE // 2})"
_LIST = f"range({SIZE // 50})"
_NESTED = "[" * 150 + "1" + "]" * 150
# For each type the arguments that are tried, the deep ones first.
ARGUMENTS = {
    "VARCHAR": [_DEEP, _OBJECTS, _LONG, f"'{{:{NUMBER}}}%{NUMBER}d'"],
    "JSON": [f"({_DEEP})::JSON", f"({_OBJECTS})::JSON"],
    "ANY": [_DEEP, _OBJECTS, _NESTED, _LIST],
    "T": [_NESTED, _LONG],
    "K": [_NESTED, _LONG],
    "V": [_NESTED, _LONG],
    "BLOB": [f"({_LONG})::BLOB"],
    "BIT": [f"repeat('1',{SIZE})::BIT"],
    "BIGNUM": [f"repeat('9',{SIZE // 100})::BIGNUM"],
    "VARCHAR[]": [f"list_transform({_LIST}, lambda x: 'ab')"],
    "MAP(K, V)": [f"MAP({_LIST}, {_LIST})"],
    "STRUCT": [f"{{'a': {_NESTED}}}"],
    "INTERVAL": ["INTERVAL 1000000 YEAR"],
    "BOOLEAN": ["true"],
    "DATE": ["DATE '2020-01-01'"],
    "TIMESTAMP": ["TIMESTAMP '2020-01-01'"],
    "DOUBLE": ["1e300", "0.5"],
}
_NUMBERS = {"BIGINT", "INTEGER", "HUGEINT", "UBIGINT", "UINTEGER", "UHUGEINT"}


def arguments(type_: str) -> list[str]:
    """What is tried for a parameter of a type; empty for a type that has no depth and no size."""
    if type_ in ARGUMENTS:
        return ARGUMENTS[type_]
    if type_ in _NUMBERS:
        return [str(NUMBER), "1"]
    return [_LIST] if type_.endswith("[]") else []


def statements(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each function with one statement for each way to call it with deep or long arguments."""
    wanted = set(names)
    with duckdb.connect() as con:
        query = (
            "SELECT DISTINCT function_name, parameter_types, varargs IS NOT NULL "
            "FROM duckdb_functions() WHERE function_type IN ('scalar', 'aggregate', 'macro')"
        )
        found = sorted(con.execute(query).fetchall(), key=str)
    seen: set[str] = set()
    for name, types, has_more in found:
        if name.lower() not in wanted:
            continue
        choices = [arguments(type_ or "ANY") for type_ in [*types, *(["ANY"] if has_more else [])]]
        # The extremes of one argument may need valid others: all of them with one another.
        ways = itertools.product(*(each or ["1"] for each in choices))
        for given in itertools.islice(ways, MOST_WAYS if any(choices) else 0):
            called = f'"{name}"({", ".join(given)})'
            text = f"SELECT length(({called})::VARCHAR)"
            if text not in seen:
                seen.add(text)
                yield name.lower(), text


class Trial:
    """A process that runs statements, started again when it dies."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()

    def run(self, text: str, seconds: float) -> str:
        """How a statement went: fine, an error's kind, ``died`` or ``too long``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(text).encode() + b"\n")
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            said = "too long"
        else:
            said = self._process.stdout.readline().decode().strip() or "died"
        if said in ("too long", "died"):
            self.close()
            self._start()
        return said


def main() -> None:
    """Runs statements until there are no more."""
    bounds = Bounds()
    limit_memory(bounds)
    con = duckdb.connect(config={"memory_limit": f"{bounds.memory // 2}MiB", "threads": 1})
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            con.execute(json.loads(line)).fetchall()
            said = "fine"
        except (duckdb.Error, MemoryError) as error:
            said = type(error).__name__
        try:
            con.execute("SELECT 42").fetchall()
        except duckdb.FatalException:
            return  # who has a broken database is as good as dead
        print(said, flush=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--all"]:
        from vercel_sql.server.judge import builtin

        trial = Trial()
        for name, text in statements(builtin().functions):
            began = time.monotonic()
            said = trial.run(text, 20)
            took = time.monotonic() - began
            if said in ("died", "too long") or took > 2:
                print(name, said, f"{took:.1f}", text[:150], flush=True)
        trial.close()
    else:
        main()
