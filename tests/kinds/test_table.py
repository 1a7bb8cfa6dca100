"""Each kind of token at each operation: what its owner sees, and what to do next."""

from __future__ import annotations

import pytest

from vercel_sql.simulator import KINDS, Kind

from .table import DASHBOARD, FILE, OPERATIONS, TITLES, cell, line

REFUSED = "Error: "


def written() -> dict[str, list[str]]:
    """The lines of the table that is in the repository, by the kind's title."""
    sections = FILE.read_text(encoding="utf-8").split("\n## ")[1:]
    return {part.partition("\n")[0]: part.splitlines() for part in sections}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_table_says_what_happens(kind: Kind, operation: str) -> None:
    told = cell(kind, operation)
    assert line(operation, told) in written()[TITLES[kind]]
    if REFUSED in told or (operation == "whoami" and kind != "full"):
        assert DASHBOARD in told, "no cell says less than what to do next"


def test_the_table_has_every_kind_and_nothing_else() -> None:
    assert list(written()) == [TITLES[kind] for kind in KINDS]
    assert all(len(lines) == len(OPERATIONS) + 4 for lines in written().values())
