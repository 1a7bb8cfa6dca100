"""Executes notebooks in a real kernel of this Python, and saves them with their outputs.

``python tests/notebooks/execute.py`` does so with those of ``notebooks/``, in place: who changes
one runs this, looks at the result and commits it. ``execute.py IN OUT`` executes one notebook and
saves it elsewhere. Saved again, a notebook is what it was, except for moments in milliseconds; so
nothing of the machine, the Python and the time is kept in it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.font_manager  # noqa: F401 - finds the fonts now, of which a cell would tell
import nbformat

ROOT = Path(__file__).resolve().parents[2]
RUNNER = ROOT / "tests" / "notebook" / "runner.py"
SECONDS = 280  # for a notebook

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def execute(source: Path, result: Path) -> None:
    """Executes a notebook in a copy of its folder and saves it.

    Args:
        source: the notebook; the files that it reads lie beside it.
        result: where it is saved, unless a cell fails.

    Raises:
        SystemExit: a cell failed; the message says which and why.
        subprocess.SubprocessError: the kernel did not run, or not to the end in time.
    """
    with TemporaryDirectory() as name:
        scratch = Path(name)
        folder = shutil.copytree(source.parent, scratch / "notebooks")
        executed = scratch / "executed.ipynb"
        run = subprocess.run(
            [sys.executable, RUNNER, folder / source.name, executed, scratch / "kernels"],
            cwd=folder,
            env=_environment(scratch),
            timeout=SECONDS,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        if run.stdout:
            sys.exit(f"{source.name}: {run.stdout}")
        notebook = nbformat.read(executed, as_version=4)
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it ran
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
    nbformat.write(notebook, result)


def _environment(scratch: Path) -> dict[str, str]:
    """The environment without what would make a notebook another one here than elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VERCEL_")}
    folders = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    folders += ("VERCEL_SQL_STATE_DIR",)
    kept |= {name: str(scratch / name.lower()) for name in folders}
    return kept | {"VERCEL_SQL_STATE_DIR": str(scratch / "state")}


def _joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """The outputs, with a text in one piece that came in several, as it does on a slow machine."""
    joined: list[nbformat.NotebookNode] = []
    for output in outputs:
        if joined and output.output_type == "stream" and joined[-1].get("name") == output.name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


if __name__ == "__main__":
    if len(sys.argv) == 3:
        execute(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
            execute(notebook, notebook)
