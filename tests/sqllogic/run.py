"""Runs DuckDB's own tests through plain DuckDB and through `connect()`, and tells them apart.

    python tests/sqllogic/run.py FOLDER [--only TEXT] [--limit N] [--show N] [--jobs N]
        [--differences FILE]

FOLDER is a checkout of DuckDB's repository of the version that is installed, or a part of it; it
is not part of this repository. Each statement runs on plain DuckDB and on ours; where something
differs, the file runs on plain DuckDB once more, so that what differs from one run to the next
(random numbers, times, addresses) is not counted. What
is compared: whether it fails, how (PEP 249's class and DuckDB's message), the names and types of
its columns, and its rows. At the end: how many statements differ and why, what is not explained,
and what a statement costs more than in plain DuckDB, in the median.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from statistics import median, quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from explained import explained

SECONDS = 30
"""How long a file may take altogether."""


class Worker:
    """A process that runs files, one after the other; another takes its place where it ends."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._process: subprocess.Popen[str] | None = None

    def run(self, file: Path) -> list[dict[str, Any]] | str:
        """What each statement did; or how the process ended instead."""
        if self._process is None:
            side = Path(__file__).with_name("side_by_side.py")
            self._process = subprocess.Popen(
                [sys.executable, str(side)],
                cwd=self._root,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        process = self._process
        timer = threading.Timer(SECONDS, process.kill)
        timer.start()
        try:
            process.stdin.write(f"{file}\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""
        alive = timer.is_alive()
        timer.cancel()
        if line:
            return json.loads(line)
        self.close()
        return "ended" if alive else "took too long"

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="files with this in their path")
    parser.add_argument("--limit", type=int, default=None, help="so many files at most")
    parser.add_argument("--show", type=int, default=20, help="so many unexplained differences")
    parser.add_argument("--differences", type=Path, help="a file for all of them, as lines of JSON")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    folder = given.folder.resolve()
    root = next((each for each in (folder, *folder.parents) if (each / "data").is_dir()), folder)
    files = sorted(each for each in folder.rglob("*.test") if given.only in str(each))
    left: queue.Queue[Path] = queue.Queue()
    for file in files[: given.limit]:
        left.put(file)
    report = Report(root, left.qsize(), given.differences)
    threads = [threading.Thread(target=_work, args=(root, left, report)) for _ in range(given.jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return report.show(given.show)


def _work(root: Path, left: queue.Queue[Path], report: Report) -> None:
    worker = Worker(root)
    while True:
        try:
            file = left.get_nowait()
        except queue.Empty:
            break
        report.add(file, worker.run(file))
    worker.close()


class Report:
    """What all files showed."""

    def __init__(self, root: Path, files: int, sink: Path | None) -> None:
        self._root, self._total = root, files
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._open: list[str] = []
        self._sink = sink
        self._costs: list[float] = []
        self._began = time.monotonic()

    def add(self, file: Path, statements: list[dict[str, Any]] | str) -> None:
        with self._lock:
            self._counts["files"] += 1
            name = str(file.relative_to(self._root))
            if isinstance(statements, str):
                self._counts[f"files whose process {statements}"] += 1
                self._open.append(f"{name}: the process {statements}")
                return
            for each in statements:
                self._count(name, each)
            if self._counts["files"] % 200 == 0:
                seconds = time.monotonic() - self._began
                print(f"{self._counts['files']} of {self._total}, {seconds:.0f} s", flush=True)

    def _count(self, name: str, each: dict[str, Any]) -> None:
        self._counts["statements"] += 1
        if "cost" in each:
            self._costs.append(each["cost"])
        if each["same"]:
            return
        if each["varies"]:
            self._counts["statements whose result varies in plain DuckDB"] += 1
            return
        self._counts["differences"] += 1
        if self._sink is not None:
            with self._sink.open("a") as sink:
                sink.write(json.dumps({"file": name, **each}) + "\n")
        reason = explained(each["text"], each["plain"], each["ours"])
        if reason:
            self._reasons[reason] += 1
        else:
            cut = {key: str(each[key])[:600] for key in ("text", "plain", "ours")}
            self._open.append(
                f"{name}\n  {cut['text']}\n  plain: {cut['plain']}\n  ours:  {cut['ours']}"
            )

    def show(self, most: int) -> int:
        for what, count in self._counts.items():
            print(f"{count:8} {what}")
        for reason, count in self._reasons.most_common():
            print(f"{count:8} differ: {reason}")
        print(f"{len(self._open):8} not explained")
        for text in self._open[:most]:
            print(f"\n{text}")
        if self._costs:
            at = quantiles(self._costs, n=20)
            print(
                f"\na statement costs {median(self._costs) * 1000:.3f} ms more than in plain "
                f"DuckDB in the median; {at[0] * 1000:.3f} to {at[-1] * 1000:.3f} ms in nine of ten"
            )
        return 1 if self._open else 0


if __name__ == "__main__":
    sys.exit(main())
