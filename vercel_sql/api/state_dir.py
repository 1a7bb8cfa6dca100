"""The folder of what this package remembers between two runs, as the platform has it."""

from __future__ import annotations

import os
from pathlib import Path

from vercel_sql.api.private_files import make_private
from vercel_sql.errors import OperationalError

STATE_DIR_VARIABLE = "VERCEL_SQL_STATE_DIR"


def state_dir() -> Path:
    """The folder; it need not be there yet."""
    given = os.environ.get(STATE_DIR_VARIABLE, "").strip()
    if given:
        return Path(given).expanduser().absolute()
    import platformdirs

    return platformdirs.user_state_path("vercel-sql", appauthor=False)


def made_state_dir() -> Path:
    """The folder, which is made where it is missing, for its user alone.

    Raises:
        OperationalError: it can't be made, or others may put things into it.
    """
    folder = state_dir()
    try:
        make_private(folder)
    except OSError as error:
        failed = "used" if folder.exists() else "made"
        raise OperationalError(
            f"the state directory {folder} can't be {failed}: {error.strerror or 'unknown error'} "
            f"({STATE_DIR_VARIABLE} names another)"
        ) from None
    return folder
