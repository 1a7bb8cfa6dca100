"""Paths that the user named, and the folders of this package."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from vercel_sql.errors import JournalError, OperationalError
from vercel_sql.files import make_private

STATE_DIR_VARIABLE = "VERCEL_SQL_STATE_DIR"


def named_path(path: str | os.PathLike[str]) -> Path:
    """The path that the user named, with ``~`` expanded; else `OSError`."""
    if "\0" in os.fspath(path):
        raise OSError(errno.EINVAL, "that is not the name of a file")
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise OSError(errno.ENOENT, "there is no such home directory") from None


def own_folder(variable: str, xdg: str, find: Callable[..., Path]) -> Path:
    """A folder of this package, which may not exist yet.

    The environment ``variable`` names it; else platformdirs' ``find``, which follows ``xdg``.
    Raises `OSError`, with what must be changed, if neither works.
    """
    given = os.environ.get(variable, "").strip()
    try:
        if given:
            return named_path(given).absolute()
        reason = why_unusable(xdg)
    except OSError as error:  # the working directory is gone, for one
        reason = f"{variable} is {given}: {error.strerror}"
    if reason is None:
        return find("vercel-sql", appauthor=False)
    raise OSError(errno.ENOENT, f"{reason} ({variable} names one by its full path)")


def why_unusable(xdg: str) -> str | None:
    """Why the platform's folder for this user's files is unknown, or None."""
    named = os.environ.get(xdg, "").strip()
    if named:
        return None if os.path.isabs(named) else f"{xdg} is {named}, which is not a full path"
    if os.environ.get("HOME") == "":  # it would be the root of all files
        return "HOME is empty"
    home = os.path.expanduser("~")
    if home == "~":
        return "there is no home directory, and HOME is not set"
    return None if os.path.isabs(home) else f"HOME is {home}, which is not a full path"


def state_dir() -> Path:
    """The folder of what this package remembers between runs, which may not exist yet."""
    import platformdirs

    try:
        return own_folder(STATE_DIR_VARIABLE, "XDG_STATE_HOME", platformdirs.user_state_path)
    except OSError as error:
        raise JournalError(f"there is no state directory: {error.strerror}") from None


def made_state_dir() -> Path:
    """The same folder, created if it is missing, for its user alone."""
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
