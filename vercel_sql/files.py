"""Files that only their user can read, change or swap for others, and where our own are.

Whoever may write to a folder decides what is in it, so a path is walked from the root, each folder
opened through the one before: nothing can be swapped between check and use.

- A folder belongs to root or to the user, and nobody else may write to it. In a sticky one, such
  as /tmp, others may add things but not swap ours: a folder in it must be ours again.
- A link on the way is followed if only root or the user can have put it there (/tmp of macOS, a
  home on another disk), and refused in a folder that others may write to.
- The file is a regular one of the user's own, with no other name (hard link), and not a link.

Windows has no owners and modes in POSIX's sense: there, the file is a regular one with no other
name, and not a link. Windows refuses to replace or remove an open file, and syncs only what was
opened for writing, so not folders.

Everything here raises `OSError`, with a readable reason if one of these rules is broken.
``forbidden`` stands for the permissions that a file may not have.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

from vercel_sql.errors import JournalError, OperationalError
from vercel_sql.text import SAID_AFTER

if sys.platform != "win32":
    import fcntl
    import grp
    import pwd

IS_WINDOWS = sys.platform == "win32"
# How many seconds to retry a file that Windows says is in use: others have ours open for an instant
# only, and virus scanners read each new one.
_IN_USE_SECONDS = 2.0
_PROBED_SECONDS = 0.1
_PAUSE = 0.01
# Windows keeps others from reading what is locked, so the lock is on a byte that no file has.
_LOCKED_BYTE = 2**30
# How long to wait for another process: whoever holds a lock for longer is not writing a line.
_TURN_SECONDS = 1.0

STATE_DIR_VARIABLE = "VERCEL_SQL_STATE_DIR"

READABLE = 0o022
"""A value of ``forbidden``: others may not write the file, but may read it."""

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
# Opening a named pipe would wait for whoever has its other end.
_FLAGS = _NO_LINK | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
# Folders on the way need not be readable.
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | _NO_LINK
_MOST_LINKS = 40  # as on Linux
_LONGEST = 2**16


def open_private(path: Path, flags: int, *, forbidden: int = 0o077) -> int:
    """Opens a file of the user's own; if the flags create it, it has mode 0600.

    Empty it with `os.ftruncate`: ``O_TRUNC`` would act before the owner is checked.
    """
    with _place(path) as (folder, name):
        _look(folder, name, forbidden)
        handle = os.open(name, flags | _FLAGS, 0o600, dir_fd=folder)
    try:
        found = os.fstat(handle)
        _require_file(found, forbidden)
        if found.st_nlink > 1:
            raise _refused("it has another name too (a hard link); name a separate file")
    except OSError:
        os.close(handle)
        raise
    return handle


def read_private(path: Path) -> bytes:
    """The content of a file of the user's own, which others may read."""
    with open(open_private(path, os.O_RDONLY, forbidden=READABLE), "rb") as file:
        return file.read()


def require_replaceable(path: Path, *, forbidden: int = 0) -> None:
    """Refuses a path where somebody else has put something, or could swap it."""
    with _place(path) as (folder, name):
        _look(folder, name, forbidden)


def read_trusted(path: Path, *, forbidden: int = READABLE) -> tuple[bytes, int]:
    """The content and permissions of a short file of the user's or root's, such as a token.

    Links are followed, since tools that pass secrets to containers make them: nothing is written,
    and nobody else can have made the file. What the shell or the caller opened is their choice.
    """
    flags = os.O_RDONLY | (_FLAGS & ~_NO_LINK)
    with open(os.open(path, flags), "rb") as file:
        found = os.fstat(file.fileno())
        mode = permissions(found)
        is_handed_over = str(path).startswith(("/dev/fd/", "/dev/stdin"))
        if has_owners() and not is_handed_over:
            if found.st_uid not in _trusted():
                raise _refused(f"it belongs to {_owner(found.st_uid)}, who may put anything there")
            _require_mode(found, forbidden)
        if has_owners():
            os.set_blocking(file.fileno(), True)
            _await_writer(file.fileno(), path)
        return file.read(_LONGEST), mode


def _await_writer(handle: int, path: Path) -> None:
    """Returns when a pipe has something to read, and says so if that takes a while."""
    pipe = select.poll()
    pipe.register(handle, select.POLLIN)
    if not pipe.poll(SAID_AFTER * 1000):
        from vercel_sql.logger import logger  # above, it would load the client

        logger("api").warning("waiting for whoever writes to %s", path)
        pipe.poll()


def make_private(folder: Path, *, sticky: bool = False) -> None:
    """Makes a folder and its missing parents, for the user alone.

    In a ``sticky`` folder, others may add things, but not swap ours.
    """
    if not has_owners():
        folder.mkdir(parents=True, exist_ok=True)
        return
    _close_private(_walk(folder, make=True), folder, sticky=sticky)


def require_private(folder: Path) -> None:
    """Refuses a folder that others may put things into."""
    if has_owners():
        _close_private(_walk(folder), folder)
    elif not stat.S_ISDIR(os.stat(folder).st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "it is not a folder")


def _close_private(handle: int, folder: Path, *, sticky: bool = False) -> None:
    try:
        found = os.fstat(handle)
    finally:
        os.close(handle)
    if _is_open(found) and not sticky:  # any other kind is refused on the way
        raise _refused(_shared(folder, found))


def open_for_appending(path: Path, *, new: bool = False, forbidden: int = 0o077) -> int:
    """Opens a file of the user's own to append to; it is created if it is missing."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | (os.O_EXCL if new else 0)
    return open_private(path, flags, forbidden=forbidden)


def require_appendable(path: Path, *, forbidden: int = 0o077) -> None:
    """Checks that a file can be appended to; a new one is created, and its name synced."""
    is_new = not path.exists()
    os.close(open_for_appending(path, forbidden=forbidden))
    if is_new:
        sync_folder(path.absolute().parent)


def append_line(path: Path, line: str, *, forbidden: int = 0o077) -> int:
    """Appends a line to a file that processes share, syncs it, and returns the file's length."""
    is_new = not path.exists()
    handle = open_for_appending(path, forbidden=forbidden)
    try:
        _take_turn(handle)
        write_line(handle, line)
        os.fsync(handle)
        length = os.fstat(handle).st_size
    finally:
        os.close(handle)
    if is_new:
        sync_folder(path.absolute().parent)
    return length


def write_line(handle: int, line: str) -> None:
    """Writes a line, in one piece if the file system allows it.

    An unfinished line before it, left by a crash or a full disk, is ended first.
    """
    size = os.lseek(handle, 0, os.SEEK_END)
    os.lseek(handle, max(0, size - 1), os.SEEK_SET)
    start = b"" if size == 0 or os.read(handle, 1) == b"\n" else b"\n"
    content, written = start + f"{line}\n".encode(), 0
    while written < len(content):
        written += os.write(handle, content[written:])


def _take_turn(handle: int) -> None:
    """Locks a file until it is closed, so that no other process sees part of a line."""
    end = time.monotonic() + _TURN_SECONDS
    while lock(handle, shared=False) is False and time.monotonic() < end:
        time.sleep(0.001)


@contextmanager
def _place(path: Path) -> Iterator[tuple[int | None, str]]:
    """A file's folder and name, for calls that take ``dir_fd``."""
    if not has_owners():
        yield None, str(path)
        return
    folder = _walk(path.absolute().parent)
    try:
        yield folder, path.name
    finally:
        os.close(folder)


def _walk(path: Path, *, make: bool = False) -> int:
    """A handle of a folder; each step on the way to it is checked."""
    at, place = os.open("/", _FOLDER), Path("/")
    ahead = [*reversed(path.absolute().parts[1:])]
    links = 0
    try:
        while ahead:
            name = ahead.pop()
            found = _entry(at, name, make=make)
            if stat.S_ISLNK(found.st_mode):
                links += 1
                target = Path(_link(at, place / name, found, links))
                if target.is_absolute():
                    at, place = _stepped(at, "/"), Path("/")
                ahead += [*reversed(target.parts[target.is_absolute() :])]
                continue
            at, place = _stepped(at, name), place / name
            _require_folder(os.fstat(at), place)
    except OSError:
        os.close(at)
        raise
    return at


def _entry(at: int, name: str, *, make: bool) -> os.stat_result:
    try:
        return os.stat(name, dir_fd=at, follow_symlinks=False)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):  # another process has made it meanwhile
        os.mkdir(name, 0o700, dir_fd=at)
    return os.stat(name, dir_fd=at, follow_symlinks=False)


def _stepped(at: int, name: str) -> int:
    following = os.open(name, _FOLDER, dir_fd=at)
    os.close(at)
    return following


def _link(at: int, place: Path, found: os.stat_result, links: int) -> str:
    if links > _MOST_LINKS:
        raise OSError(errno.ELOOP, f"too many links lead to {place}")
    if found.st_uid not in _trusted() or _is_open(os.fstat(at)):
        raise _refused(
            f"{place} is a link of {_owner(found.st_uid)} that others may have put there; "
            "name the folder itself"
        )
    return os.readlink(place.name, dir_fd=at)


def _require_folder(found: os.stat_result, place: Path) -> None:
    if found.st_uid not in _trusted():
        raise _refused(
            f"the folder {place} belongs to {_owner(found.st_uid)}, who could change what is in "
            "it; name one of your own"
        )
    if _is_open(found) and not found.st_mode & stat.S_ISVTX:
        raise _refused(_shared(place, found))


def _shared(place: Path, found: os.stat_result) -> str:
    mine = "run chmod go-w on it, or " if found.st_uid == os.geteuid() else ""
    return (
        f"others may write to the folder {place} (of {_owner(found.st_uid)}, mode "
        f"{stat.S_IMODE(found.st_mode):04o}); {mine}name another"
    )


def _look(folder: int | None, name: str, forbidden: int) -> None:
    """Checks what is at a file's path, if anything, before it is opened."""
    with suppress(FileNotFoundError):
        _require_file(os.stat(name, dir_fd=folder, follow_symlinks=False), forbidden)


def _require_file(found: os.stat_result, forbidden: int) -> None:
    whose = f" (it belongs to {_owner(found.st_uid)})" if has_owners() else ""
    if stat.S_ISLNK(found.st_mode):
        raise _refused(f"it is a link{whose}; name the file itself")
    if stat.S_ISDIR(found.st_mode):
        raise _refused(f"{os.strerror(errno.EISDIR)}{whose}")
    if not stat.S_ISREG(found.st_mode):
        raise _refused(f"it is not a regular file{whose}")
    if has_owners() and found.st_uid != os.geteuid():
        owner = _owner(found.st_uid)
        raise _refused(
            f"it belongs to {owner}, who can read and change it; name a file of your own"
        )
    _require_mode(found, forbidden)


def _require_mode(found: os.stat_result, forbidden: int) -> None:
    mode = permissions(found)
    if mode & forbidden and (forbidden != READABLE or _is_open(found)):
        may, change = ("read", "600") if forbidden & 0o044 else ("write", "go-w")
        raise _refused(f"others may {may} it (mode {mode:04o}); run chmod {change} on it")


def _is_open(found: os.stat_result) -> bool:
    """Whether anybody but its owner and root may write to a file or folder."""
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and not _is_own_group(found)


def _is_own_group(found: os.stat_result) -> bool:
    """Whether a group has only its owner, as many systems make one for each user.

    A group without a name is that of a container's volume, and so of what runs there.
    """
    try:
        user, group = pwd.getpwuid(found.st_uid), grp.getgrgid(found.st_gid)
    except KeyError:
        return found.st_gid in os.getgroups()
    return group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def _trusted() -> tuple[int, ...]:
    """Who may own the path to a file: the user, and whoever could do anything anyway.

    In a container whose root has no user that this system knows, that is the owner of `/`.
    """
    return os.geteuid(), 0, os.stat("/").st_uid


def _owner(uid: int) -> str:
    if sys.platform != "win32":
        with suppress(KeyError):
            return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    return f"uid {uid}"


def _refused(reason: str) -> PermissionError:
    return PermissionError(errno.EACCES, reason)


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
    """Puts a file in the place of another."""
    _again(lambda: os.replace(source, target))


def remove(path: Path) -> None:
    """Removes a file, if it is there."""
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


def sync_folder(folder: Path) -> None:
    """Syncs the names in a folder, such as that of a new file."""
    if not IS_WINDOWS:
        sync_file(folder, os.O_RDONLY)


def sync_file(path: Path, flags: int = os.O_RDWR) -> None:
    """Syncs a file that others have written."""
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def lock(handle: int, *, shared: bool) -> bool | None:
    """Locks a file until it is closed; False if another has it, None if locks don't work."""
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
    """The same on Windows, which has no shared locks: these wait for one another instead."""
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


def named_path(path: str | os.PathLike[str]) -> Path:
    """The path that the user named, with ``~`` expanded; else `OSError`."""
    if "\0" in os.fspath(path):
        raise OSError(errno.EINVAL, "that is not the name of a file")
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise OSError(errno.ENOENT, "there is no such home directory") from None


def own_folder(variable: str, xdg: str, find: Callable[..., Path]) -> Path:
    """A folder of this package, by its environment variable or by platformdirs' ``find``."""
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
    """The folder of what this package remembers between runs; it may not exist yet."""
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
