"""A plugin of pytest's: notes which tests reach which lines, and runs those that it is told to.

``MUTATION_LINES`` names the file that the lines of each test are written to, where the modules are
marked. ``MUTATION_TESTS`` names a file with the tests to run, in order.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_LINES = os.environ.get("MUTATION_LINES")
_TESTS = os.environ.get("MUTATION_TESTS")

_reached: set[tuple[str, int]] = set()
_noted: dict[str, Any] = {}


def mark(file: str, line: int) -> None:
    """Notes that a test came to a statement."""
    _reached.add((file, line))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    if not _LINES:
        yield
        return
    _reached.clear()
    begun = time.process_time()
    yield
    took = time.process_time() - begun
    _noted[item.nodeid] = {"seconds": took, "lines": sorted(_reached), "passed": True}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.outcome != "passed":
        _noted[f"not passed: {report.nodeid}"] = {}


def pytest_sessionfinish() -> None:
    if _LINES:
        failed = {name.removeprefix("not passed: ") for name, each in _noted.items() if not each}
        passed = {name: each for name, each in _noted.items() if each and name not in failed}
        Path(_LINES).write_text(json.dumps(passed), "utf-8")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if _TESTS:
        order = {name: place for place, name in enumerate(json.loads(Path(_TESTS).read_text()))}
        items[:] = sorted(
            (item for item in items if item.nodeid in order), key=lambda item: order[item.nodeid]
        )
