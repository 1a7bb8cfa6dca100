"""Reports: files of SQL, hand-made accounts, and the command that runs them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

QUERIES = Path(__file__).parents[3] / "queries"
HOUR = 3_600_000
DAY = 24 * HOUR
CALLING = "simulated calling token"


@pytest.fixture
def now() -> int:
    """The time, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@pytest.fixture
def report_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a report: ``report_file("SELECT 1", "one.sql")``."""

    def write(text: str, name: str = "report.sql") -> Path:
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return path

    return write


@pytest.fixture
def run(here: Callable[..., Any], sim: Any) -> Callable[..., Any]:
    """Runs ``vercel-sql run`` in this process, on the small account or another."""

    def command(*arguments: object, sim: Any = sim) -> Any:
        return here("run", *map(str, arguments), sim=sim)

    return command
