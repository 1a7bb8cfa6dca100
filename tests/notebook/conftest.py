"""Notebooks as people run them: in IPython in this process, and in a kernel of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import vercel_sql
from vercel_sql.simulator import Simulator

RUNNER = Path(__file__).with_name("runner.py")
PATIENCE = 110  # seconds for a notebook


@dataclass(frozen=True)
class Ran:
    """What became of a cell.

    Attributes:
        value: what its last line gives.
        error: what it failed with.
        shown: what was displayed besides.
        out: what it wrote, errors included.
    """

    value: Any
    error: BaseException | None
    shown: list[str]
    out: str


Run = Callable[..., Ran]


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sim: Simulator
) -> Iterator[InteractiveShell]:
    """IPython in this process, with the environment's account and the magic."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("VERCEL_TOKEN", sim.token)
    monkeypatch.setenv("VERCEL_API_URL", sim.url)
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=config)
    shell.display_pub = CapturingDisplayPublisher()
    shell.extension_manager.load_extension("vercel_sql")
    yield shell
    for connection in list(vercel_sql.connection.live_catalog._open):
        connection.close()
    InteractiveShell.clear_instance()


@pytest.fixture
def run(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a cell: ``run("%vercel SELECT 1")``. Keyword arguments become variables first."""

    def one(cell: str, **variables: Any) -> Ran:
        shell.user_ns.update(variables)
        shell.display_pub.outputs.clear()
        capsys.readouterr()
        result = shell.run_cell(cell, store_history=True)
        captured = capsys.readouterr()
        shown = [each["data"]["text/plain"] for each in shell.display_pub.outputs]
        error = result.error_before_exec or result.error_in_exec
        return Ran(result.result, error, shown, captured.out + captured.err)

    return one


@pytest.fixture
def python() -> Callable[[str], str]:
    """Runs a program in a Python of its own and gives what it prints."""

    def program(text: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-c", text],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        return ended.stdout

    return program


@dataclass
class Notebook:
    """A notebook that was run.

    Attributes:
        cells: its cells with their outputs.
        failure: what nbclient said of the cell that failed.
        saved: the file.
    """

    cells: list[Any]
    failure: str
    saved: str = field(repr=False)

    def text(self, number: int) -> str:
        """All that a cell's outputs hold."""
        return json.dumps(self.cells[number].get("outputs", []))


@pytest.fixture
def kernel(tmp_path: Path, sim: Simulator) -> Callable[..., Notebook]:
    """Runs cells in a real kernel of this very Python: ``kernel("%load_ext vercel_sql", …)``."""
    env = os.environ | {
        "VERCEL_TOKEN": sim.token,
        "VERCEL_API_URL": sim.url,
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "PYTHONPATH": str(Path(vercel_sql.__file__).parent.parent),
    }
    source, result = tmp_path / "source.ipynb", tmp_path / "result.ipynb"

    def execute(*sources: str, watched: bool = False) -> Notebook:
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), source)
        command = [sys.executable, str(RUNNER), str(source), str(result), str(tmp_path / "kernels")]
        with subprocess.Popen(
            [*command, *(["watched"] if watched else [])],
            env=env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            try:
                failure, complaints = process.communicate(timeout=PATIENCE)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # the kernel with it
        assert process.returncode == 0, complaints
        saved = result.read_text()
        return Notebook(nbformat.reads(saved, as_version=4).cells, failure, saved)

    return execute
