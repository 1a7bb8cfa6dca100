"""The folder of what this package remembers between two runs, as the platform has it."""

from __future__ import annotations

from pathlib import Path

from vercel_sql.api.private_files import make_private
from vercel_sql.errors import JournalError, OperationalError
from vercel_sql.paths import own_folder

STATE_DIR_VARIABLE = "VERCEL_SQL_STATE_DIR"


def state_dir() -> Path:
    """The folder; it need not be there yet.

    Raises:
        JournalError: nobody can tell where it is.
    """
    import platformdirs

    try:
        return own_folder(STATE_DIR_VARIABLE, "XDG_STATE_HOME", platformdirs.user_state_path)
    except OSError as error:
        raise JournalError(f"there is no state directory: {error.strerror}") from None


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
