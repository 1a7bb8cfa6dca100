"""Files of one JSON object a line that only grow, of mode 0600, and on the disk when it matters."""

from __future__ import annotations

import os
import time
from pathlib import Path

from vercel_sql.api.os_files import lock
from vercel_sql.api.private_files import open_private

# How long another process is waited for at most: whoever holds a lock for longer writes no line.
_TURN_SECONDS = 1.0


def open_for_appending(path: Path, *, new: bool = False, forbidden: int = 0o077) -> int:
    """A file of the user's own to append to, made where it is missing.

    Args:
        path: the file.
        new: whether it must not be there yet.
        forbidden: the permissions that it may not have.

    Raises:
        OSError: it can't be opened, or it is not the user's alone.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | (os.O_EXCL if new else 0)
    return open_private(path, flags, forbidden=forbidden)


def take_turn(handle: int) -> None:
    """Waits until no other process writes to a file, and keeps them waiting until it is closed.

    While a line is written, others may see a part of it, and take it for one that was cut off.
    """
    end = time.monotonic() + _TURN_SECONDS
    while lock(handle, shared=False) is False and time.monotonic() < end:
        time.sleep(0.001)


def append_line(handle: int, line: str) -> None:
    """Writes a line, and its end, in one piece wherever the file system takes it so.

    What a crash or a full disk cut off before is ended first: it must not swallow this line.

    Args:
        handle: the file, from `open_for_appending`.
        line: the text, without line breaks.

    Raises:
        OSError: it can't be written.
    """
    content = f"{'' if _ends_whole(handle) else chr(10)}{line}{chr(10)}".encode()
    written = 0
    while written < len(content):
        written += os.write(handle, content[written:])


def _ends_whole(handle: int) -> bool:
    """Whether a file is empty, or its last line has its end."""
    if os.lseek(handle, 0, os.SEEK_END) == 0:
        return True
    os.lseek(handle, -1, os.SEEK_END)
    return os.read(handle, 1) == b"\n"
