"""The folder of what this package remembers between two runs, as the platform has it."""

from __future__ import annotations

import os
from pathlib import Path

from vercel_sql.api.private_files import make_private
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
