"""Where a history is stored: a DuckDB file, or anything else DuckDB can attach.

Snapshots and reports take turns: one that another process has open is waited for.
"""

from __future__ import annotations

import errno
import os
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

import duckdb

from vercel_sql.catalog.ddl import literal
from vercel_sql.cli import FAILED
from vercel_sql.cli.terminal import in_time
from vercel_sql.errors import OperationalError, ParameterError
from vercel_sql.files import READABLE, named_path, require_private, require_replaceable
from vercel_sql.text import SAID_AFTER, say

CATALOG = "history"
"""The name of the attached database, here and in reports."""

# Both DuckDB versions open such a file. An existing file keeps its version.
_STORAGE = "STORAGE_VERSION 'v1.5.0'"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+._-]+(?=:)")  # one letter is a Windows drive
_PASSWORD = re.compile(r"(password\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)", re.IGNORECASE)
_USERINFO = re.compile(r"(:/+)[^\s\"']+@")  # DuckDB 1.5 drops one of two slashes
_MISSING_EXTENSION = re.compile(
    r"(?:download extension \"|required extension '|Extension \"(?:[^\"]*/)?)(\w+)"
    r"(?=[\"':]|\.duckdb_extension\" not found)"
)
# How systems say that a file system has no hard links.
_NO_LINKS = {errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
# DuckDB's message, and that of Windows.
_LOCKED = re.compile(r"(?:Could not set lock|used by another process)(?:.*?\(PID (\d+)\))?", re.S)
_BUSY_SECONDS = 60.0

T = TypeVar("T")


class BusyError(OperationalError):
    """Another process has the history open, or has just created it."""


def holder(message: str) -> str | None:
    """The process that has a file open, if that is what a DuckDB error says."""
    found = _LOCKED.search(message)
    if found is None:
        return None
    return f"process {found[1]}" if found[1] else "another process"


def in_turn(act: Callable[[], T]) -> T:
    """Call a function again while it raises `BusyError`, for a minute."""
    start = time.monotonic()
    is_told = False
    while True:
        try:
            return act()
        except BusyError as error:
            waited = time.monotonic() - start
            if waited > _BUSY_SECONDS:
                raise OperationalError(f"{error}, still after {_BUSY_SECONDS:.0f} s") from None
            if waited > SAID_AFTER and not is_told:
                is_told = True
                say(f"Waiting, {_BUSY_SECONDS:.0f} s at most: {error}")
        time.sleep(random.uniform(0.02, 0.2))  # noqa: S311 - so that not all come at once


class Target:
    """The value of ``--to`` or ``--history``.

    Args:
        text: a file name, or what DuckDB's ATTACH takes, such as ``ducklake:history.ducklake``.
        option: the option's name.
    """

    def __init__(self, text: str, option: str = "--to") -> None:
        if not text.strip() or "\0" in text:
            raise ParameterError(f"{option} needs a file name, or what DuckDB's ATTACH takes")
        if ":memory:" in text.lower():
            raise ParameterError(f"{option} {text} would be lost with the command: name a file")
        scheme = _SCHEME.match(text)
        self._text = text
        try:
            self._path = None if scheme else named_path(text).absolute()
        except OSError as error:  # no working directory, or no home directory
            raise ParameterError(f"{option} {text} can't be found: {error.strerror}") from None
        # What follows the scheme may contain a password.
        self._shown = f"{scheme[0]}:…" if scheme else text

    def __repr__(self) -> str:
        return f"<Target {self._shown}>"

    @property
    def is_file(self) -> bool:
        """Whether it is a local DuckDB file."""
        return self._path is not None

    def waited_for(self, seconds: float, failure: str) -> AbstractContextManager[None]:
        """End the command if a remote database is silent for longer; `failure` is said before."""
        if self.is_file:
            return nullcontext()
        return in_time(self._shown, FAILED, f"{failure} {self._shown}", seconds)

    @contextmanager
    def read(self) -> Iterator[duckdb.DuckDBPyConnection | None]:
        """A connection to read the target; None if there is nothing yet."""
        with self._explained(), _owner_only():  # some targets are created by attaching them
            file = self._file()
            if file is None:
                with _attached(self._text) as con:
                    yield con
            elif file.exists():
                with _attached(str(file), "(READ_ONLY)") as con:
                    yield con
            else:
                yield None

    @contextmanager
    def written(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection to write one transaction.

        A missing file is written beside its place and moved there when it is complete. Only its
        owner may read what is created.
        """
        with self._explained(), _owner_only():
            file = self._file()
            if file is None or file.exists():
                with _attached(str(file or self._text)) as con:
                    yield con
            else:
                with _made_whole(file) as made, _attached(str(made), f"({_STORAGE})") as con:
                    yield con
                    # Now, since its log does not move with the file.
                    con.execute(f"CHECKPOINT {CATALOG}")

    def _file(self) -> Path | None:
        """The file, if it is one, after checking that nobody else can read, change or swap it.

        DuckDB opens it by name, and others beside it, so the folder is checked as well. A link
        that exists is the user's own.
        """
        if self._path is None:
            return None
        file = self._path.resolve()
        if not file.parent.is_dir():
            raise OperationalError(f"there is no folder {file.parent}")
        if not os.access(file.parent, os.W_OK | os.X_OK):
            raise OperationalError(f"the folder {file.parent} can't be written")
        for folder in (self._path.parent, file.parent):
            require_private(folder)
        require_replaceable(file, forbidden=READABLE)
        return file

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Replace the errors of DuckDB and the system with readable ones."""
        try:
            yield
        except duckdb.Error as error:
            if (other := holder(str(error))) is not None:
                raise BusyError(f"{other} has {self._shown} open") from None
            # DuckDB's error, and its traceback, may repeat the whole target.
            raise self._error(self.reason(str(error))) from None
        except OSError as error:
            raise self._error(error.strerror or type(error).__name__) from None
        except BusyError:
            raise
        except OperationalError as error:
            raise self._error(str(error)) from None

    def _error(self, reason: str) -> OperationalError:
        return OperationalError(f"no snapshot was added to {self._shown}: {reason}")

    def reason(self, message: str) -> str:
        """The readable part of a DuckDB error, without the password that it may quote."""
        if self._path is not None:
            return message.splitlines()[0]
        if found := _MISSING_EXTENSION.search(message):
            return (
                f"DuckDB {duckdb.__version__} needs its extension {found[1]} for that, and it is "
                f"neither installed nor available; run INSTALL {found[1]} in DuckDB with a "
                "network connection"
            )
        line = message.splitlines()[0]
        for text in (self._text, self._text.partition(":")[2]):
            line = line.replace(text, "…")
        return _USERINFO.sub(r"\1…@", _PASSWORD.sub(r"\1…", line))


@contextmanager
def _attached(place: str, options: str = "") -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute("SET enable_progress_bar = false")
        con.execute(f"ATTACH {literal(place)} AS {CATALOG} {options}")
        yield con


@contextmanager
def _made_whole(path: Path) -> Iterator[Path]:
    """A place for a new file, which is moved to `path` if the context ends without an error."""
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        made = Path(folder) / path.name
        yield made
        try:
            os.link(made, path)
        except OSError as error:
            has_no_links = error.errno in _NO_LINKS
            if isinstance(error, FileExistsError) or (has_no_links and path.exists()):
                raise BusyError(f"another snapshot has just created {path}") from None
            if not has_no_links:
                raise
            made.rename(path)


@contextmanager
def _owner_only() -> Iterator[None]:
    """Whatever is created meanwhile, a transaction's log too, has mode 0600."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
