"""Runs the tests on every DuckDB version that is supported.

Use: ``python3 tests/run.py [--lowest] [pytest's options and files]``

Needs nothing but Python and pip: for each version it makes a virtual environment beside the
package, installs the package and what its tests need, and runs pytest there. The environments are
kept, so that the next run is quick. Without options the versions run side by side: what is about
DuckDB itself runs on each of them, and of the other tests each version has a part. With options
(``-n 2`` is one), all tests run on one version after the other. With ``--lowest`` it runs a short
selection instead, on the lowest version of each library that the package says it works with.

A run that takes far too long is ended: each process of pytest's writes where each of its threads
stands, and the run has failed. Nothing that it started is left behind to hold its output open.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import tomllib
import venv
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DUCKDB = {
    "2.0.*": "test",
    # With the stock shell and Quack, which PyPI has for this version only.
    "1.5.5": "test,quack",
}
"""The extras of the package that go with each version."""
PARTS = {"2.0": "0-56", "1.5.5": "56-100"}
"""What runs on each, in percent, where each has a part: the server's tests need Quack."""
WORKERS = "3"
"""For each version: more than processors, since a third of the time is spent in waits."""
NAMES = [version.removesuffix(".*") for version in DUCKDB]
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
"""Seconds for the tests on both versions."""
_NEWS = ("Collecting ", "Downloading ", "Building ", "Installing ", "Successfully ", "Saved ")
_LAST_WORDS = 20
"""Seconds for processes to write where they stand."""
_REPEATED = 80
"""Lines of a failed run that are printed again at the end, so that the end of a log tells why."""


def say(text: str) -> None:
    """Tells what happens now, and when."""
    print(f"== {text}, {time.strftime('%H:%M:%S')} ==", flush=True)


def pip(folder: Path, *arguments: str) -> None:
    """Runs pip in an environment and tells what it does; what is there already is no news."""
    shown = [each.replace(str(ROOT), ".") for each in arguments]
    say(f"{folder.name}: pip {' '.join(shown[:6])}{' …' * (len(shown) > 6)}")
    quiet = ["--disable-pip-version-check", "--progress-bar", "off"]
    python = str(binaries(folder) / "python")
    command = [python, "-m", "pip", arguments[0], *quiet, *arguments[1:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.lstrip().startswith(_NEWS):
                print(f"   {line.strip()[:90]}", flush=True)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def binaries(folder: Path) -> Path:
    """Where an environment has its commands."""
    return folder / ("Scripts" if sys.platform == "win32" else "bin")


def made(name: str) -> Path:
    """A virtual environment."""
    folder = ROOT / f".venv-{name}"
    if not (folder / "pyvenv.cfg").exists():
        say(f"making {folder.name}")
        venv.create(folder, with_pip=True)
    return folder


@cache
def wheel() -> str:
    """The package as it is now: what is tested is what is installed, its data files included."""
    target = ROOT / "build" / "wheel"
    shutil.rmtree(target, ignore_errors=True)
    folder = made(f"duckdb-{NAMES[0]}")
    pip(folder, "wheel", "--no-deps", "--wheel-dir", str(target), str(ROOT))
    return str(next(target.glob("*.whl")))


def environment(name: str, extras: str, *requirements: str) -> Path:
    """The binaries of a virtual environment with the package and some requirements.

    Args:
        name: the end of its folder's name.
        extras: the extras of the package, in brackets, or nothing.
        requirements: what else is installed into it.
    """
    folder = made(name)
    pip(folder, "install", wheel() + extras, *requirements)
    pip(folder, "install", "--no-deps", "--force-reinstall", wheel())
    return binaries(folder)


def _installed(name: str, version: str) -> Path:
    """The binaries of the environment with a version of DuckDB."""
    return environment(f"duckdb-{name}", f"[{DUCKDB[version]}]", f"duckdb=={version}")


def lowest() -> list[str]:
    """The lowest version of each library that the package needs, and what tests them, for pip."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = [re.match(r"([\w-]+)>=([\w.]+)", each) for each in project["dependencies"]]
    tools = project["optional-dependencies"]["test"]
    return [
        *(f"{bound[1]}=={bound[2]}" for bound in bounds if bound),
        *(each for each in tools if re.split("[>=]", each)[0] in TOOLS),
    ]


def run(commands: dict[str, list[str]]) -> int:
    """Runs pytest side by side, each in a session of its own.

    Args:
        commands: what to run, by what each line of its output begins with; one without such a label
            has the terminal for itself.

    Returns:
        The first exit code that is not 0; 124 where they took too long.
    """
    processes, readers = [], []
    ends: dict[str, deque[str]] = {label: deque(maxlen=_REPEATED) for label in commands}
    for label, command in commands.items():
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} if label else {}
        process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, **pipes)
        processes.append(process)
        if label:
            arguments = (process, label, ends[label])
            readers.append(threading.Thread(target=_labelled, args=arguments, daemon=True))
            readers[-1].start()
    end = time.monotonic() + LIMIT
    try:
        codes = [process.wait(max(end - time.monotonic(), 0)) for process in processes]
    except KeyboardInterrupt:
        _tell_all(processes, "SIGINT")
        codes = [process.wait(_LAST_WORDS) for process in processes]
    except subprocess.TimeoutExpired:
        print(f"\nthe tests took more than {LIMIT} s: this is where they stand", flush=True)
        _tell_all(processes, "SIGABRT")
        time.sleep(_LAST_WORDS)
        codes = [124] * len(processes)
    finally:
        _tell_all(processes, "SIGKILL")
    for reader in readers:
        reader.join(_LAST_WORDS)
    for label, code in zip(ends, codes, strict=False):
        if code and label:
            say(f"{label.strip(' |')} failed (exit {code}); its last lines again")
            print(*ends[label], sep="\n", flush=True)
    return next(filter(None, codes), 0)


def _labelled(process: subprocess.Popen[bytes], label: str, end: deque[str]) -> None:
    """Prints what a process writes, line by line, and keeps the last lines."""
    assert process.stdout is not None
    for line in process.stdout:
        end.append(label + line.decode(errors="replace").rstrip())
        print(end[-1], flush=True)


def _tell_all(processes: list[subprocess.Popen[bytes]], name: str) -> None:
    """Sends a signal to the sessions' processes, or to their first ones, where that is all."""
    for process in processes:
        if not hasattr(os, "killpg"):
            process.kill()
            continue
        with suppress(ProcessLookupError):
            os.killpg(process.pid, getattr(signal, name))


def main(options: list[str]) -> int:
    """Runs the tests on each version and gives the first exit code that is not 0."""
    if options and options[0] == "--lowest":
        where = environment("lowest", "", *lowest())
        say("a selection of the tests on the lowest versions")
        return run({"": [str(where / "pytest"), "-n", WORKERS, *options[1:], *SHORT]})
    wheel()
    with ThreadPoolExecutor() as pool:  # pip mostly waits
        folders = pool.map(_installed, NAMES, DUCKDB)
        commands = {
            name: [str(where / "pytest"), "-n", WORKERS, "--dist", "worksteal", *options]
            for name, where in zip(NAMES, folders, strict=True)
        }
    if not options:
        return side_by_side(commands)
    worst = 0
    for name, command in commands.items():
        say(f"the tests on DuckDB {name}")
        worst = run({"": command}) or worst
    return worst


def side_by_side(commands: dict[str, list[str]]) -> int:
    """Runs on all versions at once: each has its part, and what is about DuckDB itself."""
    say(f"the tests on DuckDB {' and '.join(commands)}")
    return run(
        {f"{name:>6} | ": [*command, f"--part={PARTS[name]}"] for name, command in commands.items()}
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
