"""File calls that refuse what Windows refuses, in a process of its own on Linux.

Measured with C programs of the same calls on Windows' runtime: a file that is open in any process
is neither replaced nor removed (errors 5 and 32), only a handle for writing is synced, a folder is
not opened, modes are 0666, and a locked byte is locked for one handle until that is closed.
"""

from __future__ import annotations

import asyncio  # noqa: F401 - it and subprocess would take this for Windows altogether
import errno
import fcntl
import os
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import platformdirs.unix  # noqa: F401 - it takes this for Unix all the same

_NONBLOCK = os.O_NONBLOCK
_real = SimpleNamespace(
    **{n: getattr(os, n) for n in ("open", "stat", "lstat", "fstat", "fsync", "unlink", "remove")},
    **{n: getattr(os, n) for n in ("replace", "rename", "mkdir", "chmod", "readlink")},
)


def install() -> None:
    """Makes this process see Windows' file calls; call it before anything of ours is imported."""
    shutil._use_fd_functions = False  # type: ignore[attr-defined]
    for name in ("geteuid", "getuid", "getgid", "getgroups", "fchmod", "set_blocking", "sysconf"):
        delattr(os, name)
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_DIRECTORY", "O_PATH"):
        delattr(os, name)
    for name in ("SIGHUP", "SIGKILL"):
        delattr(signal, name)
    os.open, os.fsync, os.chmod = _open, _fsync, _chmod  # type: ignore[assignment]
    os.stat, os.lstat, os.fstat = _stat, _lstat, _fstat  # type: ignore[assignment]
    os.unlink = os.remove = _unlink  # type: ignore[assignment]
    os.replace = os.rename = _replace  # type: ignore[assignment]
    os.mkdir = _mkdir  # type: ignore[assignment]
    sys.modules["msvcrt"] = SimpleNamespace(LK_NBLCK=2, locking=_locking)  # type: ignore[assignment]
    from vercel_sql import files  # without these flags

    files.IS_WINDOWS = True
    os.O_NONBLOCK = _NONBLOCK  # for filelock, which is that of Linux here


def _refused(path: object, other: object = None) -> PermissionError:
    return PermissionError(errno.EACCES, "The process cannot access the file", path, None, other)


def _no_folders(dir_fd: object) -> None:
    if dir_fd is not None:
        raise NotImplementedError("dir_fd unavailable on this platform")


def _open(path: Any, flags: int, mode: int = 0o777, *, dir_fd: Any = None) -> int:
    _no_folders(dir_fd)
    if Path(path).is_dir():
        raise _refused(path)
    return _real.open(path, flags, mode)


def _seen(found: os.stat_result) -> os.stat_result:
    kind = found.st_mode & ~0o777
    values = list(found)
    values[0], values[4], values[5] = kind | 0o666, 0, 0
    names = ("st_atime", "st_mtime", "st_ctime", "st_atime_ns", "st_mtime_ns", "st_ctime_ns")
    return os.stat_result(values, {name: getattr(found, name) for name in names})


def _stat(path: Any, *, dir_fd: Any = None, follow_symlinks: bool = True) -> os.stat_result:
    _no_folders(dir_fd)
    return _seen(_real.stat(path, follow_symlinks=follow_symlinks))


def _lstat(path: Any, *, dir_fd: Any = None) -> os.stat_result:
    _no_folders(dir_fd)
    return _seen(_real.lstat(path))


def _fstat(handle: int) -> os.stat_result:
    return _seen(_real.fstat(handle))


def _chmod(path: Any, _mode: int, **_options: Any) -> None:
    _real.stat(path)  # it changes nothing that matters, of a file that has to be there


def _mkdir(path: Any, _mode: int = 0o777, *, dir_fd: Any = None) -> None:
    _no_folders(dir_fd)
    _real.mkdir(path)


def _fsync(file: Any) -> None:
    handle = file if isinstance(file, int) else file.fileno()
    if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    _real.fsync(handle)


def _unlink(path: Any, *, dir_fd: Any = None) -> None:
    _no_folders(dir_fd)
    if _is_open(path):
        raise _refused(path)
    _real.unlink(path)


def _replace(source: Any, target: Any, **_options: Any) -> None:
    if _is_open(source) or _is_open(target):
        raise _refused(source, target)
    _real.replace(source, target)


def _is_open(path: Any) -> bool:
    """Whether any process has a file open."""
    try:
        found = _real.lstat(path)
    except OSError:
        return False
    for handle in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            other = _real.stat(handle)
            if (other.st_dev, other.st_ino) == (found.st_dev, found.st_ino):
                return True
    return False


def _locking(handle: int, _mode: int, _count: int) -> None:
    # One byte, beyond what any file has; a folder of ours has no other locks.
    assert os.lseek(handle, 0, os.SEEK_CUR) > os.fstat(handle).st_size
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _refused(None) from None
