"""What a user's process finds: the package and what it needs, and not what only tests bring along.

Libraries look for these tools and import them where they are there, which takes a command longer
than all that it does itself.
"""

from __future__ import annotations

import os
from pathlib import Path

ABSENT = Path(__file__).with_name("absent")
"""Modules that say that they are not there."""


def without_tools() -> dict[str, str]:
    """What goes into the environment of a Python process, so that it does not find them."""
    paths = [str(ABSENT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        "PYTHONPATH": os.pathsep.join(paths),
        # numpy would start threads that a short process has no use for.
        "OPENBLAS_NUM_THREADS": "1",
    }
