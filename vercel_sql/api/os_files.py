"""The file calls that differ between operating systems; nothing else asks which one this is.

Windows knows no owners and modes in POSIX's sense, refuses to replace or remove a file that
somebody has open, and syncs only what was opened for writing, so no folders either.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

if sys.platform != "win32":
    import fcntl

IS_WINDOWS = sys.platform == "win32"
# For how many seconds a file is tried again that Windows says is in use: others have ours open for
# an instant only, and virus scanners look at each new one.
_IN_USE_SECONDS = 2.0
_PROBED_SECONDS = 0.1
_PAUSE = 0.01
# Windows keeps others from reading what is locked, so that is a byte which no file of ours has.
_LOCKED_BYTE = 2**30


def has_owners() -> bool:
    """Whether files have an owner and permissions that say who may use them."""
    return not IS_WINDOWS


def permissions(found: os.stat_result) -> int:
    """The permissions of a file; 0600 where they say nothing."""
    return stat.S_IMODE(found.st_mode) if has_owners() else 0o600


def make_unreadable(handle: int) -> None:
    """Keeps others from reading an open file, where permissions do that."""
    if has_owners():
        os.fchmod(handle, 0o600)


def replace(source: Path, target: Path) -> None:
    """Puts a file in the place of another.

    Raises:
        OSError: it can't be done.
    """
    _again(lambda: os.replace(source, target))


def remove(path: Path) -> None:
    """Removes a file, if it is there.

    Raises:
        OSError: it can't be done.
    """
    _again(lambda: path.unlink(missing_ok=True))


def _again(act: Callable[[], None]) -> None:
    end = time.monotonic() + _IN_USE_SECONDS
    while True:
        try:
            return act()
        except PermissionError:
            if not IS_WINDOWS or time.monotonic() > end:
                raise
        time.sleep(_PAUSE)


def sync_file(path: Path) -> None:
    """Returns when a file that others have written is on the disk.

    Raises:
        OSError: it is not.
    """
    _sync(path, os.O_RDWR)


def sync_folder(folder: Path) -> None:
    """Returns when the names in a folder are on the disk: that of a file that was just made.

    Raises:
        OSError: they are not.
    """
    if not IS_WINDOWS:
        _sync(folder, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def lock(handle: int, *, shared: bool) -> bool | None:
    """Locks a file until it is closed; False where another has it, None where locks are unknown."""
    if IS_WINDOWS:
        return _lock_byte(handle, shared=shared)
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems
        return None
    return True


def _lock_byte(handle: int, *, shared: bool) -> bool | None:
    """The same on Windows. It has no shared locks, so those who just look do it one by one."""
    msvcrt = import_module("msvcrt")
    end = time.monotonic() + (_PROBED_SECONDS if shared else 0)
    while True:
        os.lseek(handle, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            if time.monotonic() >= end:
                return False
        except OSError:
            return None
        else:
            return True
        time.sleep(_PAUSE)
