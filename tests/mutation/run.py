"""Changes the package in many small places, one at a time, and counts what the tests notice.

Use: ``python tests/mutation/run.py [--count 200] [--seed 1] [--quick] [--least PERCENT]``

Each group below gets its share of the mutants. First its tests run once, to learn which of them
reach which lines; then each mutant gets the tests that reach its line, the quickest first, until
one fails. With ``--quick`` that is left out, and a mutant gets the quick tests of its group.
The package is changed in a copy; the judge's tests need Quack. What no test noticed is printed, and
is what to look at: a test that is missing, or a change that changes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __package__ is None or __package__ == "":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.mutation.points import Point, changed, marked, points

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Group:
    """Modules, and the tests that belong to them.

    Attributes:
        modules: files and folders in the package.
        quick: the tests of the short form.
        tests: more tests.
    """

    modules: tuple[str, ...]
    quick: tuple[str, ...]
    tests: tuple[str, ...]

    @property
    def all_tests(self) -> tuple[str, ...]:
        return (*self.quick, *self.tests)


Reached = defaultdict[tuple[str, int] | None, list[tuple[float, str]]]
"""The tests that reach a line, by the processor's time that each takes; all of them for None."""

GROUPS = {
    "judge": Group(
        ("server/judge.py",),
        ("server/test_judge.py",),
        (
            "server/test_judge_texts.py",
            "server/test_allowed.py",
            "server/test_attacks.py::test_the_judge_alone_refuses_it",
            "server/test_reading.py",
            "server/test_max_writes.py",
        ),
    ),
    "journal": Group(
        ("ledger",),
        ("api/test_journal.py",),
        ("api/test_secrets_file.py", "api/test_audit_log.py", "cli/test_damage.py", "cli/recover"),
    ),
    "predicates": Group(
        ("catalog/predicates.py",),
        ("tables/test_predicates.py",),
        ("tables/test_where_equivalence.py", "tables/test_where_properties.py"),
    ),
    "paging": Group(
        ("http/paging.py",),
        ("api/test_proofs.py",),
        (
            "tables/test_requests.py",
            "connection/test_hostile_answers.py",
            "tables/test_paths_agree.py",
        ),
    ),
}
"""What is changed, and by which tests that should be noticed: paths in the package and in tests."""
PATIENCE_S = 300
"""How long a mutant's tests may take; one that takes longer has been noticed."""
ENOUGH_S = 30.0
"""How much of the processor's time a mutant's tests get altogether; beyond that none is begun."""


class Copy:
    """A copy of the repository, in which the package is changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("vercel_sql", "tests", "queries", "docs", "notebooks"):
            if (ROOT / name).exists():
                skipped = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / name, folder / name, ignore=skipped)
        for name in ("README.md", "pyproject.toml"):
            shutil.copy(ROOT / name, folder)

    def pytest(self, tests: list[str], **environment: str) -> bool:
        """Whether these tests pass."""
        options = ["-q", "-x", "-n", "0", "-p", "no:cacheprovider", "--no-header"]
        options += ["-p", "tests.mutation.selecting"]
        command = [sys.executable, "-B", "-m", "pytest", *options, *tests]
        always = {"PYTHONPATH": str(self.folder), "VERCEL_SQL_TEST_SCALE": "1"}
        environment = {**os.environ, **always, **environment}
        if "MUTATION_LINES" in environment:
            command.remove("-x")
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        limit = None if "MUTATION_LINES" in environment else PATIENCE_S
        try:
            return process.wait(limit) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def notices(self, point: Point, tests: list[str], order: list[str] | None) -> tuple[bool, str]:
        """Whether the tests fail with a change, and what it is."""
        file = self.folder / point.file.relative_to(ROOT)
        original = file.read_text("utf-8")
        text, shown = changed(point)
        file.write_text(text, "utf-8")
        try:
            if order is None:
                return not self.pytest(tests), shown
            chosen = self.folder / "chosen.json"
            chosen.write_text(json.dumps(order), "utf-8")
            files = list(dict.fromkeys(name.partition("::")[0] for name in order))
            return not self.pytest(files, MUTATION_TESTS=str(chosen)), shown
        finally:
            file.write_text(original, "utf-8")


def files_of(group: Group) -> list[Path]:
    """The modules of a group."""
    found: list[Path] = []
    for name in group.modules:
        path = ROOT / "vercel_sql" / name
        found += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return found


def reached(copy: Copy, group: Group) -> Reached:
    """The tests that reach each line of a group's modules, and how long each takes."""
    for path in files_of(group):
        name = str(path.relative_to(ROOT))
        (copy.folder / name).write_text(marked(path, name), "utf-8")
    lines = copy.folder / "lines.json"
    copy.pytest([f"tests/{name}" for name in group.all_tests], MUTATION_LINES=str(lines))
    for path in files_of(group):
        shutil.copy(path, copy.folder / path.relative_to(ROOT))
    found: Reached = defaultdict(list)
    noted: dict[str, Any] = json.loads(lines.read_text("utf-8"))
    for name, each in noted.items():
        found[None].append((each["seconds"], name))
        for file, line in each["lines"]:
            found[file, line].append((each["seconds"], name))
    return found


def order_for(point: Point, found: Reached) -> list[str]:
    """The tests for a change, the quickest first, as many as there is time for.

    All of the group may notice a change of what only an import comes to.
    """
    total, order = 0.0, []
    place = (str(point.file.relative_to(ROOT)), point.line)
    for seconds, name in sorted(found[place if place in found else None]):
        total += seconds
        if total > ENOUGH_S and order:
            break
        order.append(name)
    return order


def sample(group: Group, count: int, seed: str) -> list[Point]:
    """Some of the changes that can be made to a group, the same for the same seed and code."""
    all_points = [point for file in files_of(group) for point in points(file)]
    return random.Random(seed).sample(all_points, min(count, len(all_points)))


def run_group(copy: Copy, name: str, count: int, seed: int, *, quick: bool) -> tuple[int, int]:
    """Tries a group's mutants and gives how many were noticed, of how many."""
    group, noticed = GROUPS[name], 0
    tests = [f"tests/{each}" for each in group.quick]
    found = defaultdict(list) if quick else reached(copy, group)
    mutants = sample(group, count, f"{seed} {name}")
    for point in mutants:
        order = None if quick else order_for(point, found)
        killed, shown = copy.notices(point, tests, order)
        noticed += killed
        word = "killed  " if killed else "SURVIVED"
        place = f"{point.file.relative_to(ROOT)}:{point.line}"
        print(f"{time.strftime('%H:%M:%S')} {word} {place} {point.change}: {shown}", flush=True)
    print(f"== {name}: {noticed} of {len(mutants)} killed ==", flush=True)
    return noticed, len(mutants)


def main() -> int:
    """Prints each mutant; 1 where fewer were noticed than has been asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--least", type=float, default=0, help="percent")
    parser.add_argument("--group", choices=GROUPS, action="append")
    options = parser.parse_args()
    groups = options.group or list(GROUPS)
    each = -(-options.count // len(groups))
    noticed = total = 0
    for name in groups:
        with tempfile.TemporaryDirectory() as folder:
            copy = Copy(Path(folder).resolve())
            killed, tried = run_group(copy, name, each, options.seed, quick=options.quick)
        noticed, total = noticed + killed, total + tried
    print(f"== {noticed} of {total} mutants killed: {100 * noticed / total:.0f} % ==", flush=True)
    return int(100 * noticed < options.least * total)


if __name__ == "__main__":
    sys.exit(main())
