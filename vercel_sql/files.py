"""Files that only their user can read, change or swap for others, on each operating system.

Whoever may write to a folder decides what is in it, so a path is walked from the root, each folder
opened by way of the one before: nothing can be swapped between the look and the use.

- A folder belongs to root or to the user, and nobody else may write to it. In a sticky one, such
  as /tmp, others may put new things but not swap ours: a folder in it has to be ours again.
- A link on the way is followed where only root or the user can have put it (/tmp of macOS, a home
  on another disk), and refused in a folder that others may write to.
- The file is the user's own, a regular one, without another name (hard link), and no link.

Windows has no owners and modes in POSIX's sense, so there the file is a regular one without another
name, and no link. It refuses to replace or remove a file that somebody has open, and syncs only
what was opened for writing, so no folders either.

Everything here raises `OSError`, with a readable reason where one of these rules is broken.
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

from vercel_sql.messages import SAID_AFTER

if sys.platform != "win32":
    import fcntl
    import grp
    import pwd

IS_WINDOWS = sys.platform == "win32"
# For how many seconds a file is tried again that Windows says is in use: others have ours open for
# an instant only, and virus scanners look at each new one.
_IN_USE_SECONDS = 2.0
_PROBED_SECONDS = 0.1
_PAUSE = 0.01
# Windows keeps others from reading what is locked, so that is a byte which no file of ours has.
_LOCKED_BYTE = 2**30
# How long another process is waited for at most: whoever holds a lock for longer writes no line.
_TURN_SECONDS = 1.0

READABLE = 0o022
"""What may be forbidden of a file: that others write it. Who reads it is its owner's choice."""

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
# Opening a named pipe would wait for whoever has its other end.
_FLAGS = _NO_LINK | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
# Folders on the way need not be readable.
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | _NO_LINK
_MOST_LINKS = 40  # as Linux has it
_LONGEST = 2**16


def open_private(path: Path, flags: int, *, forbidden: int = 0o077) -> int:
    """Opens a file of the user's own, which is made with mode 0600 where the flags say so.

    Empty it with `os.ftruncate`: ``O_TRUNC`` acts before it is known whose file it is.
    """
    with _place(path) as (folder, name):
        _look(folder, name, forbidden)
        handle = os.open(name, flags | _FLAGS, 0o600, dir_fd=folder)
    try:
        found = os.fstat(handle)
        _require_file(found, forbidden)
        if found.st_nlink > 1:
            raise _refused("it has another name too (a hard link); name a file of its own")
    except OSError:
        os.close(handle)
        raise
    return handle


def read_private(path: Path) -> bytes:
    """What a file of the user's own holds, which others may read."""
    with open(open_private(path, os.O_RDONLY, forbidden=READABLE), "rb") as file:
        return file.read()


def require_replaceable(path: Path, *, forbidden: int = 0) -> None:
    """Refuses a place for a file where somebody else has put something, or could swap it."""
    with _place(path) as (folder, name):
        _look(folder, name, forbidden)


def read_trusted(path: Path, *, forbidden: int = READABLE) -> tuple[bytes, int]:
    """What a short file of the user's or root's holds, such as a token, and its permissions.

    Links are followed, as what hands out secrets to containers makes them: nothing is written, and
    nobody else can have made the file. What the shell or the caller opened is theirs to choose.
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
    """Returns when something can be read from a pipe, and says so where that takes a while."""
    pipe = select.poll()
    pipe.register(handle, select.POLLIN)
    if not pipe.poll(SAID_AFTER * 1000):
        from vercel_sql.api.logger import logger  # above, it would load the client

        logger("api").warning("waiting for whoever writes to %s", path)
        pipe.poll()


def make_private(folder: Path, *, sticky: bool = False) -> None:
    """Makes a folder, and those that it is in, for the user alone, where they are missing.

    In a sticky folder, others may put things that can't take the place of ours.
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
    """Opens a file of the user's own to append to, which is made where it is missing."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | (os.O_EXCL if new else 0)
    return open_private(path, flags, forbidden=forbidden)


def require_appendable(path: Path, *, forbidden: int = 0o077) -> None:
    """Finds out whether a file can be appended to; a new one is made, and its name synced."""
    is_new = not path.exists()
    os.close(open_for_appending(path, forbidden=forbidden))
    if is_new:
        sync_folder(path.absolute().parent)


def append_line(path: Path, line: str, *, forbidden: int = 0o077) -> int:
    """Appends a line to a file that processes share; gives its length when that is on the disk."""
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
    """Writes a line, and its end, in one piece wherever the file system takes it so.

    What a crash or a full disk cut off before is ended first: it must not swallow this line.
    """
    content = f"{'' if _ends_whole(handle) else chr(10)}{line}{chr(10)}".encode()
    written = 0
    while written < len(content):
        written += os.write(handle, content[written:])


def _take_turn(handle: int) -> None:
    """Waits until no other process writes to a file, and keeps them waiting until it is closed.

    While a line is written, others may see a part of it, and take it for one that was cut off.
    """
    end = time.monotonic() + _TURN_SECONDS
    while lock(handle, shared=False) is False and time.monotonic() < end:
        time.sleep(0.001)


def _ends_whole(handle: int) -> bool:
    """Whether a file is empty, or its last line has its end."""
    if os.lseek(handle, 0, os.SEEK_END) == 0:
        return True
    os.lseek(handle, -1, os.SEEK_END)
    return os.read(handle, 1) == b"\n"


@contextmanager
def _place(path: Path) -> Iterator[tuple[int | None, str]]:
    """What the calls that take ``dir_fd`` need for a file: its folder's handle, and its name."""
    if not has_owners():
        yield None, str(path)
        return
    folder = _walk(path.absolute().parent)
    try:
        yield folder, path.name
    finally:
        os.close(folder)


def _walk(path: Path, *, make: bool = False) -> int:
    """A handle of a folder, each step to which is safe."""
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
    """A handle of a folder in another, whose own is closed."""
    following = os.open(name, _FOLDER, dir_fd=at)
    os.close(at)
    return following


def _link(at: int, place: Path, found: os.stat_result, links: int) -> str:
    """Where a link in a folder leads."""
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
    """Refuses what is in a file's place, before it is opened; there need not be anything."""
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
    """Whether others than its owner and root may write to a file or folder."""
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and not _is_own_group(found)


def _is_own_group(found: os.stat_result) -> bool:
    """Whether a group is its owner's alone, as many systems make one for each user.

    A group without a name is that of a container's volume, and so of what runs there.
    """
    try:
        user, group = pwd.getpwuid(found.st_uid), grp.getgrgid(found.st_gid)
    except KeyError:
        return found.st_gid in os.getgroups()
    return group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def _trusted() -> tuple[int, ...]:
    """Who may own the way to a file: the user, and who could do anything anyhow.

    In a container whose root is nobody's that this system knows, that is the owner of `/`.
    """
    return os.geteuid(), 0, os.stat("/").st_uid


def _owner(uid: int) -> str:
    """A user in words."""
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


def sync_file(path: Path) -> None:
    """Returns when a file that others have written is on the disk."""
    _sync(path, os.O_RDWR)


def sync_folder(folder: Path) -> None:
    """Returns when the names in a folder are on the disk: that of a file that was just made."""
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
