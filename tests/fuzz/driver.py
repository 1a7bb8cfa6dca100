"""Runs one target under atheris: ``python -m tests.fuzz.driver TARGET WORK [libFuzzer's …]``.

What does not hold is written down, once a kind, and the run goes on. A crash of the interpreter,
an input that takes longer than ``-timeout`` and too much memory end it: those are libFuzzer's.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import atheris

SLOW_SECONDS = 1.0
"""Processor time that no input of a few thousand bytes may take."""
_REPORT_EVERY_SECONDS = 5.0


@dataclass
class Tally:
    """What a run has come to so far.

    Attributes:
        executions: how many inputs were run.
        findings: how often each kind of failure occurred, by the name of its files.
        slowest_seconds: the processor time of the slowest input.
        slowest_input: that input, as Python writes it.
    """

    executions: int = 0
    findings: dict[str, int] = field(default_factory=dict)
    slowest_seconds: float = 0.0
    slowest_input: str = ""


class Driver:
    """Runs a target's inputs and keeps what they come to in a directory."""

    def __init__(self, run: Any, work: Path) -> None:
        self._run = run
        self._work = work
        self._tally = Tally()
        self._reported = 0.0
        work.mkdir(parents=True, exist_ok=True)

    def one(self, data: bytes) -> None:
        """Runs one input."""
        started = time.process_time()
        try:
            self._run(data)
        except Exception as error:
            self._keep(_kind(error), data, error)
        seconds = time.process_time() - started
        if seconds > SLOW_SECONDS:
            self._keep("slow", data, None)
        tally = self._tally
        tally.executions += 1
        if seconds > tally.slowest_seconds:
            tally.slowest_seconds, tally.slowest_input = seconds, repr(data)
        if time.monotonic() - self._reported > _REPORT_EVERY_SECONDS:
            self._report()

    def _keep(self, kind: str, data: bytes, error: Exception | None) -> None:
        """Writes down an input, if it is the first or the shortest of its kind."""
        findings = self._tally.findings
        findings[kind] = findings.get(kind, 0) + 1
        kept = self._work / f"{kind}.input"
        if kept.exists() and kept.stat().st_size <= len(data):
            return
        kept.write_bytes(data)
        if error is not None:
            text = "".join(traceback.format_exception(error))
            kept.with_suffix(".txt").write_text(text, "utf-8", "backslashreplace")
        self._report()

    def _report(self) -> None:
        self._reported = time.monotonic()
        written = self._work / "tally.json"
        unfinished = written.with_suffix(".new")
        unfinished.write_text(json.dumps(asdict(self._tally)), "utf-8")
        unfinished.replace(written)


def _kind(error: BaseException) -> str:
    """A name for what failed: the innermost lines of this repository that it came through."""
    places = []
    for each in (error, error.__cause__):
        frames = traceback.extract_tb(each.__traceback__) if each else []
        ours = [f for f in frames if "/vercel_sql/" in f.filename or "/fuzz/" in f.filename]
        places += [f"{Path(f.filename).stem}-{f.lineno}" for f in ours[-2:]]
    return "_".join([type(error.__cause__ or error).__name__, *places])


def main() -> None:
    """Fuzzes until libFuzzer is told to stop."""
    name, work, *options = sys.argv[1:]
    with atheris.instrument_imports(include=["vercel_sql"]):
        target = importlib.import_module(f"tests.fuzz.{name}")
    driver = Driver(target.run, Path(work))
    atheris.Setup([sys.argv[0], *options], driver.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
