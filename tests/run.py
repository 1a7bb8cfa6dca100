"""Runs the tests on every DuckDB version that is supported: ``python3 tests/run.py [pytest's …]``.

Needs nothing but Python and pip: for each version it makes a virtual environment beside the
package, installs the package and what its tests need, and runs pytest there. The environments are
kept, so that the next run is quick.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DUCKDB = {
    "2.0.*": "test",
    # With the stock shell and Quack, which PyPI has for this version only.
    "1.5.5": "test,quack",
}
"""The extras of the package that go with each version."""


def environment(version: str) -> Path:
    """The virtual environment for a DuckDB version, with the package as it is now."""
    folder = ROOT / f".venv-duckdb-{version.removesuffix('.*')}"
    if not (folder / "pyvenv.cfg").exists():
        venv.create(folder, with_pip=True)
    binaries = folder / ("Scripts" if sys.platform == "win32" else "bin")
    pip = [str(binaries / "python"), "-m", "pip", "install", "--quiet"]
    pip.append("--disable-pip-version-check")
    subprocess.run([*pip, f"{ROOT}[{DUCKDB[version]}]", f"duckdb=={version}"], check=True)
    # What is tested is the package as it is installed, its data files included.
    subprocess.run([*pip, "--no-deps", "--force-reinstall", str(ROOT)], check=True)
    return binaries


def main() -> int:
    """Runs the tests on each version and gives the first exit code that is not 0."""
    worst = 0
    for version in DUCKDB:
        binaries = environment(version)
        print(f"\n== DuckDB {version} ==", flush=True)
        command = [str(binaries / "pytest"), "-n", "2", "--dist", "worksteal", *sys.argv[1:]]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        worst = worst or code
    return worst


if __name__ == "__main__":
    sys.exit(main())
