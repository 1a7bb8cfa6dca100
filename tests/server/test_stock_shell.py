"""The stock DuckDB shell reads from a server, and gives what our own shell gives."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vercel_sql
from vercel_sql.simulator import Simulator

from .conftest import OwnServer, as_json, as_text

TABLE = "vercel.authentication.user_tokens"

# The calling token changes with every call.
_OTHERS = "name <> 'simulated calling token'"

READS = {
    "list": f"SELECT id, name, origin, scopes, expiresAt FROM {TABLE} ORDER BY id",
    "everything": f"SELECT * FROM {TABLE} WHERE {_OTHERS} ORDER BY id",
    "filter": f"SELECT id FROM {TABLE} WHERE origin = 'github' AND name LIKE '%e%' ORDER BY id",
    "one": f"SELECT name, type, tokenId FROM {TABLE} WHERE tokenId = '{{id}}'",
    "none": f"SELECT name FROM {TABLE} WHERE id = 'no-such-token'",
    "aggregate": f"SELECT origin, count(*) AS n, min(createdAt) AS first FROM {TABLE} GROUP BY ALL "
    "ORDER BY ALL",
    "times": "SELECT id, created_at, active_at, never_expires, team_count "
    f"FROM vercel.audit.user_tokens WHERE {_OTHERS} ORDER BY id",
    "join with a CSV": "SELECT o.owner, count(*) AS tokens, bool_or(t.never_expires) AS forever "
    "FROM vercel.audit.user_tokens AS t JOIN read_csv('{csv}') AS o ON o.id = t.id "
    "GROUP BY ALL ORDER BY ALL",
    "join with teams": "SELECT t.name, g.slug FROM vercel.audit.user_tokens AS t, "
    "unnest(t.scopes) AS s(scope) JOIN vercel.teams.teams AS g ON g.id = s.scope.teamId "
    "ORDER BY ALL",
    "user": "SELECT id, username, email FROM vercel.user.user",
    "static": "SELECT scope FROM vercel.integrations.scopes ORDER BY scope LIMIT 3",
}


@pytest.fixture
def sim(shared: Any) -> Simulator:
    """The account of all tests of this module, which only read."""
    account: Simulator = shared[0]
    return account


@pytest.fixture
def ours(connect: Callable[..., vercel_sql.Connection]) -> Callable[[str], Any]:
    """What our own shell gives for a statement in its JSON mode."""
    return lambda statement: as_json(connect(), statement)


@pytest.fixture
def stock(reading: OwnServer, shell: Any) -> Callable[..., list[Any]]:
    """What the stock shell gives for each of some scripts in its JSON mode."""

    def run(*scripts: str) -> list[Any]:
        ended = shell(reading, "\n.print next\n".join(scripts), "-json")
        assert ended.stderr == ""
        return [json.loads(text or "[]") for text in re.split(r"^next\n", ended.stdout, flags=re.M)]

    return run


@pytest.fixture
def owners(ids: list[str], tmp_path: Path) -> Path:
    """A CSV file that says whose each token is."""
    path = tmp_path / "owners.csv"
    lines = [f"{id_},{'ada' if number % 3 else 'bob'}" for number, id_ in enumerate(ids)]
    path.write_text("id,owner\n" + "\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("name", READS)
def test_all_ways_to_ask_give_what_our_own_shell_gives(
    name: str, stock: Any, ours: Any, ids: list[str], owners: Path
) -> None:
    """As an attached table, as text that is sent, and by ``run``, as JSON."""
    query = READS[name].replace("{id}", ids[4]).replace("{csv}", str(owners))
    expected = ours(query)
    assert (expected == []) == (name == "none")
    scripts = []
    # Quack 1.5.5 reads one attached table a statement: "multiple streaming scans … not supported".
    if name != "join with teams":
        scripts.append(f"{query};")
    if "CSV" not in name:
        inner = f"SELECT row AS json FROM run({as_text(query)})"
        scripts += [f"FROM vercel.query({as_text(text)});" for text in (query, inner)]
    rows = stock(*scripts)
    if "CSV" not in name:
        rows[-1] = [row["json"] for row in rows[-1]]
    assert rows == [expected] * len(scripts)


@pytest.mark.parametrize(
    "statement",
    [
        "SHOW METHODS IN vercel.authentication.user_tokens",
        "SHOW SERVICES IN vercel",
        "DESCRIBE METHOD vercel.authentication.user_tokens.verify_token",
        "EXPLAIN DELETE FROM vercel.authentication.user_tokens WHERE id = 'abc'",
        "EXPLAIN INSERT INTO vercel.authentication.user_tokens (name) SELECT 'x'",
        "EXEC vercel.authentication.user_tokens.get_auth_token @tokenId = '{id}'",
        "DESCRIBE vercel.authentication.user_tokens",
    ],
)
def test_run_takes_the_statements_of_the_dialect(
    statement: str, stock: Any, ours: Any, ids: list[str]
) -> None:
    statement = statement.replace("{id}", ids[4])
    query = f"FROM vercel.query({as_text(f'FROM run({as_text(statement)})')});"
    (found,) = stock(query)
    rows = [row["row"] for row in found]
    if statement.startswith("EXPLAIN"):
        refused = "refused: this connection is read-only"
        assert {row["effect"]: row.pop("note") for row in rows}["write"] == refused
    assert rows == ours(statement)


def test_an_error_is_one_message_without_a_traceback(reading: OwnServer, shell: Any) -> None:
    refusals = {
        f"INSERT INTO {TABLE} (name) SELECT 'x'": "it changes something, and clients may only read",
        f"SELECT nme FROM {TABLE}": 'Referenced column "nme" not found',
        "SELECT 1; SELECT 2": "only one statement per request",
        "SHOW METHODS IN vercel.authentication.user_token": "there are",
    }
    for statement, message in refusals.items():
        inner = f"FROM run({as_text(statement)})"
        ended = shell(reading, f"FROM vercel.query({as_text(inner)});")
        assert ended.returncode != 0
        assert message in ended.stderr
        assert "Traceback" not in ended.stderr
        assert ".py" not in ended.stderr
