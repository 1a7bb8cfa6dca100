"""Paths that a person named, and folders that the environment does: each fails as a file would."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path


def named_path(path: str | os.PathLike[str]) -> Path:
    """The path that a person named, where ``~`` is the home directory.

    Raises:
        OSError: it can't be the name of a file, or there is no such home directory.
    """
    if "\0" in os.fspath(path):
        raise OSError(errno.EINVAL, "that is not the name of a file")
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise OSError(errno.ENOENT, "there is no such home directory") from None


def own_folder(variable: str, xdg: str, find: Callable[..., Path]) -> Path:
    """A folder of this package's own; it need not be there yet.

    Args:
        variable: the environment variable that names it.
        xdg: the variable that the platform's own choice follows.
        find: what gives that choice, one of platformdirs.

    Raises:
        OSError: nobody can tell where it is; the reason names what is to be changed.
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
    """Why nobody can tell where the platform keeps this user's files, or None.

    Args:
        xdg: the environment variable that says so before the home directory does.
    """
    named = os.environ.get(xdg, "").strip()
    if named:
        return None if os.path.isabs(named) else f"{xdg} is {named}, which is not a full path"
    if os.environ.get("HOME") == "":  # it would be the root of all files
        return "HOME is empty"
    home = os.path.expanduser("~")
    if home == "~":
        return "there is no home directory, and HOME is not set"
    return None if os.path.isabs(home) else f"HOME is {home}, which is not a full path"
