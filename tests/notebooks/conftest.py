"""The notebooks of ``notebooks/``: as they are saved, and as they run."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

import vercel_sql

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
EXECUTE = Path(__file__).with_name("execute.py")
PATIENCE = 300  # seconds for a notebook


@dataclass(frozen=True)
class Notebook:
    """A notebook, and what its cells gave."""

    text: str

    @property
    def cells(self) -> list[Any]:
        return list(nbformat.reads(self.text, as_version=4).cells)

    @property
    def code(self) -> list[Any]:
        return [cell for cell in self.cells if cell.cell_type == "code"]

    def prose(self, cell: str) -> str:
        (found,) = [each for each in self.cells if each.id == cell]
        return str(found.source)

    def outputs(self, cell: str) -> list[Any]:
        (found,) = [each for each in self.cells if each.id == cell]
        return list(found.outputs)

    def printed(self, cell: str) -> str:
        (output,) = self.outputs(cell)
        return str(output.text)

    def table(self, cell: str) -> list[dict[str, str]]:
        """The rows that a cell shows as a table, a value by its column."""
        (output,) = self.outputs(cell)
        lines = [
            [text.strip() for text in line.strip("│").split("│")]
            for line in output.data["text/plain"].splitlines()
            if line.startswith("│")
        ]
        names, _types, *rows = lines
        return [dict(zip(names, row, strict=True)) for row in rows]

    def steady(self) -> list[Any]:
        """What the code cells gave, without what is another each time: pictures and moments."""
        return [[_steady(output) for output in cell.outputs] for cell in self.code]


def _steady(output: Any) -> dict[str, Any]:
    texts = {"text": output.get("text", ""), **output.get("data", {})}
    return {
        "kind": (output.output_type, output.get("name")),
        **{kind: re.sub(r"\b\d{13}\b", "(moment)", text) for kind, text in texts.items()},
        **{kind: "a picture" for kind in texts if kind.startswith("image/")},
    }


@pytest.fixture
def saved() -> Callable[[str], Notebook]:
    """Gives a notebook as it is in the repository: ``saved("1_token_audit")``."""
    return lambda name: Notebook((FOLDER / f"{name}.ipynb").read_text("utf-8"))


@pytest.fixture
def execute(tmp_path: Path) -> Callable[..., Notebook]:
    """Executes a notebook of the repository, and some code after its last cell."""
    env = os.environ | {"PYTHONPATH": str(Path(vercel_sql.__file__).parent.parent)}

    def run(name: str, last: str) -> Notebook:
        folder = shutil.copytree(FOLDER, tmp_path / "notebooks")
        source, result = folder / f"{name}.ipynb", tmp_path / "result.ipynb"
        notebook = nbformat.read(source, as_version=4)
        notebook.cells.append(nbformat.v4.new_code_cell(last, id="last"))
        nbformat.write(notebook, source)
        with subprocess.Popen(
            [sys.executable, str(EXECUTE), str(source), str(result)],
            env=env,
            text=True,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            try:
                _, complaints = process.communicate(timeout=PATIENCE)
            finally:
                # The kernel ends by itself where the process that started it is gone.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == 0, complaints
        return Notebook(result.read_text("utf-8"))

    return run
