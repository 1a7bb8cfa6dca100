"""How far a long statement is, where a person watches the notebook."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import DisplayHandle

from vercel_sql import Connection
from vercel_sql.progress import progress
from vercel_sql.sql.plan import Plan


@contextmanager
def watching(shell: InteractiveShell, connection: Connection) -> Iterator[None]:
    """Shows how far a statement is while the context lasts; nothing stays of it.

    A kernel whose front end takes no input, as nbclient's, has nobody who watches.
    """
    # A kernel's shell knows the request that its front end sent.
    request = getattr(shell, "get_parent", None)
    if request is not None:
        watched = request().get("content", {}).get("allow_stdin", False)
        out: Any = _InCell()
    else:
        watched, out = sys.stderr.isatty(), sys.stderr
    if not watched:
        yield
        return
    with progress(connection, out) as line:
        before = connection.approve

        def expect(plan: Plan) -> bool:
            """Takes the number of a write's requests from the question whether to send them."""
            line.clear()
            if before is not None and not before(plan):
                return False
            line.expect(plan)
            return True

        connection.approve = expect
        try:
            yield
        finally:
            connection.approve = before


class _InCell:
    """A line in the output of the cell that runs, written over and over, and empty in the end.

    On standard error a front end would keep, and save, every state of it.
    """

    def __init__(self) -> None:
        self._handle = DisplayHandle()
        self._shown = False

    def write(self, text: str) -> None:
        """Puts a text in place of the one before."""
        line = text.strip("\r\n")
        if not line:
            return
        data = {"text/plain": line} if line.strip() else {}
        if self._shown:
            self._handle.update(data, raw=True)
        elif data:
            self._handle.display(data, raw=True)
            self._shown = True

    def flush(self) -> None:
        """Does nothing: nothing is held back."""
