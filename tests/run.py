"""Runs the tests on every DuckDB version that is supported: ``python3 tests/run.py [pytest's …]``.

Needs nothing but Python and pip: for each version it makes a virtual environment beside the
package, installs the package and what its tests need, and runs pytest there. The environments are
kept, so that the next run is quick.

A run that takes far too long is ended: each process of pytest's writes where each of its threads
stands, and the run has failed. Nothing that it started is left behind to hold its output open.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import venv
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DUCKDB = {
    "2.0.*": "test",
    # With the stock shell and Quack, which PyPI has for this version only.
    "1.5.5": "test,quack",
}
"""The extras of the package that go with each version."""
LIMIT = 40 * 60
"""Seconds for the tests on one version."""
_LAST_WORDS = 20
"""Seconds for processes to write where they stand."""


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


def run(command: list[str]) -> int:
    """Runs pytest in a session of its own and gives its exit code; 124 where it took too long."""
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True) as process:
        try:
            return process.wait(LIMIT)
        except KeyboardInterrupt:
            _tell_all(process, "SIGINT")
            return process.wait(_LAST_WORDS)
        except subprocess.TimeoutExpired:
            print(f"\nthe tests took more than {LIMIT} s: this is where they stand", flush=True)
            _tell_all(process, "SIGABRT")
            time.sleep(_LAST_WORDS)
            return 124
        finally:
            _tell_all(process, "SIGKILL")


def _tell_all(process: subprocess.Popen[bytes], name: str) -> None:
    """Sends a signal to a session's processes, or to its first one, where that is all there is."""
    if not hasattr(os, "killpg"):
        process.kill()
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, getattr(signal, name))


def main() -> int:
    """Runs the tests on each version and gives the first exit code that is not 0."""
    worst = 0
    for version in DUCKDB:
        binaries = environment(version)
        print(f"\n== DuckDB {version}, {time.strftime('%H:%M:%S')} ==", flush=True)
        command = [str(binaries / "pytest"), "-n", "2", "--dist", "worksteal", *sys.argv[1:]]
        code = run(command)
        worst = worst or code
    return worst


if __name__ == "__main__":
    sys.exit(main())
