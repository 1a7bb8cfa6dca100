"""The table of kinds: what each kind of token may do, and what its owner sees.

``python -m tests.kinds.table`` (with the package and its test requirements installed) writes
``tests/kinds/TABLE.md`` anew; the tests compare it with what happens.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import vercel_sql
from vercel_sql.cli.main import main
from vercel_sql.simulator import KINDS, Kind, Simulator

FILE = Path(__file__).with_name("TABLE.md")
DASHBOARD = "https://vercel.com/account/tokens"
TITLES: dict[Kind, str] = {
    "full": "a personal token for the whole account",
    "team": "a personal token that is limited to a team",
    "project": "a personal token that is limited to a project",
    "app": "the session of an app, as of `vercel-sql login`",
    "cli": "the session of Vercel's command line",
    "limited": "a token of a few permissions, which reads a limited user",
    "integration": "an integration's token",
}
_TOKENS = "vercel.authentication.user_tokens"
_HEAD = """# What each kind of token may do

Written by `python -m tests.kinds.table`, and compared with what happens by the tests. Each kind of
token makes the calls on a simulated account and tries each operation: **list** counts the tokens,
**get** reads another one, **create** makes one, **delete** revokes another one, **rotate** replaces
another one, **user** and **teams** read those tables, and **whoami** is the command. The simulated
API allows what is certain at Vercel, and refuses all else.
"""


class World:
    """An account, and its owner with a token of one kind."""

    def __init__(self, kind: Kind, sim: Simulator, folder: Path) -> None:
        self.sim = sim
        self.other = sim.state.add_token({"name": "another"})
        self._bearer = sim.bearer(kind)
        self._folder = folder
        self.before = self._ids()

    def sql(self, statement: str, **parameters: object) -> str:
        """What comes of a statement: its rows, or the error."""
        options = {"api_url": self.sim.url, "oauth_url": self.sim.url}
        file = self._folder / "secrets.jsonl"
        with vercel_sql.connect(self._bearer, secrets_file=file, **options) as db:
            try:
                cursor = db.execute(statement, parameters or None)
                rows = cursor.fetchall() if cursor.description else []
            except vercel_sql.Error as error:
                assert self._ids() == self.before, "what is refused changes nothing"
                return f"{type(error).__name__}: {error}"
        if cursor.description is None:
            return f"{cursor.rowcount} done"
        return ", ".join(str(value) for value in rows[0]) if rows else "no row"

    def whoami(self) -> str:
        """What the command prints, messages first."""
        out, err = io.StringIO(), io.StringIO()
        environment = {
            "VERCEL_TOKEN": self._bearer,
            "VERCEL_API_URL": self.sim.url,
            "VERCEL_OAUTH_URL": self.sim.url,
        }
        with mock.patch.dict(os.environ, environment), redirect_stdout(out), redirect_stderr(err):
            assert main(["whoami"]) == 0, err.getvalue()
        lines = [line.strip() for line in (err.getvalue() + out.getvalue()).splitlines()]
        return " / ".join(line for line in lines if not line.startswith(("api ", "source ")))

    def _ids(self) -> set[str]:
        return {token.id for token in self.sim.state.tokens()}


def _create(world: World) -> str:
    told = world.sql(f"INSERT INTO {_TOKENS} (name) VALUES ('made') RETURNING name")
    return "made" if told == "made" else told


def _rotate(world: World) -> str:
    told = world.sql(f"EXEC {_TOKENS}.rotate_token @tokenId = $id", id=world.other.id)
    if told.startswith("vcp_"):
        assert world.sim.state.find_token(world.other.id) is None
        return "rotated"
    return told


OPERATIONS: dict[str, Callable[[World], str]] = {
    "list": lambda world: world.sql(f"SELECT count(*) || ' tokens' FROM {_TOKENS}"),
    "get": lambda world: world.sql(f"SELECT name FROM {_TOKENS} WHERE id = $id", id=world.other.id),
    "create": _create,
    "delete": lambda world: world.sql(f"DELETE FROM {_TOKENS} WHERE id = $id", id=world.other.id),
    "rotate": _rotate,
    "user": lambda world: world.sql(
        "SELECT username, if(limited, 'in limited form', 'in full') FROM vercel.user.user"
    ),
    "teams": lambda world: world.sql(
        "SELECT count(*) || ' teams', count(limited) || ' of them in limited form' "
        "FROM vercel.teams.teams"
    ),
    "whoami": World.whoami,
}


def cell(kind: Kind, operation: str) -> str:
    """Carries out one cell of the table; gives what the user sees."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict(os.environ, {"VERCEL_SQL_STATE_DIR": f"{folder}/state"}),
        Simulator(248) as sim,
    ):
        return _plain(OPERATIONS[operation](World(kind, sim, Path(folder))))


def line(operation: str, told: str) -> str:
    """One cell as a row of the kind's table."""
    return f"| {operation} | {told} |"


def document() -> str:
    """The whole table as Markdown."""
    parts = [_HEAD]
    for kind in KINDS:
        parts.append(f"\n## {TITLES[kind]}\n\n| operation | the user sees |\n| --- | --- |")
        parts += [line(operation, cell(kind, operation)) for operation in OPERATIONS]
    return "\n".join(parts) + "\n"


def _plain(text: str) -> str:
    """What is told, without what differs from run to run."""
    for pattern, instead in (
        (r"http://127\.0\.0\.1:\d+", "https://api.vercel.com"),
        (r"\b(team_)?([0-9a-f]{64}|[0-9A-Za-z]{24})\b", "(id)"),
        (r"expires \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "expires (time)"),
        (r"\s+", " "),
        (r"\|", "\\|"),
    ):
        text = re.sub(pattern, instead, text)
    return text


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
