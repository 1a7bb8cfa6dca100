"""Runs a notebook in a kernel of this very Python: ``python runner.py IN OUT FOLDER [watched]``.

A process of its own, because nbclient leaves sockets open in the one that uses it. What a cell
failed with goes to standard output.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

SECONDS = 100  # for one cell, and for the start of the kernel


class _Watched(NotebookClient):
    """Runs cells as a front end does before which a person sits, who may be asked for input."""

    async def async_start_new_kernel_client(self) -> Any:
        client = await super().async_start_new_kernel_client()
        client.allow_stdin = True
        return client


def main() -> None:
    source, result, folder = map(Path, sys.argv[1:4])
    # Whatever kernels the machine knows, this one is the Python that runs the tests.
    (folder / "here").mkdir(parents=True, exist_ok=True)
    launch = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": launch, "display_name": "here", "language": "python"}
    (folder / "here" / "kernel.json").write_text(json.dumps(spec))
    kernels = KernelSpecManager(kernel_dirs=[str(folder)], ensure_native_kernel=False)
    manager = AsyncKernelManager(kernel_name="here", kernel_spec_manager=kernels)
    notebook = nbformat.read(source, as_version=4)
    client = _Watched if "watched" in sys.argv else NotebookClient
    try:
        client(notebook, km=manager, timeout=SECONDS, startup_timeout=SECONDS).execute()
    except CellExecutionError as error:
        print(error)
    finally:
        asyncio.run(manager.shutdown_kernel(now=True))
    nbformat.write(notebook, result)


if __name__ == "__main__":
    main()
