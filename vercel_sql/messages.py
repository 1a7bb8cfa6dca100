"""What people are told beside results: one printer, which no text of others can steer or forge.

Results have renderers, and logs a filter (`vercel_sql.logger`), to the same end.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext, suppress
from typing import TextIO

from vercel_sql.text import message, visible

SAID_AFTER = 2.0
"""After how many seconds a person is told what is waited for."""


def complain(text: str, prefix: str = "vercel-sql: ") -> None:
    """Says on standard error what went wrong; further lines of it are indented."""
    with suppress(OSError):  # nobody is there to be told
        sys.stderr.write(f"{message(prefix + text)}\n")
        sys.stderr.flush()


def say(*lines: str, out: TextIO | None = None) -> None:
    """Says something line by line, whatever is cited in them."""
    with suppress(OSError) if out is None else nullcontext():  # nobody is there to be told
        out = out or sys.stderr
        out.write("".join(f"{visible(line)}\n" for line in lines))
        out.flush()
