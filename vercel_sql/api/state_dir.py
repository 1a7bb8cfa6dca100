"""The folder of what this package remembers between two runs, as the platform has it."""

from __future__ import annotations

import os
from pathlib import Path

from vercel_sql.errors import JournalError, OperationalError

STATE_DIR_VARIABLE = "VERCEL_SQL_STATE_DIR"


def state_dir() -> Path:
    """The folder; it need not be there yet.

    Raises:
        JournalError: nobody can tell where it is.
    """
    given = os.environ.get(STATE_DIR_VARIABLE, "").strip()
    try:
        folder = Path(given).expanduser().absolute() if given else _of_user()
    except (OSError, RuntimeError) as error:  # the working directory is gone, or there is no home
        reason = getattr(error, "strerror", None) or "there is no home directory"
        raise _unknown(f"{given or 'the default'}: {reason}") from None
    if not folder.is_absolute():
        raise _unknown("there is no home directory, and HOME is not set")
    return folder


def _of_user() -> Path:
    import platformdirs

    return platformdirs.user_state_path("vercel-sql", appauthor=False)


def _unknown(reason: str) -> JournalError:
    return JournalError(
        f"there is no state directory: {reason} ({STATE_DIR_VARIABLE} names one by its full path)"
    )


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
