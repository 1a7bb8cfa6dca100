"""What clients may call was tried: deep and long arguments neither end the process nor hold it up.

Where VERCEL_SQL_TEST_SCALE is above 1 every way to call a function is tried, not the first alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vercel_sql.server.judge import builtin

from .conftest import SCALE
from .trial import Trial, statements

SECONDS = 60.0
# Their error for a zone that is none compares it with the names of all zones. They are worth
# having, and a statement that does not end has its process replaced.
SLOW_ERRORS = {"make_timestamptz", "timezone"}
# Casts are no functions of the list.
CASTS = [
    f"SELECT length((({text}){json}::{type_})::VARCHAR)"
    for text in (
        "repeat('[',300000)||'1'||repeat(']',300000)",
        "repeat('{\"a\":',300000)||'1'||repeat('}',300000)",
    )
    for json in ("", "::JSON")
    for type_ in ("JSON", "INTEGER[]", "STRUCT(a INTEGER)", "MAP(VARCHAR, VARCHAR)")
]


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    """A process that may die."""
    made = Trial()
    yield made
    made.close()


@pytest.mark.timeout(3600)
def test_no_function_ends_the_process_or_holds_it_up(trial: Trial) -> None:
    tried: set[str] = set()
    failed: list[tuple[str, str, str]] = []
    for name, text in statements(builtin().functions - SLOW_ERRORS):
        if name in tried and SCALE == 1:
            continue
        tried.add(name)
        said = trial.run(text, SECONDS)
        if said in ("died", "too long"):
            failed.append((name, said, text[:200]))
    assert failed == []
    assert len(tried) > 300


@pytest.mark.parametrize("text", CASTS, ids=range(len(CASTS)))
def test_no_cast_ends_the_process(trial: Trial, text: str) -> None:
    assert trial.run(text, SECONDS) != "died"


def test_the_trial_finds_what_ends_a_process(trial: Trial) -> None:
    found = ["from_json", "reservoir_quantile"]
    assert {name for name, text in statements(found) if trial.run(text, 60) == "died"} == {*found}
