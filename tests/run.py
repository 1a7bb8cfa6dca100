"""Runs the tests on every DuckDB version that is supported.

Use: ``python3 tests/run.py [--lowest] [pytest's options and files]``

Needs nothing but Python and pip: for each version it makes a virtual environment beside the
package, installs the package and what its tests need, and runs pytest there. The environments are
kept, so that the next run is quick. With ``--lowest`` it runs a short selection instead, on the
lowest version of each library that the package says it works with.

A run that takes far too long is ended: each process of pytest's writes where each of its threads
stands, and the run has failed. Nothing that it started is left behind to hold its output open.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import tomllib
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
TOOLS = ("fastjsonschema", "hypothesis", "openpyxl", "pexpect", "polars", "pyte")
TOOLS += ("pytest", "pytest-timeout", "pytest-xdist", "trustme")
"""What the short selection needs of the tests' libraries; others ask for newer ones than these."""
SHORT = (
    "tests/test_imports.py",
    "tests/test_rooms.py",
    "tests/api/test_transport.py",
    "tests/api/test_secrets.py",
    "tests/cli/test_commands.py",
    "tests/cli/test_document.py",
    "tests/cli/reports/test_spreadsheet.py",
    "tests/cli/reports/test_xlsx.py",
    "tests/cli/shell/test_completion.py",
    "tests/connection/test_pep249.py",
    "tests/login/test_store.py",
    "tests/manifest",
    "tests/oauth/test_id_tokens.py",
    "tests/render/test_text.py",
    "tests/simulator/test_tokens.py",
    "tests/sql/running/test_explain.py",
    "tests/sql/running/test_insert.py",
    "tests/tables/test_decoding.py",
    "tests/tables/test_functions.py",
    "tests/tables/test_where_equivalence.py",
)
"""What is run on the lowest versions: each library is used by one of these."""
LIMIT = 40 * 60
"""Seconds for the tests on one version."""
_LAST_WORDS = 20
"""Seconds for processes to write where they stand."""


def say(text: str) -> None:
    """Tells what happens now, and when."""
    print(f"== {text}, {time.strftime('%H:%M:%S')} ==", flush=True)


def environment(name: str, *installs: list[str]) -> Path:
    """The binaries of a virtual environment with the package as it is now.

    Args:
        name: the end of its folder's name.
        installs: what is installed into it, one run of pip after the other.
    """
    folder = ROOT / f".venv-{name}"
    if not (folder / "pyvenv.cfg").exists():
        say(f"making {folder.name}")
        venv.create(folder, with_pip=True)
    binaries = folder / ("Scripts" if sys.platform == "win32" else "bin")
    pip = [str(binaries / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
    pip += ["--quiet", "--progress-bar", "off"]
    # What is tested is the package as it is installed, its data files included.
    for arguments in (*installs, ["--no-deps", "--force-reinstall", str(ROOT)]):
        shown = [each.replace(str(ROOT), ".") for each in arguments]
        say(f"{folder.name}: pip install {' '.join(shown[:6])}{' …' * (len(shown) > 6)}")
        subprocess.run([*pip, *arguments], check=True)
    return binaries


def lowest() -> list[str]:
    """The lowest version of each library that the package needs, and what tests them, for pip."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = [re.match(r"([\w-]+)>=([\w.]+)", each) for each in project["dependencies"]]
    tools = project["optional-dependencies"]["test"]
    return [
        *(f"{bound[1]}=={bound[2]}" for bound in bounds if bound),
        *(each for each in tools if re.split("[>=]", each)[0] in TOOLS),
    ]


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


def main(options: list[str]) -> int:
    """Runs the tests on each version and gives the first exit code that is not 0."""
    if options and options[0] == "--lowest":
        binaries = environment("lowest", [*lowest(), str(ROOT)])
        say("a selection of the tests on the lowest versions")
        return run([str(binaries / "pytest"), "-n", "2", *options[1:], *SHORT])
    worst = 0
    for version, extras in DUCKDB.items():
        name = f"duckdb-{version.removesuffix('.*')}"
        binaries = environment(name, [f"{ROOT}[{extras}]", f"duckdb=={version}"])
        say(f"the tests on DuckDB {version}")
        command = [str(binaries / "pytest"), "-n", "2", "--dist", "worksteal", *options]
        worst = run(command) or worst
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
