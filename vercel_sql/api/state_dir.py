"""The folder of what this package remembers between two runs, as the platform has it."""

from __future__ import annotations

import os
from pathlib import Path

from vercel_sql.errors import OperationalError

STATE_DIR_VARIABLE = "VERCEL_SQL_STATE_DIR"


def state_dir() -> Path:
    """The folder; it need not be there yet."""
    given = os.environ.get(STATE_DIR_VARIABLE, "").strip()
    if given:
        return Path(given).expanduser().absolute()
    import platformdirs

    return platformdirs.user_state_path("vercel-sql", appauthor=False)


def make_private(folder: Path) -> None:
    """Makes a folder, and those that it is in, for the user alone; what is there stays as it is.

    Raises:
        OSError: it can't be made.
    """
    for each in [*reversed(folder.parents), folder]:
        # Of several folders, `parents=True` would give the mode to the last alone.
        if not each.is_dir():
            each.mkdir(mode=0o700, exist_ok=True)


def made_state_dir() -> Path:
    """The folder, which is made where it is missing, for its user alone.

    Raises:
        OperationalError: it can't be made.
    """
    folder = state_dir()
    try:
        make_private(folder)
    except OSError as error:
        raise OperationalError(
            f"the state directory {folder} can't be made: {error.strerror or 'unknown error'} "
            f"({STATE_DIR_VARIABLE} names another)"
        ) from None
    return folder
