"""``vercel-sql demo``: a walk through the package, on a simulated API in this process."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

from vercel_sql import Connection, connect
from vercel_sql.api.journal import release_all
from vercel_sql.api.state_dir import STATE_DIR_VARIABLE
from vercel_sql.cli import FINE
from vercel_sql.cli.options import guarded
from vercel_sql.errors import Error, OperationalError
from vercel_sql.render import render
from vercel_sql.simulator import Simulator

_NARROWEST = 80
_PIPED = 120  # columns if not on a terminal: people read the demo all the same


@dataclass(frozen=True)
class Step:
    """One step of the walk.

    Attributes:
        text: what it shows.
        sql: the statement.
        parameters: what later steps need of the first row: a parameter's name by column.
        fails: whether the statement is meant to be refused.
    """

    text: str
    sql: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    fails: bool = False


STEPS = (
    Step(
        "The newest tokens of the account. LIMIT makes one request, not the whole listing.",
        "SELECT id, name, origin, scopes[1].type AS scope\n"
        "FROM vercel.authentication.user_tokens\nLIMIT 5;",
    ),
    Step(
        "One token. A filter on its id, or on tokenId = 'current', becomes one request.",
        "SELECT name, type, tokenId\nFROM vercel.authentication.user_tokens\n"
        "WHERE tokenId = 'current';",
    ),
    Step(
        "An audit: how many working tokens never expire, have leaked, or are idle?\n"
        "   Browser sessions are left out: revoking one logs a person out.",
        "SELECT count(*) AS working,\n"
        "       count(*) FILTER (never_expires) AS never_expire,\n"
        "       count(*) FILTER (is_leaked) AS leaked,\n"
        "       count(*) FILTER (never_used) AS never_used,\n"
        "       count(*) FILTER (idle_days > 180) AS idle_half_a_year\n"
        "FROM vercel.audit.user_tokens\nWHERE is_working AND NOT is_session;",
    ),
    Step(
        "The leaked ones, with the team that each can reach: tables join like any others.",
        "SELECT u.name, u.leaked_at, coalesce(t.slug, 'the whole account') AS reaches\n"
        "FROM vercel.audit.user_tokens AS u, unnest(u.scopes) AS s(scope)\n"
        "LEFT JOIN vercel.teams.teams AS t ON t.id = s.scope.teamId\n"
        "WHERE u.is_leaked AND u.is_working AND NOT u.is_session\nORDER BY u.leaked_at;",
    ),
    Step(
        "What would an INSERT send? EXPLAIN shows it, and changes nothing.",
        "EXPLAIN INSERT INTO vercel.authentication.user_tokens (name, expiresAt)\n"
        "SELECT 'nightly report', DATE '2099-01-01';",
    ),
    Step(
        "INSERT creates the token. Its secret, bearerToken, is shown only this once.",
        "INSERT INTO vercel.authentication.user_tokens (name, expiresAt)\n"
        "SELECT 'nightly report', DATE '2099-01-01'\nRETURNING bearerToken, id;",
        parameters={"id": "made"},
    ),
    Step(
        "DELETE revokes. EXPLAIN first: which rows, which requests?",
        "EXPLAIN DELETE FROM vercel.authentication.user_tokens\nWHERE id = $made;",
    ),
    Step(
        "Then for real.",
        "DELETE FROM vercel.authentication.user_tokens\nWHERE id = $made\nRETURNING name, id;",
    ),
    Step(
        "A predicate that matches the token of these very calls does not delete it.",
        "DELETE FROM vercel.authentication.user_tokens\nWHERE name LIKE 'simulated%';",
        fails=True,
    ),
    Step(
        "EXEC calls any method of the API: this one starts a login by email.",
        "EXEC vercel.authentication.user_tokens.email_login @email = 'ada@example.com';",
    ),
    Step("All methods.", "SHOW METHODS IN vercel.authentication.user_tokens;"),
)


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """The command has no options."""


def run(_arguments: argparse.Namespace) -> int:
    """Run the walk, and return the exit code."""
    return guarded(lambda: _walk(sys.stdout))


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


def _walk(out: TextIO) -> int:
    columns = shutil.get_terminal_size().columns if out.isatty() else _PIPED
    width = max(columns, _NARROWEST)
    out.write("A simulated Vercel account with 250 tokens; nothing leaves this machine.\n")
    with _state_dir_of_its_own(), Simulator(tokens=250, seed=7) as simulator:
        parameters: dict[str, object] = {}
        with connect(simulator.token, api_url=simulator.url) as connection:
            for number, step in enumerate(STEPS, start=1):
                out.write(f"\n{number}. {step.text}\n\n{_indented(step.sql)}\n\n")
                _show(connection, step, parameters, out, width)
    out.write(
        "\nThat was the demo. To continue on your own, leave this running in one terminal:\n"
        "\n    vercel-sql simulate\n"
        "\nand in another set the variables that it prints, then:\n"
        '\n    vercel-sql -c "SELECT * FROM vercel.audit.user_tokens WHERE is_leaked"\n'
    )
    return FINE


def _show(
    connection: Connection,
    step: Step,
    parameters: dict[str, object],
    out: TextIO,
    width: int,
) -> None:
    used = {name: value for name, value in parameters.items() if f"${name}" in step.sql}
    try:
        cursor = connection.execute(step.sql, used)
        table, secrets = cursor.arrow(), cursor.secret_columns
    except Error as error:
        if not step.fails:
            raise
        out.write(f"refused: {error}\n")
        return
    render(table, "table", out, width=width, secret_columns=secrets)
    for column, name in step.parameters.items():
        parameters[name] = table.column(column)[0].as_py()


def _indented(sql: str) -> str:
    return "\n".join(f"    {line}" for line in sql.splitlines())
