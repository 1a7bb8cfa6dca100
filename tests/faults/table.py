"""The fault table: every fault on every operation, as rows of text.

``python -m tests.faults.table`` (with the package and its test requirements installed) writes
``tests/faults/TABLE.md`` anew; the tests compare it with what happens.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from vercel_sql.simulator import Simulator

from .faults import FAULTS, Fault
from .operations import OPERATIONS, Operation, Seen
from .world import World

FILE = Path(__file__).with_name("TABLE.md")
_HEAD = """# What faults do

Written by `python -m tests.faults.table`, and compared with what happens by the tests. Each fault
befalls each operation on a simulated account of 251 tokens: **list** counts them (three pages; the
fault is on the second), **get** reads one, **create** makes three with a secrets file (the fault
begins at the second), **delete** revokes three (one after the other here; the fault begins at the
second), **exec** begins an email login, and **login** is `vercel-sql login --email` (the fault is
on the question whether it was confirmed). A request is sent twice at most here, and waited for 2 s.

*Lost* says what became of all that the server did: a token that was made is on disk with a secret
that works, or is named by the error or by `vercel-sql recover`. Nothing else happens in any cell.
"""

_COLUMNS = "| operation | the user sees | lost |\n| --- | --- | --- |"


def seen(fault: Fault, operation: Operation) -> Seen:
    """Carries out one cell of the table."""
    with tempfile.TemporaryDirectory() as folder, Simulator(250) as sim:
        before = os.environ.get("VERCEL_SQL_STATE_DIR")
        os.environ["VERCEL_SQL_STATE_DIR"] = f"{folder}/state"
        world = World(sim, Path(folder))
        try:
            with world.befallen(fault, *operation.request, operation.after):
                told = operation.run(world)
            return Seen(told, operation.account(world, told))
        finally:
            world.close()
            if before is None:
                del os.environ["VERCEL_SQL_STATE_DIR"]
            else:
                os.environ["VERCEL_SQL_STATE_DIR"] = before


def line(operation: Operation, cell: Seen) -> str:
    """One cell as a row of the fault's table."""
    told = re.sub(r"\s+", " ", cell.told).replace("|", "\\|")
    return f"| {operation.name} | {told} | {cell.lost} |"


def document() -> str:
    """The whole table as Markdown."""
    parts = [_HEAD]
    for fault in FAULTS:
        parts.append(
            f"\n## {fault.name}\n\n| operation | the user sees | lost |\n| --- | --- | --- |"
        )
        parts += [line(operation, seen(fault, operation)) for operation in OPERATIONS]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
