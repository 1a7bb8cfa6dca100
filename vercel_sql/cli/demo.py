"""``vercel-sql demo``: a walk through the package, on a simulated API in this process."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from vercel_sql import Connection, connect
from vercel_sql.cli import FINE
from vercel_sql.cli.terminal import terminal_width
from vercel_sql.errors import Error, OperationalError
from vercel_sql.files import STATE_DIR_VARIABLE
from vercel_sql.ledger.journal import release_all
from vercel_sql.manifest import vercel
from vercel_sql.render import render
from vercel_sql.simulator import Simulator

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_SQL = files("vercel_sql.cli") / "demo.sql"
_NARROWEST = 80
_PIPED = 120  # columns if not on a terminal: people read the demo all the same


class Step(NamedTuple):
    """One step of the walk: what it shows, the statement, and whether that is to be refused."""

    text: str
    sql: str
    fails: bool


def _step(block: str) -> Step:
    lines = block.strip().splitlines()
    comment = [line.removeprefix("-- ") for line in lines if line.startswith("-- ")]
    text = "\n   ".join(line for line in comment if line != "refused")
    sql = "\n".join(line for line in lines if not line.startswith("-- "))
    return Step(text, sql, fails="refused" in comment)


STEPS = [_step(block) for block in _SQL.read_text("utf-8").split("\n\n")]


@contextmanager
def _state_dir_of_its_own() -> Iterator[None]:
    """Keep the demo's tokens, which are gone when it ends, out of the user's journal."""
    before = os.environ.get(STATE_DIR_VARIABLE)
    try:
        folder = tempfile.TemporaryDirectory(prefix="vercel-sql-demo-", ignore_cleanup_errors=True)
    except OSError as error:
        raise OperationalError(
            "the demo can't create a temporary directory: "
            f"{error.strerror or 'unknown error'} (TMPDIR names another place)"
        ) from None
    with folder as name:
        os.environ[STATE_DIR_VARIABLE] = name
        try:
            yield
        finally:
            release_all()
            if before is None:
                del os.environ[STATE_DIR_VARIABLE]
            else:
                os.environ[STATE_DIR_VARIABLE] = before


def run(_arguments: argparse.Namespace, _parser: argparse.ArgumentParser) -> int:
    out = sys.stdout
    width = max(terminal_width(), _NARROWEST) if out.isatty() else _PIPED
    out.write("A simulated Vercel account with 250 tokens; nothing leaves this machine.\n")
    with _state_dir_of_its_own(), Simulator(tokens=250, seed=7) as simulator:
        parameters: dict[str, object] = {}
        with connect(simulator.token, api_url=simulator.url) as connection:
            for number, step in enumerate(STEPS, start=1):
                sql = "\n".join(f"    {line}" for line in step.sql.splitlines())
                out.write(f"\n{number}. {step.text}\n\n{sql}\n\n")
                _show(connection, step, parameters, width)
    out.write(
        "\nThat was the demo. To continue on your own, leave this running in one terminal:\n"
        "\n    vercel-sql simulate\n"
        "\nand in another set the variables that it prints, then:\n"
        '\n    vercel-sql -c "SELECT * FROM vercel.audit.user_tokens WHERE is_leaked"\n'
    )
    return FINE


def _show(connection: Connection, step: Step, parameters: dict[str, object], width: int) -> None:
    used = {name: value for name, value in parameters.items() if f"${name}" in step.sql}
    try:
        cursor = connection.execute(step.sql, used)
        table, secrets = cursor.arrow(), cursor.secret_columns
    except Error as error:
        if not step.fails:
            raise
        sys.stdout.write(f"refused: {error}\n")
        return
    render(table, "table", sys.stdout, width=width, secret_columns=secrets)
    tokens = vercel().tokens()
    made = frozenset() if tokens.creator is None else tokens.creator.secrets
    if made.intersection(table.column_names):  # the new token, which is revoked later
        parameters["made"] = table.column(tokens.key)[0].as_py()
