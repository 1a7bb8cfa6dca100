"""A bare Quack server, which serves a view of the same name: what ours is compared with.

It is started with a folder, a port, a token and the extension files.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb


def main() -> None:
    """Serves until standard input ends."""
    folder, port, token, *files = sys.argv[1:]
    path = str(Path(folder) / "vercel.db")
    con = duckdb.connect(path, config={"allow_unsigned_extensions": "true"})
    for file in files:
        con.execute(f"LOAD '{file}'")
    con.execute("CREATE SCHEMA authentication")
    con.execute(
        "CREATE VIEW authentication.user_tokens AS "
        "SELECT 'id ' || i AS id, 'name ' || i AS name, i AS createdAt FROM range(31) AS r(i)"
    )
    con.execute(f"CALL quack_serve('quack:localhost:{port}', token := '{token}')")
    print("Serving", flush=True)
    sys.stdin.read()
    con.execute(f"CALL quack_stop('quack:localhost:{port}')")


if __name__ == "__main__":
    main()
