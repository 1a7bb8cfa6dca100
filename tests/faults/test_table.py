"""Every fault on every operation: what the user sees, and that nothing is lost."""

from __future__ import annotations

import gc

import pytest

from .faults import FAULTS, Fault
from .operations import OPERATIONS, Operation
from .table import FILE, line, seen


def written() -> dict[str, list[str]]:
    """The lines of the table that is in the repository, by the name of the fault."""
    sections = FILE.read_text(encoding="utf-8").split("\n## ")[1:]
    return {part.partition("\n")[0]: part.splitlines() for part in sections}


@pytest.fixture(scope="module", autouse=True)
def no_secrets_of_other_tests() -> None:
    """A connection that was not collected yet has its secrets masked, in our table's words too."""
    gc.collect()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_table_says_what_happens(fault: Fault, operation: Operation) -> None:
    assert line(operation, seen(fault, operation)) in written()[fault.name]


def test_the_table_has_every_fault_and_nothing_else() -> None:
    assert list(written()) == [fault.name for fault in FAULTS]
