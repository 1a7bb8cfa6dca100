"""Histories of small accounts, and what the report of changes says about them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

CHANGES = Path(__file__).parents[3] / "queries" / "changes.sql"


def rows(file: Path, query: str, **variables: object) -> list[dict[str, Any]]:
    """What a query gives over a history that is attached as `vercel-sql run` does it."""
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{file}' AS history (READ_ONLY)")
        for name, value in variables.items():
            con.execute(f"SET VARIABLE {name} = $value", {"value": value})
        found = con.execute(query)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def changes(file: Path, **variables: object) -> list[dict[str, Any]]:
    """The rows of the report."""
    return rows(file, CHANGES.read_text("utf-8"), **variables)


def altered(file: Path, *statements: str) -> None:
    """Writes to a history by hand."""
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{file}' AS history")
        for statement in statements:
            con.execute(statement)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a history is to be."""
    return tmp_path / "history.duckdb"


@pytest.fixture
def snapshot(here: Callable[..., Any], file: Path) -> Callable[..., str]:
    """Takes a snapshot that has to work, and gives what was said: ``snapshot(sim)``."""

    def take(sim: Any, *options: str, to: str | Path = file) -> str:
        ended = here("snapshot", "--to", str(to), *options, sim=sim)
        assert (ended.code, ended.out) == (0, ""), ended.err
        return ended.err

    return take
