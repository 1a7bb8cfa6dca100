"""The judge: ordinary queries pass, and whatever it does not know is refused."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from vercel_sql.manifest import vercel
from vercel_sql.server.judge import Judge, Refusal
from vercel_sql.simulator import Simulator

from ..conftest import Connections

HERE = Path(__file__)


@pytest.fixture
def passes(judge: Judge) -> Callable[[str], bool]:
    def ask(text: str) -> bool:
        try:
            judge.check(text)
        except Refusal:
            return False
        return True

    return ask


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB connection with an account attached, for all tests of this module."""
    connections = Connections()
    with Simulator(30) as account:
        yield connections(account)
        connections.close()


# --- what passes

# What DuckDB's own client sends when it attaches a server, and when it scans.
CLIENT = [
    "\nSELECT catalog_name, schema_name\nFROM information_schema.schemata\n"
    "WHERE catalog_name NOT IN ('system', 'temp')\nORDER BY ALL\n\t",
    "\nSELECT schema_name, sql, 'table'\nFROM duckdb_tables()\nUNION ALL\n"
    "SELECT schema_name, view_name, 'view'\nFROM duckdb_views()\n\t",
    "FROM audit.user_tokens",
]


def documented_selects() -> list[str]:
    root = HERE.parents[2]
    pages = [root / "README.md", *sorted(root.glob("docs/*.md"))]
    blocks = [b for p in pages for b in re.findall(r"```sql\n(.*?)```", p.read_text("utf-8"), re.S)]
    return [b.strip().rstrip(";") for b in blocks if b.startswith("SELECT")]


def view_queries() -> list[str]:
    """The queries of our own views, over the tables that clients see."""
    manifest, found = vercel(), []
    for name in manifest.service_names:
        for views in manifest.service(name).views.values():
            for view in views.values():
                found.append(re.sub(r"\{table:(\w+)\}", rf"vercel.{name}.\1", view.query))
    return found


def lines(name: str) -> list[str]:
    """The statements of a file with one a line, below its heading."""
    return HERE.with_name(name).read_text("utf-8").splitlines()[1:]


ORDINARY = lines("ordinary.sql")


@pytest.mark.parametrize("text", ORDINARY, ids=lambda text: text[:60])
def test_an_ordinary_query_passes_and_runs(
    passes: Any, con: duckdb.DuckDBPyConnection, text: str
) -> None:
    con.execute("USE vercel")
    con.execute(text).fetchall()
    assert passes(text)


@pytest.mark.parametrize("text", [*CLIENT, *documented_selects(), *view_queries()])
def test_what_we_and_the_client_write_ourselves_passes(passes: Any, text: str) -> None:
    assert passes(text)


def test_run_passes_in_what_a_client_sends_and_not_in_a_text_within(judge: Judge) -> None:
    for text in ("FROM run('SELECT 1')", "FROM main.run('x', request_id := 'a')"):
        judge.check(text)
        with pytest.raises(Refusal, match="the function 'run' is not open"):
            judge.check(text, inner=True)


# --- what is refused


def attack_steps() -> list[Any]:
    attacks = tomllib.loads(HERE.with_name("attacks.toml").read_text("utf-8"))["attack"]
    found = []
    for attack in attacks:
        steps = [step for step in attack["text"] if step != attack.get("tolerated")]
        found += [pytest.param(step, id=f"{attack['name']} {n}") for n, step in enumerate(steps)]
    return found


@pytest.mark.parametrize("text", attack_steps())
def test_an_attack_is_refused(passes: Any, text: str) -> None:
    # `run` is judged by what is in it, which these tests do not do.
    assert text.startswith("FROM run(") or not passes(text)


@pytest.mark.parametrize("text", [*lines("refused.sql"), "", ";", "SELECT 1\0"])
def test_what_is_not_known_to_be_harmless_is_refused(passes: Any, text: str) -> None:
    assert not passes(text)


def test_a_refusal_says_what_and_nothing_of_the_literals(judge: Judge) -> None:
    with pytest.raises(Refusal, match="the function 'read_text' is not open to clients"):
        judge.check("SELECT 'a secret' FROM read_text('another')")
    with pytest.raises(Refusal) as refused:
        judge.check("SELECT FROM 'a secret' WHERE")
    assert "secret" not in str(refused.value)


def kinds(tree: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Every place in a tree that says what kind of node it is."""
    if isinstance(tree, list):
        for each in tree:
            yield from kinds(each)
    elif isinstance(tree, dict):
        yield from ((tree, key) for key in ("class", "type") if isinstance(tree.get(key), str))
        for value in tree.values():
            yield from kinds(value)


@pytest.mark.parametrize("text", ORDINARY[1::4], ids=lambda text: text[:60])
def test_a_node_of_a_kind_that_is_not_listed_is_refused(judge: Judge, text: str) -> None:
    original = judge._parsed(text)
    count = sum(1 for _ in kinds(original))
    for place in range(count):
        tree = copy.deepcopy(original)
        node, key = list(kinds(tree))[place]
        node[key] = "A_KIND_THAT_A_LATER_DUCKDB_HAS"
        with pytest.raises(Refusal):
            judge._outer.check(tree)


@pytest.mark.parametrize(
    "answer",
    [
        "{}",
        "[]",
        "null",
        '{"error": true}',
        '{"error": false}',
        '{"error": false, "statements": null}',
        '{"error": false, "statements": []}',
        '{"error": false, "statements": [{}, {}]}',
        '{"error": false, "statements": [{"cte_map": null}]}',
        '{"error": false, "statements": [{"type": "BASE_TABLE"}]}',
        '{"error": false, "statements": [{"class": "FUNCTION", "type": "FUNCTION"}]}',
        '{"error": false, "statements": [{"type": "TABLE_FUNCTION", "function": null}]}',
    ],
)
def test_a_tree_of_another_form_is_refused(
    judge: Judge, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(judge, "_parsed", lambda _text: json.loads(answer))
    with pytest.raises(Refusal):
        judge.check("SELECT 1")


def test_a_long_list_of_ids_passes(passes: Any) -> None:
    ids = ", ".join(f"'{number:064x}'" for number in range(1_000))
    assert passes(f"SELECT name FROM authentication.user_tokens WHERE id IN ({ids})")


def test_many_brackets_side_by_side_pass(passes: Any) -> None:
    assert passes("VALUES " + ", ".join(["(upper('(('))"] * 2_000))


def test_aliases_of_aliases_are_bounded(judge: Judge) -> None:
    def text(count: int) -> str:
        return "SELECT 1 AS a0, " + ", ".join(f"a{n}+a{n} AS a{n + 1}" for n in range(count))

    judge.check(text(8))
    with pytest.raises(Refusal, match="refer to one another"):
        judge.check(text(26))


def test_a_text_of_too_many_parts_is_refused(judge: Judge) -> None:
    judge.check("SELECT 1" + ",1" * 1_000)
    with pytest.raises(Refusal, match="too many parts"):
        judge.check("SELECT 1" + ",1" * 49_000)
