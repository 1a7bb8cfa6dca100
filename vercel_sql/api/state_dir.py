"""The folder of what this package remembers between two runs, as the platform has it."""

from __future__ import annotations

import os
from pathlib import Path

STATE_DIR_VARIABLE = "VERCEL_SQL_STATE_DIR"


def state_dir() -> Path:
    """The folder; it need not be there yet."""
    given = os.environ.get(STATE_DIR_VARIABLE, "").strip()
    if given:
        return Path(given).expanduser().absolute()
    import platformdirs

    return platformdirs.user_state_path("vercel-sql", appauthor=False)
