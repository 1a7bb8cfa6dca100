"""A process that runs ``vercel-sql`` again and again, each time in a child that may be killed.

Importing the package takes longer than many a command, so each child is forked from a process
that has imported it: this script, which reads one JSON object a line (``arguments``, ``out``,
``err``, and ``env``, which is added to its environment), answers with the child's process id, and
then, when it has ended, with its exit code.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback

from vercel_sql.cli.main import main
from vercel_sql.manifest import vercel

# All that a command imports, so that no child spends its time on it.
for _name in (
    "httpcore",
    "vercel_sql.cli.runner",
    "vercel_sql.cli.recover",
    "vercel_sql.connection",
    "vercel_sql.render",
    "vercel_sql.sql.engine",
    "vercel_sql.catalog.dataset",
    "vercel_sql.writes.functions",
):
    importlib.import_module(_name)
vercel().service("authentication")


def _run(arguments: list[str], out: str, err: str, env: dict[str, str]) -> int:
    """What the installed command does with its streams and exit code, in a forked child."""
    os.environ.update(env)
    for path, stream in ((out, 1), (err, 2)):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(handle, stream)
    try:
        code = main(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 2
    except BaseException:
        traceback.print_exc()
        code = 70
    return code


def serve() -> None:
    """Runs what it is told to, one after the other, until its input ends."""
    for line in sys.stdin:
        command = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(_run(**command))
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve()
