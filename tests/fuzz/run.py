"""Fuzzes the SQL parser and the answer decoder side by side: ``python tests/fuzz/run.py``.

Needs the package with its extras `test` and `fuzz`. Each target runs for the given time in a
process of its own. The corpus is kept in the working directory, so that the next run goes on from
there. In the end the corpus is replayed under coverage, and all of it is reported.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MODULES = {
    "sql_parser": ["sql/*.py"],
    "answer_decoder": [
        "http/decode.py",
        "http/answers.py",
        "auth/id_tokens.py",
        "http/paging.py",
        "catalog/results.py",
        "catalog/pages.py",
        "catalog/rows.py",
    ],
}
"""What each target is about, below the package."""
_STATUS = re.compile(r"^#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)/(\S+)", re.MULTILINE)
# The time-out is by the clock, and for real hangs: the driver notes what takes long to compute.
_OPTIONS = ["-max_len=4096", "-timeout=60", "-rss_limit_mb=2048", "-use_value_profile=1"]
_ENDED_BY_TIME = 0


@dataclass
class Outcome:
    """What one target came to.

    Attributes:
        target: its name.
        lines: the report.
        failed: whether something does not hold.
    """

    target: str
    lines: list[str]
    failed: bool


def _environment() -> dict[str, str]:
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def start(target: str, work: Path, minutes: float, options: list[str]) -> subprocess.Popen[bytes]:
    """Starts a target over the corpus that is there, and its seeds."""
    corpus, dictionary, found = work / "corpus", work / "dictionary", work / "found"
    found.mkdir(parents=True, exist_ok=True)
    write = f"from tests.fuzz.seeds import write; from pathlib import Path as P; write({target!r}, "
    write += f"P({str(corpus)!r}), P({str(dictionary)!r}))"
    subprocess.run([sys.executable, "-c", write], cwd=ROOT, env=_environment(), check=True)
    command = [sys.executable, "-m", "tests.fuzz.driver", target, str(found), *_OPTIONS]
    command += [f"-max_total_time={round(minutes * 60)}", f"-dict={dictionary}"]
    command += [f"-artifact_prefix={found}/", *options, str(corpus)]
    with (work / "log").open("wb") as log:
        return subprocess.Popen(command, cwd=ROOT, env=_environment(), stdout=log, stderr=log)


def outcome(target: str, work: Path, exit_code: int) -> Outcome:
    """What a target that has ended came to."""
    log = (work / "log").read_text("utf-8", "replace")
    tally = json.loads((work / "found" / "tally.json").read_text("utf-8"))
    lines = [f"{tally['executions']:,} executions"]
    if statuses := _STATUS.findall(log):
        runs, edges, features, inputs, size = statuses[-1]
        lines[0] = f"{int(runs):,} executions"
        lines.append(f"{edges} edges, {features} features; corpus of {inputs} inputs, {size}")
    lines.append(f"slowest input: {tally['slowest_seconds']:.3f} s, {tally['slowest_input'][:300]}")
    crashes = [p.name for p in (work / "found").iterdir() if p.name.startswith(_CRASHES)]
    lines += [f"libFuzzer's: {name}" for name in sorted(crashes)]
    lines += [f"found {n} times: {name}" for name, n in sorted(tally["findings"].items())]
    failed = bool(crashes or tally["findings"]) or exit_code != _ENDED_BY_TIME
    lines.append("something does not hold" if failed else "nothing was found that does not hold")
    return Outcome(target, lines, failed)


_CRASHES = ("crash-", "leak-", "oom-", "slow-unit-", "timeout-")


def coverage(target: str, work: Path) -> str:
    """The lines and branches that the corpus reaches in what the target is about."""
    data = f"--data-file={work / 'coverage'}"
    modules = ",".join(str(ROOT / "vercel_sql" / module) for module in MODULES[target])
    replay = ["-m", "tests.fuzz.replay", target, str(work / "corpus")]
    tool = [sys.executable, "-m", "coverage"]
    run = [*tool, "run", "--branch", data, f"--include={modules}", *replay]
    subprocess.run(run, cwd=ROOT, env=_environment(), stdout=subprocess.DEVNULL, check=False)
    report = subprocess.run(
        [*tool, "report", data, "--show-missing"],
        cwd=ROOT,
        env=_environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return report.stdout


def main() -> int:
    """Fuzzes, and prints what came of it; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="for how long (default: 60)")
    parser.add_argument("--work", type=Path, default=ROOT / ".fuzz", help="corpus and findings")
    parser.add_argument("--target", choices=MODULES, action="append", help="only this one")
    parser.add_argument("options", nargs="*", help="after --: libFuzzer's, such as -handle_int=0")
    given = parser.parse_args()
    targets = given.target or list(MODULES)
    work = {target: given.work.resolve() / target for target in targets}
    running = {
        target: start(target, work[target], given.minutes, given.options) for target in targets
    }
    try:
        codes = {target: process.wait() for target, process in running.items()}
    finally:
        for process in running.values():
            process.kill()
    outcomes = [outcome(target, work[target], codes[target]) for target in targets]
    for each in outcomes:
        print(f"\n== {each.target} ==", *each.lines, sep="\n")
        print(coverage(each.target, work[each.target]))
    return 1 if any(each.failed for each in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
