"""A process of several DuckDB clients, each with a session and a thread of its own.

It is started with a file that says what to attach and what each client runs, and writes what came
of each statement to standard output. What one statement gives can stand in those that follow.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

import duckdb

ATTEMPTS = 10


def connected(statements: list[str]) -> duckdb.DuckDBPyConnection:
    """A client with the server attached."""
    con = duckdb.connect(config={"allow_unsigned_extensions": "true", "threads": 1})
    for statement in statements:
        con.execute(statement)
    return con


def run(con: duckdb.DuckDBPyConnection, text: str) -> tuple[list[Any], list[str]]:
    """The rows of a statement, and the errors before it gave them; some are tried again."""
    errors: list[str] = []
    while True:
        try:
            # Not con.sql, which sends the statement twice.
            rows = con.execute(text.replace("<attempt>", str(len(errors)))).fetchall()
        except duckdb.Error as error:
            errors.append(str(error))
            if "<attempt>" not in text or len(errors) == ATTEMPTS:
                return [], errors
        else:
            return rows, errors


def act(name: str, setup: list[str], steps: list[dict[str, str]], results: list[Any]) -> None:
    """What one client does."""
    try:
        con = connected(setup)
        kept: dict[str, str] = {}
        for number, step in enumerate(steps):
            text = step["sql"]
            for key, value in kept.items():
                text = text.replace(f"<{key}>", value)
            rows, errors = run(con, text)
            if "keep" in step and rows:
                kept[step["keep"]] = rows[0][0]
            results.append({"client": name, "step": number, "rows": rows, "errors": errors})
        con.close()
    except Exception as error:
        results.append({"client": name, "step": -1, "rows": [], "errors": [repr(error)]})


def main() -> None:
    """Runs all clients at once."""
    with open(sys.argv[1], encoding="utf-8") as file:
        plan = json.load(file)
    results: list[Any] = []
    threads = [
        threading.Thread(target=act, args=(name, plan["setup"], steps, results))
        for name, steps in plan["clients"].items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
