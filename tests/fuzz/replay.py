"""Runs a target over files without atheris: ``python -m tests.fuzz.replay TARGET FOLDER …``.

Under ``coverage`` it tells which lines a corpus reaches.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def main() -> int:
    """Replays the folders' files and prints those that do not hold; gives the exit code."""
    name, *folders = sys.argv[1:]
    target = importlib.import_module(f"tests.fuzz.{name}")
    failed = 0
    for path in (path for folder in folders for path in sorted(Path(folder).iterdir())):
        try:
            target.run(path.read_bytes())
        except Exception as error:
            failed += 1
            print(f"{path}: {type(error).__name__}: {error}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
